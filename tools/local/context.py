"""The cluster of kubectl's current context: whether it answers, whether it is local, whether it is the right one."""

import argparse
import os
import re
import sys
from dataclasses import dataclass

from tools.command import FailedError, RefusedError, ask
from tools.render import kubectl

# The contexts that a local tool makes, and the command by which that tool's cluster gets an image of this machine.
# An API server's loopback address does not make a cluster local: it may be the end of a tunnel.
LOCAL_CLUSTERS: list[tuple[str, list[str]]] = [
    (r"kind-(?P<name>.+)", ["kind", "load", "docker-image", "--name", "{name}"]),
    (r"k3d-(?P<name>.+)", ["k3d", "image", "import", "--cluster", "{name}"]),
    (r"minikube", ["minikube", "image", "load"]),
    (r"docker-desktop", []),
]


@dataclass(frozen=True)
class Cluster:
    """The cluster of a context.

    Attributes:
        context: its name in kubectl's configuration
        server: the URL of its API server
        load: the command that brings it an image of this machine, empty if it has them anyway; None if it is not local
    """

    context: str
    server: str
    load: list[str] | None

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
    server = ask(kubectl(), "config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}").stdout
    found = Cluster(context, server, load_command(context))
    probe = ask(*found.kubectl, "get", "--raw", "/version", "--request-timeout=5s")
    if probe.returncode:
        why = (probe.stderr.strip() or "no reason given").splitlines()[-1]
        raise RefusedError(
            f"the cluster of context '{context}' ({server}) does not answer: {why}; start it, or take another context"
        )
    return found


def load_command(context: str) -> list[str] | None:
    """Return the command that brings an image of this machine to a local cluster; None if the context is not one."""
    for pattern, command in LOCAL_CLUSTERS:
        if match := re.fullmatch(pattern, context):
            return [word.format(**match.groupdict()) for word in command]
    return None


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
