"""make deploy and make undeploy: an overlay, with images of what src/ holds now, on the current context's cluster.

    python -m tools.local.deploy up|down ENV [--yes]

In the environment: REGISTRY (HOST[:PORT]), where the cluster gets images from; NODE_ADDRESS, where its node ports are
reached from here; ASSUME_YES=1, the same as --yes.
"""

import os
import re
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from tools.command import FailedError, Parser, RefusedError, ask, do, overlay, require, require_docker, run_program
from tools.images import Image, build, digest_of, images_of, revision
from tools.local.ports import answers
from tools.manifests import Manifest
from tools.render import kubectl, render
from tools.repository import REPOSITORY

GENERATED = REPOSITORY / ".build" / "deploy"
# Longer than the Deployments' progressDeadlineSeconds, so that it is Kubernetes who says that a rollout failed.
ROLLOUT_SECONDS = 180
URL_SECONDS = 10
EXAMPLE = "registry.example.org:5000"

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


def check_delivery(cluster: Cluster, registry: str) -> None:
    """Make sure that the cluster can get images.

    Raises:
        RefusedError: if REGISTRY is needed or wrong, or the local cluster's own tool is missing.
    """
    if registry and not re.fullmatch(r"[\w.-]+(:\d+)?", registry):
        raise RefusedError(
            f"REGISTRY={registry} is no registry: give its host, and its port if need be, as in REGISTRY={EXAMPLE}"
        )
    if registry:
        return
    if cluster.load is None:
        raise RefusedError(
            f"the cluster of context '{cluster.context}' gets its images from a registry:"
            f" name one that you may push to, as in REGISTRY={EXAMPLE}"
        )
    if cluster.load:
        require(cluster.load[0], f"it brings images to the cluster '{cluster.context}'; install it, or name a REGISTRY")


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


def write_kustomization(base: Path, images: Iterable[tuple[Image, str]]) -> Path:
    """Write a kustomization that is the overlay with other images, and return its directory.

    Args:
        base: the overlay.
        images: each with the reference it is to have, NAME:TAG or NAME:TAG@DIGEST.
    """
    directory = GENERATED / base.name
    directory.mkdir(parents=True, exist_ok=True)
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(base, directory)],
        "images": [{"name": image.name, **_parts(reference)} for image, reference in images],
    }
    text = f"# Generated by tools/local/deploy.py; do not edit.\n{yaml.safe_dump(kustomization, sort_keys=False)}"
    (directory / "kustomization.yaml").write_text(text)
    return directory


def _parts(reference: str) -> dict[str, str]:
    tagged, _, digest = reference.partition("@")
    name, _, tag = tagged.rpartition(":")
    return {"newName": name, "newTag": tag} | ({"digest": digest} if digest else {})


def deliver(cluster: Cluster, reference: str, registry: str) -> str:
    """Bring a built image to the cluster, and return the reference by which it gets it.

    Raises:
        FailedError: if that cannot be done.
    """
    if registry:
        do(["docker", "push", reference])
        return f"{reference}@{digest_of(reference)}"
    if cluster.load:
        do([*cluster.load, reference])
    return reference


def wait_for(cluster: Cluster, deployment: Manifest) -> None:
    """Wait until a Deployment runs as it was applied.

    Raises:
        FailedError: if it does not; the pods' state, the warnings and the last log lines are shown first.
    """
    name, namespace = deployment["metadata"]["name"], deployment["metadata"]["namespace"]
    scoped = [*cluster.kubectl, "--namespace", namespace]
    try:
        do([*scoped, "rollout", "status", f"deployment/{name}", f"--timeout={ROLLOUT_SECONDS}s"])
    except FailedError:
        labels = deployment["spec"]["selector"]["matchLabels"]
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        for look in (
            ["get", "pods", "--selector", selector, "--output=wide"],
            ["events", "--types=Warning"],
            ["logs", "--selector", selector, "--all-containers", "--prefix", "--tail=20", "--ignore-errors"],
        ):
            shown = ask(*scoped, *look)
            print(f"\n$ kubectl {' '.join(look)}\n{shown.stdout}{shown.stderr}", flush=True)
        raise FailedError(f"the Deployment {name} in {namespace} does not get ready: see above why") from None


def node_address(cluster: Cluster) -> str:
    """Return where the cluster's node ports are reached from here."""
    if given := os.environ.get("NODE_ADDRESS"):
        return given
    if cluster.context.startswith("kind-") or cluster.context == "docker-desktop":
        return "localhost"
    path = "{.items[0].status.addresses[?(@.type=='%s')].address}"
    found = ask(*cluster.kubectl, "get", "nodes", "-o", f"jsonpath={path % 'ExternalIP'} {path % 'InternalIP'}")
    # Whoever may not list the nodes is told how else to reach the front.
    return (found.stdout.split() or ["localhost"])[0]


def _front(manifests: Iterable[Manifest]) -> Manifest:
    """Return the Service that has a node port."""
    (front,) = [item for item in manifests if item["kind"] == "Service" and item["spec"].get("type") == "NodePort"]
    return front


def front_url(cluster: Cluster, manifests: Iterable[Manifest]) -> str:
    """Return the URL of the front, by its node port."""
    (port,) = _front(manifests)["spec"]["ports"]
    return f"http://{node_address(cluster)}:{port['nodePort']}/"


def tell_url(cluster: Cluster, manifests: Iterable[Manifest]) -> None:
    """Print where the front answers, or how to reach it if its node port cannot be reached from here."""
    front, url = _front(manifests), front_url(cluster, manifests)
    deadline = time.monotonic() + URL_SECONDS
    while not answers(url):
        if time.monotonic() > deadline:
            name, namespace = front["metadata"]["name"], front["metadata"]["namespace"]
            (port,) = front["spec"]["ports"]
            print(
                f"The pods are ready, but {url} does not answer here. Set NODE_ADDRESS to where it does, or run this:\n"
                f"  kubectl --context {cluster.context} -n {namespace} port-forward service/{name} 8081:{port['port']}"
            )
            return
        time.sleep(0.2)
    print(f"Ready: {url}")


def deploy(environment: str, assume_yes: bool) -> None:
    """Build the images, bring them to the cluster, apply the overlay with them, and wait until it runs.

    Raises:
        RefusedError: if something it needs is missing; nothing was changed then.
        FailedError: if a step does not succeed.
    """
    base, registry = overlay(environment), os.environ.get("REGISTRY", "")
    manifests = render(base)
    deployments = [manifest for manifest in manifests if manifest["kind"] == "Deployment"]
    require_docker()
    cluster = current_cluster()
    check_delivery(cluster, registry)
    source = revision()
    references = [(image, f"{image.at(registry)}:sha-{source}") for image in images_of(manifests)]
    listed = "".join(f"\n  image      {reference}" for _, reference in references)
    namespace = deployments[0]["metadata"]["namespace"]
    confirm(cluster, f"make deploy ENV={environment}{listed}\n  namespace  {namespace}", assume_yes)
    for image, reference in references:
        build(image, reference, source)
    delivered = [(image, deliver(cluster, reference, registry)) for image, reference in references]
    do([*cluster.kubectl, "apply", "--kustomize", write_kustomization(base, delivered)])
    for deployment in deployments:
        wait_for(cluster, deployment)
    tell_url(cluster, manifests)


def undeploy(environment: str, assume_yes: bool) -> None:
    """Delete what the overlay renders, its namespace and so all that is in it included.

    Raises:
        RefusedError: if there is no such overlay, or no cluster.
        FailedError: if the cluster does not delete it.
    """
    base = overlay(environment)
    namespaces = [item["metadata"]["name"] for item in render(base) if item["kind"] == "Namespace"]
    cluster = current_cluster()
    what = f"make undeploy ENV={environment}\n  deletes    the namespace {', '.join(namespaces)} and all that is in it"
    confirm(cluster, what, assume_yes)
    do([*cluster.kubectl, "delete", "--kustomize", base, "--ignore-not-found", f"--timeout={ROLLOUT_SECONDS}s"])


def main(arguments: list[str]) -> None:
    """Do what the command line says.

    Raises:
        RefusedError: if it is wrong, or cannot be begun.
        FailedError: if it does not succeed.
    """
    actions: dict[str, Callable[[str, bool], None]] = {"up": deploy, "down": undeploy}
    parser = Parser(prog="python -m tools.local.deploy")
    parser.add_argument("action", choices=actions)
    parser.add_argument("environment", metavar="ENV")
    parser.add_argument("--yes", action="store_true", default=os.environ.get("ASSUME_YES") == "1", help="do not ask")
    options = parser.parse_args(arguments)
    actions[options.action](options.environment, options.yes)


if __name__ == "__main__":
    sys.exit(run_program("deploy", lambda: main(sys.argv[1:])))
