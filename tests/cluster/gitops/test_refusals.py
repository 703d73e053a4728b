"""What the project refuses, whoever merges or applies it: other kinds, namespaces, repositories; and the platform."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster.gitops.application import APPLICATION, NAMESPACE, OVERLAY, Loop, replacing
from tests.support.cluster import Measure
from tests.support.product import API, PREFIX
from tests.support.waiting import eventually
from tools.repository import OVERLAYS

ROLE_NAME = f"{PREFIX}-e2e"
ROLE = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": ROLE_NAME},
    "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}],
}


def add_cluster_role(directory: Path) -> None:
    (directory / OVERLAY / "role.yaml").write_text(yaml.safe_dump(ROLE))
    replacing(r"  - namespace\.yaml\n", "  - namespace.yaml\n  - role.yaml\n")(directory)


# What somebody merges, and the words by which Argo CD refuses it.
MERGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "refused-cluster-role": (add_cluster_role, "ClusterRole is not permitted in project datapress"),
    "refused-namespace": (
        replacing(f"namespace: {NAMESPACE}", "namespace: default"),
        "namespace default is not permitted in project",
    ),
    "refused-replica": (
        replacing(f"{API}, count: 2", f"{API}, count: 1"),
        f"'{PREFIX}-two-replicas' denied request: two-replicas: 1 is too few",
    ),
}


@pytest.fixture
def two_replicas(loop: Loop) -> Iterator[None]:
    """Of the platform's policies the one that holds for an overlay whose front is not promoted."""
    policy = OVERLAYS.parent / "platform" / "two-replicas"
    loop.cluster.kubectl("apply", "-f", policy)
    yield
    loop.cluster.kubectl("delete", "-f", policy)


@pytest.mark.usefixtures("two_replicas")
@pytest.mark.parametrize("what", MERGES)
def test_a_merge_that_wants_too_much_changes_nothing(loop: Loop, measure: Measure, what: str) -> None:
    edit, words = MERGES[what]
    before = loop.objects()
    with loop.lossless(what, measure):
        commit = loop.source.commit(f"Merge what is {what}", edit)
        eventually(lambda: words in loop.failure() + loop.conditions(), 60, "it is refused, and why")
        assert loop.objects() == before
        revert = loop.source.revert(commit)
        seconds = eventually(lambda: loop.settled(revert), 120, "the revert is what runs")
    measure(what, seconds)
    assert loop.cluster.try_kubectl("get", "clusterrole", ROLE_NAME).returncode != 0
    assert loop.cluster.objects("deployments", "default") == []


def test_an_application_of_another_repository_is_refused(loop: Loop) -> None:
    """The project is of one repository, even for those who may create Applications."""
    application = json.loads(loop.cluster.kubectl("get", "application", APPLICATION, "-n", "argocd", "-o", "json"))
    name = f"{APPLICATION}-e2e"
    spec = application["spec"]
    other = {
        "apiVersion": application["apiVersion"],
        "kind": application["kind"],
        "metadata": {"name": name, "namespace": "argocd"},
        "spec": {**spec, "source": {**spec["source"], "repoURL": loop.source.url.removesuffix(".git") + "-other.git"}},
    }
    try:
        loop.cluster.kubectl("create", "-f", "-", stdin=json.dumps(other))
        eventually(
            lambda: "is not permitted in project 'datapress'" in Loop(loop.cluster, loop.source, name).conditions(),
            60,
            "it is refused",
        )
    finally:
        loop.cluster.kubectl("delete", "application", name, "-n", "argocd", "--ignore-not-found")
