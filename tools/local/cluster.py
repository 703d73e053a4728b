"""make cluster: a Kubernetes of one's own, by kind, with a registry beside it; for `make deploy` and `make e2e`."""

import argparse
import re

from tools.command import FailedError, RefusedError, ask, do, require, require_docker
from tools.images import images_of
from tools.render import render
from tools.repository import OVERLAYS, REPOSITORY, environments
from tools.texts import read_yaml

CONFIG = REPOSITORY / "tools" / "local" / "kind.yaml"
NODE_IMAGE = "kindest/node"
REGISTRY_IMAGE = "registry:3"
REGISTRY_PORT = 5001  # not 5000, which macOS keeps for itself
PUSHED = f"127.0.0.1:{REGISTRY_PORT}"  # where this machine pushes; at ::1, which is localhost too, another may listen
READY = """
Ready: make deploy ENV={environment}

For make e2e:
  export KUBECONFIG="${{KUBECONFIG:-$HOME/.kube/config}}"
  export REGISTRY={registry} NODE_ADDRESS=127.0.0.1 HOST_ADDRESS={host}
"""


def cluster(kubernetes: str = "") -> None:
    """Make the cluster that kind.yaml describes, or keep it if it is there, and make it kubectl's current one.

    Args:
        kubernetes: the version of a new one (1.36.1); empty for kind's own default

    Raises:
        RefusedError: if Docker or kind is missing, or that is not a version.
        FailedError: if kind or Docker cannot make it.
    """
    if kubernetes and not re.fullmatch(r"\d+\.\d+\.\d+", kubernetes):
        raise RefusedError(f"KUBERNETES={kubernetes} is not a version: give all three numbers, as in KUBERNETES=1.36.1")
    image = ["--image", f"{NODE_IMAGE}:v{kubernetes}"] if kubernetes else []
    require_docker()
    require("kind", "install 0.32 or later (https://kind.sigs.k8s.io/docs/user/quick-start/#installation)")
    registries = mirrored()
    name = read_yaml(CONFIG)[0]["name"]
    if name in _words("kind", "get", "clusters"):
        print(f"The cluster '{name}' is there already: it is kept ('kind delete cluster --name {name}' removes it).")
        do(["kind", "export", "kubeconfig", "--name", name])
    else:
        do(["kind", "create", "cluster", "--config", CONFIG, "--wait", "120s", *image])
    local = f"{name}-registry"
    start_registry(local)
    for node in _words("kind", "get", "nodes", "--name", name):
        for registry in registries:
            mirror(node, registry, local)
    gateways = _words("docker", "network", "inspect", "kind", "--format", "{{range .IPAM.Config}}{{.Gateway}} {{end}}")
    host = next((gateway for gateway in gateways if ":" not in gateway), "host.docker.internal")
    print(READY.format(registry=PUSHED, host=host, environment=environments()[0]))


def start_registry(name: str) -> None:
    """Start the registry of a name, on this machine's loopback address and on the cluster's network.

    Raises:
        FailedError: if Docker cannot.
    """
    if ask("docker", "container", "inspect", name).returncode:
        published = f"127.0.0.1:{REGISTRY_PORT}:5000"
        do(
            [
                "docker",
                "run",
                "--detach",
                "--publish",
                published,
                "--network",
                "kind",
                "--name",
                name,
                REGISTRY_IMAGE,
            ]
        )
    else:
        do(["docker", "start", name])


def mirrored() -> list[str]:
    """Return the registries in whose place a node asks the local one first: its own name, and what the overlays name.

    containerd asks the real registry for what is not there. https://kind.sigs.k8s.io/docs/user/local-registry/
    """
    images = [image for name in environments() for image in images_of(render(OVERLAYS / name))]
    return [PUSHED, *sorted({image.name.partition("/")[0] for image in images})]


def mirror(node: str, registry: str, local: str) -> None:
    """Make a node's containerd look into the local registry first, when it is to take something of another.

    Raises:
        FailedError: if the node cannot be written to.
    """
    path = f"/etc/containerd/certs.d/{registry}"
    hosts = f'[host."http://{local}:5000"]\n'
    write = ["docker", "exec", "--interactive", node, "sh", "-c", f"mkdir -p {path} && cat >{path}/hosts.toml"]
    done = ask(*write, sent=hosts)
    if done.returncode:
        raise FailedError(f"the node {node} cannot be told of the local registry: {done.stderr.strip()}")


def _words(*command: str) -> list[str]:
    """Return the words that a command prints.

    Raises:
        FailedError: if it does not succeed.
    """
    said = ask(*command)
    if said.returncode:
        raise FailedError(f"this ended with status {said.returncode}: {' '.join(command)}: {said.stderr.strip()}")
    return said.stdout.split()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument(
        "kubernetes",
        metavar="KUBERNETES",
        nargs="?",
        default="",
        help="a version that kind has a node image of, such as 1.36.1 (default: the newest that kind knows)",
    )


def main(options: argparse.Namespace) -> int:
    """Do what the command line says.

    Raises:
        RefusedError: if it cannot be begun.
        FailedError: if a step does not succeed.
    """
    cluster(options.kubernetes)
    return 0
