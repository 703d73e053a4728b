"""What deploy/platform refuses and what it lets pass, by the API server's own word.

The policies hold here in a namespace that is there for these tests alone, where an overlay
runs by digest.
"""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cases.admissions import ACCEPTED, AUTOSCALED, FORMER, REFUSED, RULES, Case
from tests.support.cluster import Cluster, Measure
from tests.support.product import API, DEPLOYMENTS, FOLLOWED, FRONT, PREFIX, image
from tests.support.waiting import eventually
from tools.images import digest_of
from tools.manifests import Manifest
from tools.promote import pins_of
from tools.render import render
from tools.repository import OVERLAYS

pytestmark = pytest.mark.timeout(300)  # the first of the session, which builds the images, is here

NAMESPACE = f"{PREFIX}-admission"
WORKLOADS = {"Deployment", "Job"}
LABEL = "app.kubernetes.io/part-of=datapress"
ACTIVE_SECONDS = 30
ROLLOUT_SECONDS = 90


def each(among: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", among, ids=lambda case: case.path.stem)


@dataclass(frozen=True)
class Admission:
    """The namespace where the policies hold, and what runs there.

    Attributes:
        overlay: the kustomization that was applied
        objects: what it renders, and of each Deployment a pod as its controller makes it, by kind and name
        scratch: a directory for kustomizations
    """

    cluster: Cluster
    overlay: Path
    objects: dict[tuple[str, str], Manifest]
    scratch: Path

    def patched(self, case: Case, name_suffix: str) -> Path:
        """Return a kustomization that is one object with the case's patch."""
        directory = self.scratch / f"{case.path.stem}{name_suffix}"
        directory.mkdir(exist_ok=True)
        kind, name = case.target
        _write(directory / "object.yaml", self.objects[kind, name])
        shutil.copy(case.path, directory / "patch.yaml")
        kustomization = {
            "resources": ["object.yaml"],
            "patches": [{"path": "patch.yaml", "target": {"kind": kind, "name": name}}],
            "nameSuffix": name_suffix,
        }
        _write(directory / "kustomization.yaml", kustomization)
        return directory

    def create(self, case: Case) -> "subprocess.CompletedProcess[str]":
        """Ask the API server to create the patched object under a name of its own, and to keep nothing."""
        return self.cluster.try_kubectl("create", "-k", self.patched(case, "-new"), "--dry-run=server")

    def change(self, case: Case) -> "subprocess.CompletedProcess[str]":
        """Ask the API server to change the object that is there, and to keep nothing."""
        return self.cluster.try_kubectl("apply", "-k", self.patched(case, ""), "--dry-run=server")

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.cluster.kubectl("-n", NAMESPACE, *arguments, stdin=stdin)

    def try_kubectl(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return self.cluster.try_kubectl("-n", NAMESPACE, *arguments)

    def a_pod(self, name: str) -> str:
        found: str = self.cluster.pods(NAMESPACE, name)[0]["metadata"]["name"]
        return found


Ask = Callable[[Admission, Case], "subprocess.CompletedProcess[str]"]


def _write(path: Path, content: Manifest) -> None:
    path.write_text(yaml.safe_dump(content, allow_unicode=True))


def refuses(done: "subprocess.CompletedProcess[str]", rule: str, words: str) -> bool:
    """Whether that policy refused it with these words and, after them, a remedy."""
    policy = f"ValidatingAdmissionPolicy '{PREFIX}-{rule}' with binding '{PREFIX}-{rule}' denied request"
    return done.returncode != 0 and bool(re.search(rf"{policy}: {re.escape(words)}; \w{{3,}} ", done.stderr))


@pytest.fixture(scope="module")
def admission(
    cluster: Cluster,
    images: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
    measure: Measure,
) -> Iterator[Admission]:
    """The overlay, promoted and applied under the policies, beside a Deployment that was there before them."""
    scratch = tmp_path_factory.mktemp("admission")
    overlay = _promoted_overlay(scratch, images)
    objects = render(overlay)
    found = Admission(cluster, overlay, _by_name([*objects, *_pods(objects), *_autoscalers()]), scratch)
    platform = _platform(scratch)
    try:
        cluster.remove(NAMESPACE)
        _apply(cluster, *(manifest for manifest in objects if manifest["kind"] not in WORKLOADS))
        cluster.kubectl("create", "-k", found.patched(FORMER, "-former"))
        cluster.kubectl("apply", "-k", platform)
        applied = time.monotonic()
        for rule in RULES:
            eventually(partial(_refuses_any, found, rule), ACTIVE_SECONDS, f"the policy {PREFIX}-{rule} is active")
        measure("admission-active", time.monotonic() - applied)
        cluster.kubectl("apply", "-k", overlay)
        cluster.wait_for_rollout(NAMESPACE)
        yield found
    finally:
        cluster.kubectl("delete", "-k", platform, "--ignore-not-found")
        cluster.remove(NAMESPACE, wait=False)


def _promoted_overlay(scratch: Path, images: dict[str, str]) -> Path:
    """Return the overlay once both images are promoted, with what Argo CD adds to it, and in this test's namespace."""
    shutil.copytree(OVERLAYS.parent, scratch / "deploy")
    file = scratch / "deploy" / "overlays" / FOLLOWED / "kustomization.yaml"
    kustomization = yaml.safe_load(file.read_text())
    digests = {_short(reference.rpartition(":")[0]): digest_of(reference) for reference in images.values()}
    tags = scratch / pins_of(file.parent.name)
    pins = yaml.safe_load(tags.read_text())
    for pin in pins["images"]:
        pin["digest"] = digests[_short(pin["name"])]
    _write(tags, pins)
    kustomization["components"].append("../../components/smoke-test")
    kustomization["namespace"] = NAMESPACE
    any_port = "- {op: remove, path: /spec/ports/0/nodePort}"
    kustomization["patches"].append({"target": {"kind": "Service", "name": FRONT}, "patch": any_port})
    _write(file, kustomization)
    return file.parent


def _short(name: str) -> str:
    return name.rpartition("/")[2]


def _apply(cluster: Cluster, *manifests: Manifest) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(manifests))


def _platform(scratch: Path) -> Path:
    """Return the platform's policies, bound to this test's namespace and to no other."""
    path = "/spec/matchResources/namespaceSelector/matchExpressions/0/values"
    patch = yaml.safe_dump([{"op": "replace", "path": path, "value": [NAMESPACE]}])
    bound = scratch / "bound"
    bound.mkdir()
    _write(
        bound / "kustomization.yaml",
        {
            "resources": ["../deploy/platform"],
            "patches": [{"target": {"kind": "ValidatingAdmissionPolicyBinding"}, "patch": patch}],
        },
    )
    return bound


def _pods(objects: list[Manifest]) -> list[Manifest]:
    """Return a pod of each Deployment, under the Deployment's name."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**deployment["spec"]["template"]["metadata"], **_named(deployment)},
            "spec": deployment["spec"]["template"]["spec"],
        }
        for deployment in objects
        if deployment["kind"] == "Deployment"
    ]


def _autoscalers() -> list[Manifest]:
    """Return those of the component, for which the overlay here has no use."""
    files = sorted((OVERLAYS.parent / "components" / "autoscaling").glob("*.yaml"))
    found = [yaml.safe_load(file.read_text()) for file in files]
    return [
        {**one, "metadata": {**one["metadata"], "namespace": NAMESPACE}}
        for one in found
        if one["kind"] == "HorizontalPodAutoscaler"
    ]


def _named(manifest: Manifest) -> dict[str, Any]:
    return {key: manifest["metadata"][key] for key in ("name", "namespace")}


def _by_name(objects: list[Manifest]) -> dict[tuple[str, str], Manifest]:
    return {(manifest["kind"], manifest["metadata"]["name"]): manifest for manifest in objects}


def _refuses_any(found: Admission, rule: str) -> bool:
    """Whether a policy refuses any of its cases: the API server takes a moment to learn of it."""
    return any(
        f"'{PREFIX}-{rule}' denied request" in found.create(case).stderr for case in REFUSED if case.rule == rule
    )


@each(REFUSED)
def test_refused_when_created(admission: Admission, case: Case) -> None:
    done = admission.create(case)
    assert refuses(done, case.rule, case.words), done.stderr


@each([case for case in REFUSED if case.patch["kind"] == "Deployment"])
def test_refused_when_changed(admission: Admission, case: Case) -> None:
    done = admission.change(case)
    assert refuses(done, case.rule, case.words), done.stderr


@each(ACCEPTED)
@pytest.mark.parametrize("ask", [Admission.create, Admission.change], ids=["created", "changed"])
def test_accepted(admission: Admission, case: Case, ask: Ask) -> None:
    done = ask(admission, case)
    assert done.returncode == 0, done.stderr


def test_what_an_autoscaler_counts_begins_with_one_pod(admission: Admission) -> None:
    """Until the autoscaler looks; a Deployment that runs would lose pods that serve."""
    created, changed = admission.create(AUTOSCALED), admission.change(AUTOSCALED)
    assert created.returncode == 0, created.stderr
    assert refuses(changed, AUTOSCALED.rule, AUTOSCALED.words), changed.stderr


# Under kubectl's own name, server-side apply warns that it cannot take over what kubectl applied client-side.
@pytest.mark.parametrize(
    "way",
    [[], ["--server-side", "--force-conflicts", "--field-manager=argocd-controller"]],
    ids=["operator", "argo-cd"],
)
def test_the_promoted_overlay_is_accepted_without_a_warning(admission: Admission, way: list[str]) -> None:
    done = admission.cluster.try_kubectl("apply", "-k", admission.overlay, "--dry-run=server", *way)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_pod_made_by_hand_is_accepted_if_it_is_like_the_others(admission: Admission, name: str) -> None:
    pod = {**admission.objects["Pod", name], "metadata": {"name": "by-hand"}}
    admission.kubectl("create", "-f", "-", "--dry-run=server", stdin=json.dumps(pod))


def test_the_image_of_a_pod_that_runs_is_not_changed_to_a_tag(admission: Admission) -> None:
    pod = admission.a_pod(API)
    moving = f"{image(API).name}:latest"
    done = admission.try_kubectl("set", "image", f"pod/{pod}", f"api={moving}", "--dry-run=server")
    assert refuses(done, "images-by-digest", f"images-by-digest: api runs {moving}"), done.stderr


def test_a_pod_that_runs_is_not_resized_past_its_request(admission: Admission) -> None:
    pod = admission.a_pod(API)
    resize = {"spec": {"containers": [{"name": "api", "resources": {"limits": {"memory": "256Mi"}}}]}}
    patch = ["patch", f"pod/{pod}", "--subresource=resize", "--patch", json.dumps(resize), "--dry-run=server"]
    done = admission.try_kubectl(*patch)
    words = "resources-set: api does not request the memory of its limit"
    assert refuses(done, "resources-set", words), done.stderr


@pytest.mark.parametrize(("replicas", "accepted"), [(3, True), (2, True), (1, False), (0, True)])
def test_scale(admission: Admission, replicas: int, accepted: bool) -> None:
    """To zero too: that is no slip but an operator who stops a Deployment in an emergency."""
    done = admission.try_kubectl("scale", f"deployment/{API}", f"--replicas={replicas}", "--dry-run=server")
    refused = refuses(done, "two-replicas", f"two-replicas: {replicas} is too few")
    assert (done.returncode == 0, refused) == (accepted, not accepted), done.stderr


def test_debug_is_warned_and_not_stopped(admission: Admission) -> None:
    image = "python:3.14-slim"
    debug = ["debug", f"pod/{admission.a_pod(FRONT)}", "--image", image, "--profile=restricted", "--container=debug"]
    done = admission.try_kubectl(*debug, "--", "true")
    assert done.returncode == 0, done.stderr
    assert f"'{PREFIX}-images-by-digest-debug': images-by-digest: debug runs {image}; " in done.stderr


def test_what_is_older_than_the_policies_can_be_deleted(admission: Admission) -> None:
    """Controllers update it meanwhile: to delete it in the foreground is to wait until one takes a finalizer off."""
    former = f"deployment/{API}-former"
    (pod,) = admission.cluster.pods(NAMESPACE, "former")
    admission.kubectl("label", former, f"pod/{pod['metadata']['name']}", "example.org/seen=true")
    admission.kubectl("scale", former, "--replicas=0", "--dry-run=server")
    admission.kubectl("delete", former, "--cascade=foreground", "--timeout=30s")


def test_what_runs_is_operated_as_ever(admission: Admission) -> None:
    """A rollout, a scale, an eviction and Argo CD's smoke test: every pod that comes of them is let in."""
    before = {name: admission.a_pod(name) for name in DEPLOYMENTS}
    assert admission.cluster.evict(NAMESPACE, before[FRONT]).returncode == 0
    admission.kubectl("scale", f"deployment/{FRONT}", "--replicas=3")
    admission.kubectl("rollout", "restart", f"deployment/{API}")
    admission.kubectl("wait", f"job/{PREFIX}-smoke", "--for=condition=Complete", f"--timeout={ROLLOUT_SECONDS}s")
    admission.cluster.wait_for_rollout(NAMESPACE)
    for name, count in ((API, 2), (FRONT, 3)):
        pods = admission.cluster.pods(NAMESPACE, name)
        assert len(pods) == count
        assert before[name] not in {pod["metadata"]["name"] for pod in pods}
        assert all("@sha256:" in pod["spec"]["containers"][0]["image"] for pod in pods)


def test_the_api_server_finds_no_fault_in_the_expressions(admission: Admission) -> None:
    policies = json.loads(admission.cluster.kubectl("get", "validatingadmissionpolicies", "-l", LABEL, "-o", "json"))
    faults = {
        policy["metadata"]["name"]: policy["status"]["typeChecking"].get("expressionWarnings", [])
        for policy in policies["items"]
    }
    assert faults == {f"{PREFIX}-{rule}": [] for rule in RULES}
