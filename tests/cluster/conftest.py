"""A real cluster, the images in its registry, and two overlays applied as a user applies them.

Needs Docker and, in the environment:
    KUBECONFIG    the cluster; it must enforce NetworkPolicy
    REGISTRY      host:port of a registry from which its nodes take the images of the product too
    NODE_ADDRESS  where this machine reaches the cluster's NodePorts
    HOST_ADDRESS  where pods reach this machine
"""

import json
import os
import time
from collections.abc import Generator, Iterator

import pytest

from documents import figures
from tests.support.cluster import ROLLOUT_SECONDS, SCRATCH, Cluster, Measure, Measures, Release, diagnose
from tests.support.product import BY_HAND, FOLLOWED, namespace
from tests.support.waiting import eventually
from tools.command import do
from tools.images import build, images_of
from tools.local.ports import answers
from tools.manifests import Manifest
from tools.render import render
from tools.repository import OVERLAYS, environments

VARIABLES = ("KUBECONFIG", "REGISTRY", "NODE_ADDRESS", "HOST_ADDRESS")
MEASURES = pytest.StashKey[Measures]()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster, without anything of the product before the first test and after the last."""
    missing = [name for name in VARIABLES if not os.environ.get(name)]
    if missing:
        pytest.exit(f"set {', '.join(missing)}: docs/preuves.md says to what", returncode=2)
    found = Cluster(os.environ["REGISTRY"], os.environ["NODE_ADDRESS"], os.environ["HOST_ADDRESS"])
    answer = found.try_kubectl("version")
    if answer.returncode:
        pytest.exit(f"no cluster answers by {os.environ['KUBECONFIG']}: {answer.stderr.strip()}", returncode=2)
    _clean(found)
    yield found
    _clean(found)


def _clean(cluster: Cluster) -> None:
    """Delete what an earlier run left, and wait for what is going."""
    cluster.remove(SCRATCH, *map(namespace, environments()))


@pytest.fixture(scope="session")
def scratch(cluster: Cluster) -> str:
    """The name of a namespace where anything may be made; it goes with the cluster's other namespaces."""
    cluster.kubectl("create", "namespace", SCRATCH)
    return SCRATCH


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
        url = f"{cluster.url(namespace(name))}/api/"
        eventually(lambda: answers(url), ROLLOUT_SECONDS, f"{url} answers")
        yield Release(cluster, name, time.monotonic() - started)
    finally:
        cluster.kubectl("delete", "-k", OVERLAYS / name, "--ignore-not-found", "--wait=false")


@pytest.fixture(scope="session")
def followed(cluster: Cluster, images: dict[str, str]) -> Iterator[Release]:
    """An environment that Argo CD follows, here applied by hand."""
    assert images
    yield from _release(cluster, FOLLOWED)


@pytest.fixture(scope="session")
def by_hand(cluster: Cluster, images: dict[str, str]) -> Iterator[Release]:
    """One that it does not follow."""
    assert images
    yield from _release(cluster, BY_HAND)


@pytest.fixture
def restored(by_hand: Release) -> Iterator[Release]:
    """The environment that Argo CD does not follow, put back as the repository has it after the test."""
    by_hand.cluster.wait_for_rollout(by_hand.namespace)
    yield by_hand
    by_hand.cluster.kubectl("apply", "-k", OVERLAYS / BY_HAND)
    by_hand.cluster.wait_for_rollout(by_hand.namespace)


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
        diagnose(node.name)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the figures measured in this run."""
    if MEASURES not in config.stash:
        return
    terminalreporter.section("measured on this cluster")
    for what, figure in config.stash[MEASURES].told:
        terminalreporter.write_line(f"{what:<70} {figure:>12}")
