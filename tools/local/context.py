"""The cluster of kubectl's current context: whether it answers, whether it is local, whether it is the right one."""

import argparse
import os
import re
import sys
from dataclasses import dataclass

from tools.command import FailedError, RefusedError, ask
from tools.manifests import get
from tools.render import kubectl
from tools.texts import load_json

# The contexts that a local tool makes, and the command by which that tool's cluster gets an image of this machine: by
# its name, or as an archive. An API server's loopback address does not make a cluster local: it may end a tunnel.
# https://kind.sigs.k8s.io/docs/user/quick-start/#loading-an-image-into-your-cluster
# https://k3d.io/stable/usage/commands/k3d_image_import/
# https://microk8s.io/docs/registry-images
IMAGE, ARCHIVE = "IMAGE", "ARCHIVE"
LOADING: list[tuple[str, list[str]]] = [
    (r"kind-(?P<name>.+)", ["kind", "load", "docker-image", "--name", "{name}", IMAGE]),
    (r"k3d-(?P<name>.+)", ["k3d", "image", "import", "--cluster", "{name}", IMAGE]),
    (r"microk8s", ["microk8s", "ctr", "image", "import", ARCHIVE]),
]
# A profile of minikube's is a context of any name, which minikube signs. https://minikube.sigs.k8s.io/docs/commands/image/
MINIKUBE = "minikube.sigs.k8s.io"
# These bring Docker with them, and their pods take its images as they are, unless containerd was chosen in its place.
# https://docs.orbstack.dev/kubernetes, https://docs.rancherdesktop.io/ui/preferences/container-engine/general/,
# https://github.com/abiosoft/colima#kubernetes
WITH_DOCKER = re.compile(r"docker-desktop|orbstack|rancher-desktop|colima(-.+)?")


@dataclass(frozen=True)
class Cluster:
    """The cluster of a context.

    Attributes:
        context: its name in kubectl's configuration
        server: the URL of its API server
        load: the command that brings it an IMAGE of this machine, or an ARCHIVE of one; empty if it needs none; None if
            it is not local
    """

    context: str
    server: str
    load: list[str] | None

    @property
    def may_have_docker(self) -> bool:
        """Whether its tool can run containers with Docker; its ports then answer at this machine's own address."""
        return bool(WITH_DOCKER.fullmatch(self.context))

    @property
    def kubectl(self) -> list[str]:
        """The start of every command to it: the current context may be changed elsewhere while this runs."""
        return [kubectl(), "--context", self.context]


def current_cluster() -> Cluster:
    """Return the cluster of the current context.

    Raises:
        RefusedError: if there is no current context, or its cluster does not answer.
    """
    context = ask(kubectl(), "config", "current-context").stdout.strip()
    if not context:
        raise RefusedError(
            "kubectl has no current context: take one with 'kubectl config use-context NAME',"
            " or make a cluster with 'make cluster'"
        )
    viewed = load_json(
        ask(kubectl(), "config", "view", "--minify", "-o", "json").stdout or "{}", "kubectl's configuration"
    )
    cluster = get(viewed, ("clusters", 0, "cluster")) or {}
    server = cluster.get("server", "")
    probe = ask(kubectl(), "--context", context, "get", "--raw", "/version", "--request-timeout=5s")
    if probe.returncode:
        why = (probe.stderr.strip() or "no reason given").splitlines()[-1]
        raise RefusedError(
            f"the cluster of context '{context}' ({server}) does not answer: {why}; start it, or take another context"
        )
    signed = [get(item, ("extension", "provider")) for item in cluster.get("extensions") or []]
    return Cluster(context, server, _load_command(context, by_minikube=MINIKUBE in signed or context == "minikube"))


def _load_command(context: str, *, by_minikube: bool) -> list[str] | None:
    """Return the command that brings an image of this machine to a local cluster; None if the context is not one."""
    if by_minikube:
        return ["minikube", "--profile", context, "image", "load", IMAGE]
    if WITH_DOCKER.fullmatch(context):
        return [] if _takes_images_of_docker(context) else None
    for pattern, command in LOADING:
        if match := re.fullmatch(pattern, context):
            return [word.format(**match.groupdict()) for word in command]
    return None


def _takes_images_of_docker(context: str) -> bool:
    path = "jsonpath={.items[*].status.nodeInfo.containerRuntimeVersion}"
    runtimes = ask(kubectl(), "--context", context, "get", "nodes", "-o", path).stdout.split()
    return bool(runtimes) and all(runtime.startswith("docker://") for runtime in runtimes)


def confirm(cluster: Cluster, what: str, assume_yes: bool) -> None:
    """Tell what will be done where and, unless the cluster is local, ask.

    Raises:
        RefusedError: if there is nobody to ask.
        FailedError: if the answer is no.
    """
    print(f"{what}\n  context    {cluster.context}\n  server     {cluster.server}", flush=True)
    if cluster.load is not None or assume_yes:
        return
    if not sys.stdin.isatty():
        raise RefusedError(
            "this cluster is not local, and there is nobody to ask: say ASSUME_YES=1 if it is the right one"
        )
    if input("This cluster is not local. Go on? [y/N] ").strip().lower() not in {"y", "yes"}:
        raise FailedError("nothing was changed")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what a command takes that changes an environment on the cluster."""
    parser.add_argument("environment", metavar="ENV", help="the overlay's name")
    assumed = os.environ.get("ASSUME_YES") == "1"
    parser.add_argument("--yes", action="store_true", default=assumed, help="do not ask whether the cluster is right")
