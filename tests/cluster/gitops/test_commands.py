"""The commands of the runbooks on Argo CD, run as they stand there."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.gitops.application import APPLICATION, Builder, Loop, following
from tests.support.cluster import Cluster
from tests.support.commands import commands, run
from tests.support.product import FRONT
from tests.support.waiting import eventually
from tools.repository import REPOSITORY

UNHEALED_SECONDS = 10  # Argo CD undoes a difference within one, unless it is held back


@pytest.fixture
def clone(loop: Loop, tmp_path: Path) -> Iterator[Path]:
    """An operator's clone of the repository that Argo CD follows, whose application names it."""
    clone = loop.source.clone(tmp_path / "clone")
    following(loop.source.url)(clone)
    yield clone
    loop.source.pull()


@pytest.fixture
def set_up_for_tests(cluster: Cluster) -> Iterator[None]:
    """Argo CD as it was, with its eyes on Git every few seconds, after a test that sets it up as the runbook does."""
    project = json.loads(cluster.kubectl("get", "appproject", "default", "-n", "argocd", "-o", "json"))
    yield
    spec = json.dumps({"spec": project["spec"]})
    cluster.kubectl("patch", "appproject", "default", "-n", "argocd", "--type", "merge", "-p", spec)
    subprocess.run([REPOSITORY / "tests" / "cluster" / "argocd.sh"], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("set_up_for_tests")
def test_argo_cd_is_set_up(cluster: Cluster, clone: Path) -> None:
    run(commands("set-up-argo-cd"), clone)
    for name in ("deployment/argocd-repo-server", "statefulset/argocd-application-controller"):
        cluster.kubectl("rollout", "status", name, "-n", "argocd", "--timeout=120s")
    settings: dict[str, str] = {}
    for name in ("argocd-cm", "argocd-cmd-params-cm"):
        found = cluster.kubectl("get", "configmap", name, "-n", "argocd", "-o", "json")
        settings |= json.loads(found)["data"]
    assert {"timeout.reconciliation", "controller.sync.timeout.seconds"} <= settings.keys()
    default = json.loads(cluster.kubectl("get", "appproject", "default", "-n", "argocd", "-o", "json"))
    assert not default["spec"].get("destinations")


@pytest.mark.timeout(400)
def test_argo_cd_is_left_and_taken_up_again(loop: Loop, clone: Path) -> None:
    run(commands("stop-following"), clone)
    assert loop.cluster.try_kubectl("get", "namespace", APPLICATION).returncode != 0
    run(commands("follow-this-repository"), clone)
    eventually(lambda: loop.synced(loop.source.head()), 60, "the application is there again")


@pytest.mark.timeout(400)
def test_promote_and_go_back(loop: Loop, builder: Builder, clone: Path) -> None:
    before = loop.served_revision()
    commit, digest = builder.release("A version of the runbook's")
    run(commands("promote"), clone, COMMIT=commit, DIGEST=digest)
    assert json.loads(run(commands("wait-for-the-promotion"), clone).splitlines()[-1])["revision"] == commit

    (last, *_) = run(commands("find-the-promotion"), clone).splitlines()
    assert f"promote api to sha-{commit[:12]}" in last
    run(commands("revert-the-promotion"), clone, PROMOTION=last.split()[0])
    assert not (clone.parent / "retour").exists()
    assert json.loads(run(commands("wait-for-the-revert"), clone).splitlines()[-1])["revision"] == before


def look(loop: Loop) -> list[str]:
    return run(commands("look-at-argo-cd"), REPOSITORY, ESPACE=loop.name).splitlines()


def test_argo_cd_is_held_back_and_let_go(loop: Loop) -> None:
    def replicas() -> int:
        return int(loop.get("Deployment", FRONT)["spec"]["replicas"])

    wanted = replicas()
    first, *_, last = look(loop)
    assert (first, last) == ("Synced Healthy Succeeded", f"{loop.source.head()} true")
    try:
        run(commands("suspend-the-sync"), REPOSITORY, ESPACE=loop.name)
        loop.kubectl("scale", f"deployment/{FRONT}", f"--replicas={wanted + 1}")
        eventually(lambda: look(loop)[0].startswith("OutOfSync "), 60, "the difference shows")
        assert look(loop)[-1].endswith(" false")
        started = time.monotonic()
        while time.monotonic() - started < UNHEALED_SECONDS:
            assert replicas() == wanted + 1
    finally:
        run(commands("resume-the-sync"), REPOSITORY, ESPACE=loop.name)
    eventually(lambda: replicas() == wanted, 60, "what was changed by hand is undone")


def test_the_platform_s_rules_are_applied_by_hand(loop: Loop, clone: Path) -> None:
    try:
        told = run(commands("platform-rules"), clone)
        assert told.startswith("IMAGE\n")
        policies = {path.parent.name for path in (REPOSITORY / "deploy" / "platform").glob("*/policy.yaml")}
        assert all(re.search(rf"\S*{policy}\S* created", told) for policy in policies), told
    finally:
        loop.cluster.kubectl("delete", "-k", clone / "deploy" / "platform")
