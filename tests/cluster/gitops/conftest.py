"""The whole loop: a Git server of the tests' own, a real Argo CD that follows it, images in the registry by digest.

Besides what tests/cluster needs: Argo CD in the namespace argocd, polling Git every few seconds, and git's daemon.
"""

import shutil
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from tests.cluster.gitops.application import APPLICATION, NAMESPACE, Builder, Loop, Source, following
from tests.support.clones import make_origin
from tests.support.cluster import Cluster, Measure
from tests.support.git import git
from tests.support.product import FOLLOWED
from tests.support.servers import running
from tests.support.waiting import eventually
from tools.promote import read_pin
from tools.repository import REPOSITORY


@pytest.fixture(scope="session")
def source(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    """The repository as it is committed here, behind a Git server that the cluster reaches."""
    root = tmp_path_factory.mktemp("git")
    bare, clone = make_origin(root), root / "clone"
    git(root, "clone", "--quiet", bare, clone)
    # For the project's own commands, which commit there too.
    for key, value in (("user.name", "e2e"), ("user.email", "e2e@example.org")):
        git(clone, "config", key, value)
    with socket.create_server((cluster.host_address, 0)) as free:
        port = free.getsockname()[1]
    # Not `git daemon`, which leaves the real one behind when it is ended.
    daemon = f"{git(root, '--exec-path')}/git-daemon"
    options = [f"--base-path={root}", "--export-all", f"--listen={cluster.host_address}", f"--port={port}"]
    with running([daemon, *options], root / "daemon"):
        yield Source(clone, f"git://{cluster.host_address}:{port}/{bare.name}")


@pytest.fixture(scope="session")
def builder(cluster: Cluster, source: Source) -> Builder:
    return Builder(cluster, source, read_pin(source.directory, FOLLOWED, "api").image)


@pytest.fixture(scope="session")
def bootstrap(
    cluster: Cluster, source: Source, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Loop]]:
    """What brings the application up by `kubectl apply -k argocd`; it goes at the end, with all that it deployed."""
    argocd = tmp_path_factory.mktemp("fork") / "argocd"
    shutil.copytree(REPOSITORY / "argocd", argocd)
    following(source.url)(argocd.parent)

    def apply() -> Loop:
        cluster.kubectl("apply", "-k", argocd)
        return Loop(cluster, source)

    try:
        yield apply
    finally:
        # The Application first: to delete what it deployed, Argo CD needs the project.
        cluster.try_kubectl("delete", "application", APPLICATION, "-n", "argocd", "--wait=false")
        eventually(lambda: _is_gone(cluster), 120, "Argo CD has deleted what it deployed")
        cluster.kubectl("delete", "-k", argocd, "--ignore-not-found")


def _is_gone(cluster: Cluster) -> bool:
    """Whether the Application is; meanwhile the pods lose the grace that connections are given."""
    cluster.try_kubectl("delete", "pods", "--all", "-n", NAMESPACE, "--now", "--wait=false")
    return cluster.try_kubectl("get", "application", APPLICATION, "-n", "argocd").returncode != 0


@pytest.fixture(scope="session")
def loop(images: dict[str, str], bootstrap: Callable[[], Loop], builder: Builder, measure: Measure) -> Loop:
    """The application, running; bootstrapped with the front that the overlay names and a first version of the API."""
    assert images
    commit, digest = builder.release("First version")
    builder.promote(commit, digest)
    started = time.monotonic()
    loop = bootstrap()
    loop.wait(loop.source.head())
    assert loop.serves_only(commit)
    measure("bootstrap-to-synced", time.monotonic() - started)
    return loop


@pytest.fixture(autouse=True)
def healthy(loop: Loop) -> Iterator[None]:
    """Each step starts from a healthy application, and shows by its own end that it left one."""
    yield
    eventually(lambda: loop.settled(loop.source.head()), 180, "the step leaves the application healthy")
