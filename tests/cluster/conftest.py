"""A real cluster, the images in its registry, and both overlays applied as a user applies them.

Needs Docker and, in the environment:
    KUBECONFIG    the cluster; it must enforce NetworkPolicy
    REGISTRY      host:port of a registry from which its nodes take every ghcr.io image too
    NODE_ADDRESS  where this machine reaches the cluster's NodePorts
    HOST_ADDRESS  where pods reach this machine
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from documents import figures
from tests.support.clones import change_banner
from tools.command import do
from tools.images import build, images_of
from tools.local.ports import answers
from tools.manifests import Manifest
from tools.render import kubectl, render, render_deployed
from tools.repository import OVERLAYS, REPOSITORY, environments

VARIABLES = ("KUBECONFIG", "REGISTRY", "NODE_ADDRESS", "HOST_ADDRESS")
DEPLOYMENTS = ["datapress-api", "datapress-front"]
ROLLOUT_SECONDS = 180
IMAGE = "python:3.14-slim"  # of pods that are not the product's
SCRATCH = "datapress-e2e"  # the namespace of most of them
# Keeps a number under its key of documents/figures.yaml, or shows a text in the table that closes the run.
Measure = Callable[[str, float | str], None]
DIAGNOSE = Path(__file__).with_name("diagnose.sh")
DIAGNOSIS = REPOSITORY / ".build" / "diagnosis"  # e2e.yml keeps it as an artifact
MEASURES = pytest.StashKey["Measures"]()


def eventually(holds: Callable[[], Any], seconds: float, what: str) -> float:
    """Wait until something holds and return the seconds that took; fail with `what` after so many of them."""
    started = time.monotonic()
    while not holds():
        if time.monotonic() - started > seconds:
            pytest.fail(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.2)
    return time.monotonic() - started


@dataclass(frozen=True)
class Cluster:
    """What a user has: kubectl, a registry to push to, and the addresses of a node and of this machine."""

    registry: str
    node_address: str
    host_address: str

    def kubectl(self, *arguments: str | Path, stdin: str | None = None) -> str:
        """Run kubectl and return what it prints; an error of its own fails the test with its words."""
        done = self.try_kubectl(*arguments, stdin=stdin)
        assert done.returncode == 0, f"kubectl {' '.join(map(str, arguments))}: {done.stderr.strip()}"
        return done.stdout

    def try_kubectl(self, *arguments: str | Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run([kubectl(), *arguments], input=stdin, capture_output=True, text=True, check=False)

    def objects(self, kind: str, namespace: str, *arguments: str) -> list[dict[str, Any]]:
        listed = json.loads(self.kubectl("get", kind, "-n", namespace, "-o", "json", *arguments))
        items: list[dict[str, Any]] = listed["items"]
        return items

    def get(self, kind: str, name: str, namespace: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "-n", namespace, "-o", "json"))
        return found

    def pods(self, namespace: str, name: str) -> list[dict[str, Any]]:
        """Return the pods of a Deployment that are not on their way out."""
        pods = self.objects("pods", namespace, "-l", f"app.kubernetes.io/name={name}")
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def evict(self, namespace: str, pod: str) -> subprocess.CompletedProcess[str]:
        """Ask for an eviction; https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/."""
        metadata = {"name": pod, "namespace": namespace}
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction"
        return self.try_kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))

    def wait_for_rollout(self, namespace: str, *names: str) -> None:
        for name in names or DEPLOYMENTS:
            self.kubectl("rollout", "status", f"deployment/{name}", "-n", namespace, f"--timeout={ROLLOUT_SECONDS}s")

    def url(self, namespace: str) -> str:
        service = self.get("service", "datapress-front", namespace)
        return f"http://{self.node_address}:{service['spec']['ports'][0]['nodePort']}"


@dataclass(frozen=True)
class Release:
    """One overlay on the cluster."""

    cluster: Cluster
    name: str
    seconds_to_answer: float  # from the start of `kubectl apply -k` to the API's first answer through the front

    @property
    def namespace(self) -> str:
        return f"datapress-{self.name}"

    @property
    def url(self) -> str:
        return self.cluster.url(self.namespace)

    def pods(self, name: str) -> list[dict[str, Any]]:
        return self.cluster.pods(self.namespace, name)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.cluster.kubectl("-n", self.namespace, *arguments, stdin=stdin)

    def endpoints(self, service: str) -> list[str]:
        """Return the addresses to which a Service sends new connections."""
        slices = self.cluster.objects("endpointslices", self.namespace, "-l", f"kubernetes.io/service-name={service}")
        ready = [item for found in slices for item in found["endpoints"] or [] if item["conditions"]["ready"]]
        return [address for endpoint in ready for address in endpoint["addresses"]]

    def settle(self) -> None:
        """Wait until every pod is ready and none is on its way out."""
        self.cluster.wait_for_rollout(self.namespace)
        eventually(self._at_rest, ROLLOUT_SECONDS, f"{self.namespace} is at rest")

    def _at_rest(self) -> bool:
        pods = self.cluster.objects("pods", self.namespace)
        return all("deletionTimestamp" not in pod["metadata"] and is_ready(pod) for pod in pods)


def is_ready(pod: dict[str, Any]) -> bool:
    return any(
        condition["type"] == "Ready" and condition["status"] == "True" for condition in pod["status"]["conditions"]
    )


def overlay_with_banner(environment: str, banner: str, scratch: Path) -> Path:
    """Return the overlay of a copy of deploy/ whose page says something else."""
    copy = scratch / "deploy"
    shutil.copytree(OVERLAYS.parent, copy)
    return change_banner(copy / OVERLAYS.name / environment, banner)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster, without anything of the product before the first test and after the last."""
    missing = [name for name in VARIABLES if not os.environ.get(name)]
    if missing:
        pytest.exit(f"set {', '.join(missing)}: the README's section on tests says to what", returncode=2)
    found = Cluster(os.environ["REGISTRY"], os.environ["NODE_ADDRESS"], os.environ["HOST_ADDRESS"])
    answer = found.try_kubectl("version")
    if answer.returncode:
        pytest.exit(f"no cluster answers by {os.environ['KUBECONFIG']}: {answer.stderr.strip()}", returncode=2)
    _clean(found)
    yield found
    _clean(found)


def _clean(cluster: Cluster) -> None:
    """Delete what an earlier run left and wait for what is going; all at once, as a namespace takes half a minute."""
    namespaces = [f"namespace/{name}" for name in (SCRATCH, *(f"datapress-{name}" for name in environments()))]
    cluster.kubectl("delete", *namespaces, "--ignore-not-found", f"--timeout={ROLLOUT_SECONDS}s")


@pytest.fixture(scope="session")
def scratch(cluster: Cluster) -> str:
    """The name of a namespace where anything may be made; it goes with the cluster's other namespaces."""
    cluster.kubectl("create", "namespace", SCRATCH)
    return SCRATCH


@contextmanager
def running(cluster: Cluster, manifests: list[dict[str, Any]]) -> Iterator[None]:
    """Objects, of which the pods are ready."""
    objects = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
    pods = json.dumps({"apiVersion": "v1", "kind": "List", "items": [m for m in manifests if m["kind"] == "Pod"]})
    cluster.kubectl("create", "-f", "-", stdin=objects)
    try:
        cluster.kubectl("wait", "-f", "-", "--for=condition=Ready", "--timeout=60s", stdin=pods)
        yield
    finally:
        cluster.kubectl("delete", "-f", "-", "--ignore-not-found", "--now", stdin=objects)


@pytest.fixture(scope="session")
def images(cluster: Cluster) -> dict[str, str]:
    """Build what the overlays ask for, push it, and return the pushed references by the Deployment's name."""
    pushed: dict[str, str] = {}
    for deployment in _deployments():
        (image,) = images_of([deployment])
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        tag = container["image"].partition("@")[0].rpartition(":")[2]
        reference = f"{image.at(cluster.registry)}:{tag}"
        if reference not in pushed.values():
            build(image, reference, tag.removeprefix("sha-"))
            do(["docker", "push", "--quiet", reference])
        pushed[deployment["metadata"]["name"]] = reference
    return pushed


def _deployments() -> list[Manifest]:
    """Return the Deployments of every environment."""
    manifests = [manifest for environment in environments() for manifest in render(OVERLAYS / environment)]
    return [manifest for manifest in manifests if manifest["kind"] == "Deployment"]


def _release(cluster: Cluster, name: str) -> Iterator[Release]:
    started = time.monotonic()
    try:
        cluster.kubectl("apply", "-k", OVERLAYS / name)
        url = f"{cluster.url(f'datapress-{name}')}/api/"
        eventually(lambda: answers(url), ROLLOUT_SECONDS, f"{url} answers")
        yield Release(cluster, name, time.monotonic() - started)
    finally:
        cluster.kubectl("delete", "-k", OVERLAYS / name, "--ignore-not-found", "--wait=false")


@pytest.fixture(scope="session")
def recette(cluster: Cluster, images: dict[str, str]) -> Iterator[Release]:
    assert images
    yield from _release(cluster, "recette")


@pytest.fixture(scope="session")
def dev(cluster: Cluster, images: dict[str, str]) -> Iterator[Release]:
    assert images
    yield from _release(cluster, "dev")


@contextmanager
def smoke_test(release: Release, command: list[str]) -> Iterator[dict[str, Any]]:
    """The Job that Argo CD runs after a sync, and what it needs, with another command and no time limit; its pod."""
    overlay = render(OVERLAYS / release.name)
    added = [manifest for manifest in render_deployed(release.name) if manifest not in overlay]
    (job,) = [manifest for manifest in added if manifest["kind"] == "Job"]
    del job["spec"]["activeDeadlineSeconds"]
    pod = job["spec"]["template"]["spec"]
    pod["containers"][0]["command"] = command
    pod["terminationGracePeriodSeconds"] = 0
    manifests = json.dumps({"apiVersion": "v1", "kind": "List", "items": added})
    kubectl = release.cluster.kubectl
    kubectl("create", "-f", "-", stdin=manifests)
    try:
        name, status = f"job/{job['metadata']['name']}", "--for=jsonpath={.status.ready}=1"
        kubectl("wait", name, "-n", release.namespace, status, "--timeout=60s")
        (found,) = release.pods(job["metadata"]["name"])
        yield found
    finally:
        kubectl("delete", "-f", "-", "--cascade=foreground", stdin=manifests)


@pytest.fixture
def restored(dev: Release) -> Iterator[Release]:
    """The dev environment, put back as the repository has it after the test."""
    dev.cluster.wait_for_rollout(dev.namespace)
    yield dev
    dev.cluster.kubectl("apply", "-k", OVERLAYS / "dev")
    dev.cluster.wait_for_rollout(dev.namespace)


@dataclass
class Measures:
    """What is measured in a run.

    Attributes:
        told: all of it, as texts
        pending: the figures of the test under way
        passed: the figures of the tests that passed
    """

    told: list[tuple[str, str]] = field(default_factory=list)
    pending: dict[str, float] = field(default_factory=dict)
    passed: dict[str, float] = field(default_factory=dict)

    def keep(self, what: str, figure: float | str) -> None:
        if isinstance(figure, str):
            self.told.append((what, figure))
            return
        self.told.append((figures.MEASURED[what].label_en, figures.in_english(figure, figures.MEASURED[what].unit)))
        self.pending[what] = figure

    def end_test(self, passed: bool) -> None:
        self.passed |= self.pending if passed else {}
        self.pending.clear()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record", action="store_true", help=f"write figures into {figures.FILE.name}")


@pytest.fixture(scope="session")
def kubernetes(cluster: Cluster) -> str:
    """The cluster's version."""
    told = json.loads(cluster.kubectl("version", "-o", "json"))
    return str(told["serverVersion"]["gitVersion"]).removeprefix("v")


@pytest.fixture(scope="session")
def measure(pytestconfig: pytest.Config, kubernetes: str) -> Iterator[Measure]:
    """Keep a figure, for the documents if that was asked for."""
    measures = pytestconfig.stash.setdefault(MEASURES, Measures())
    yield measures.keep
    if pytestconfig.getoption("record"):
        figures.record(measures.passed, kubernetes)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let the figures of a test that fails go."""
    report = yield
    if call.when == "call" and MEASURES in item.config.stash:
        item.config.stash[MEASURES].end_test(report.passed)
    return report


def pytest_exception_interact(node: pytest.Item | pytest.Collector) -> None:
    """Keep what the cluster knows when a test fails; afterwards the fixtures take it away."""
    if os.environ.get("KUBECONFIG"):
        name = re.sub(r"[^\w.-]+", "-", node.name)
        try:
            subprocess.run([DIAGNOSE, DIAGNOSIS / name], check=False, timeout=60)
        except subprocess.TimeoutExpired:  # a cluster that hangs; raised from here, it would end the whole run
            print(f"the cluster did not tell all of what it knows: {DIAGNOSIS / name}", file=sys.stderr)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the figures measured in this run."""
    if MEASURES not in config.stash:
        return
    terminalreporter.section("measured on this cluster")
    for what, figure in config.stash[MEASURES].told:
        terminalreporter.write_line(f"{what:<70} {figure:>12}")
