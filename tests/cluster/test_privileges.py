"""What each container has, as a process in it sees it. That none reaches Kubernetes' API, test_network.py shows."""

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.cluster import IMAGE, Cluster, Release, running, smoke_test
from tests.support.product import API, BY_HAND, DEPLOYMENTS, FOLLOWED, PREFIX
from tools.render import render_deployed

SMOKE = f"{PREFIX}-smoke"
CONTAINERS = [*((FOLLOWED, name) for name in [*DEPLOYMENTS, SMOKE]), *((BY_HAND, name) for name in DEPLOYMENTS)]
# The runtime gives these to every container, and whoever runs in it may write there: memory of the pod's own that
# counts as such, and a file of which the kubelet reads 4 KiB. No field of a pod takes them away.
WRITABLE_ANYWHERE = {"/dev/shm", "/dev/mqueue", "/dev/termination-log"}
# The runtime mounts these, and more below /proc and /sys.
MOUNTED_ANYWHERE = WRITABLE_ANYWHERE | {"/", "/dev", "/dev/pts", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"}
# For any POSIX shell, BusyBox too. Makes a file in each directory that takes one, opens each file that may be written.
LOOK = rf"""
exec 2>/dev/null
echo '== processes'; cat /proc/[0-9]*/status
echo '== environment'; env; tr '\0' '\n' </proc/1/environ
echo '== namespaces'; for kind in ipc net pid uts; do readlink /proc/self/ns/$kind; done
echo '== hostname'; cat /proc/sys/kernel/hostname
echo '== mounts'; cat /proc/self/mounts
echo '== writable'
{{
  find / -path /proc -prune -o \( -type d -o -type f \) -print
  find /proc/sys \( -type d -o -type f \) -print
}} | while IFS= read -r path; do
  if [ -f "$path" ]; then
    if true >>"$path"; then echo "$path"; fi
  elif true >"$path/.{PREFIX}-e2e"; then
    echo "$path"
    rm "$path/.{PREFIX}-e2e"
  fi
done
"""
CAPABILITIES = [f"Cap{kind}" for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")]
Seen = dict[str, list[str]]


@dataclass(frozen=True, eq=False)
class Container:
    """The first container of a pod, and what its manifest in Git says: admission may add to the pod's own."""

    cluster: Cluster
    pod: dict[str, Any]
    declared: dict[str, Any]

    def look(self) -> Seen:
        """Return what a process in it sees, by section."""
        metadata, name = self.pod["metadata"], self.pod["spec"]["containers"][0]["name"]
        within = ["exec", metadata["name"], "-n", metadata["namespace"], "-c", name]
        seen: Seen = {}
        for line in self.cluster.kubectl(*within, "--", "sh", "-c", LOOK).splitlines():
            if line.startswith("== "):
                seen[line.removeprefix("== ")] = []
            else:
                seen[list(seen)[-1]].append(line)
        return seen

    def mounts(self, read_only: bool) -> set[str]:
        mounts = self.declared["containers"][0].get("volumeMounts", [])
        return {mount["mountPath"] for mount in mounts if mount.get("readOnly", False) == read_only}

    def secrets(self) -> set[str]:
        """Return the Secrets' keys that it is to know: SECRET/KEY."""
        variables = self.declared["containers"][0].get("env", [])
        references = [item["valueFrom"].get("secretKeyRef") for item in variables if "valueFrom" in item]
        return {f"{reference['name']}/{reference['key']}" for reference in references if reference}

    def secrets_among(self, values: set[str]) -> set[str]:
        """Return the Secrets' keys of its namespace whose values are among some."""
        return {
            f"{secret['metadata']['name']}/{key}"
            for secret in self.cluster.objects("secrets", self.pod["metadata"]["namespace"])
            for key, value in secret.get("data", {}).items()
            if base64.b64decode(value).decode() in values
        }


def faults(container: Container, seen: Seen, node: Seen) -> dict[str, list[str]]:
    """Return, by kind, what a container has that its manifest does not declare.

    `node` is what a container in the node's own namespaces sees.
    """
    user, group = (str(container.declared["securityContext"][key]) for key in ("runAsUser", "runAsGroup"))
    read_only, writable = container.mounts(read_only=True), container.mounts(read_only=False)
    mounts = [line.split()[1] for line in seen["mounts"]]
    variables = {line.partition("=")[2] for line in seen["environment"]}
    found = {
        "user": _others(seen, "Uid", user),
        "group": _others(seen, "Gid", group) + _others(seen, "Groups", group),
        "capabilities": [other for field in CAPABILITIES for other in _others(seen, field, "0" * 16)],
        "no_new_privs": _others(seen, "NoNewPrivs", "1"),
        "seccomp": _others(seen, "Seccomp", "2"),
        "writable": [path for path in seen["writable"] if not _is_in(path, writable | WRITABLE_ANYWHERE)],
        "mounts": [
            path
            for path in mounts
            if path not in read_only | writable | MOUNTED_ANYWHERE and not _is_in(path, {"/proc", "/sys"})
        ],
        "secrets": sorted(container.secrets_among(variables) - container.secrets()),
        "namespaces": [name for name in seen["namespaces"] if name in node["namespaces"]],
        "hostname": [name for name in seen["hostname"] if name != container.pod["metadata"]["name"]],
    }
    return {kind: what for kind, what in found.items() if what}


def _others(seen: Seen, field: str, value: str) -> list[str]:
    """Return what a field of /proc/PID/status holds, in any process that is seen, besides a value."""
    lines = [line for line in seen["processes"] if line.startswith(f"{field}:")]
    assert lines, f"no process tells its {field}: this look proves nothing"
    return sorted({f"{field} {word}" for line in lines for word in line.split()[1:] if word != value})


def _is_in(path: str, directories: set[str]) -> bool:
    return any(path == directory or path.startswith(f"{directory}/") for directory in directories)


@pytest.fixture(scope="module")
def weak(cluster: Cluster, scratch: str) -> Iterator[Container]:
    """A pod with nothing of what ours have, judged by what one of ours declares; in the node's own namespaces."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "anothers", "namespace": scratch},
        "stringData": {"PASSWORD": "demo-anothers"},
    }
    container = {
        "name": "weak",
        "image": IMAGE,
        "command": ["sleep", "300"],
        "envFrom": [{"secretRef": {"name": "anothers"}}],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "e2e-weak", "namespace": scratch},
        "spec": {
            **dict.fromkeys(["hostNetwork", "hostPID", "hostIPC"], True),
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsUser": 10002, "runAsGroup": 10002},
            "containers": [container],
        },
    }
    with running(cluster, [secret, pod]):
        yield Container(cluster, cluster.get("pod", "e2e-weak", scratch), _declared(FOLLOWED, API))


@pytest.fixture(scope="module")
def containers(followed: Release, by_hand: Release) -> Iterator[dict[tuple[str, str], Container]]:
    with smoke_test(followed, ["sleep", "300"]):
        found = {}
        for environment, name in CONTAINERS:
            release = {FOLLOWED: followed, BY_HAND: by_hand}[environment]
            release.cluster.wait_for_rollout(release.namespace)
            found[environment, name] = Container(release.cluster, release.pods(name)[0], _declared(environment, name))
        yield found


def _declared(environment: str, name: str) -> dict[str, Any]:
    """Return what Git says of the pods of a Deployment or Job."""
    (workload,) = [
        manifest
        for manifest in render_deployed(environment)
        if manifest["kind"] in {"Deployment", "Job"} and manifest["metadata"]["name"] == name
    ]
    declared: dict[str, Any] = workload["spec"]["template"]["spec"]
    return declared


@pytest.fixture(scope="module")
def looks(containers: dict[tuple[str, str], Container], weak: Container) -> dict[Container, Seen]:
    """What each container sees; all look at once."""
    looking = [weak, *containers.values()]
    with ThreadPoolExecutor(len(looking)) as pool:
        return dict(zip(looking, pool.map(Container.look, looking), strict=True))


@pytest.mark.parametrize("place", CONTAINERS, ids="/".join)
def test_container_has_only_what_its_manifest_declares(
    containers: dict[tuple[str, str], Container], weak: Container, looks: dict[Container, Seen], place: tuple[str, str]
) -> None:
    container = containers[place]
    assert faults(container, looks[container], looks[weak]) == {}
    assert container.mounts(read_only=False) <= set(looks[container]["writable"]), "else nothing else proves much"


def test_container_without_limits_is_told_apart(weak: Container, looks: dict[Container, Seen]) -> None:
    """Each kind of fault is found where it is."""
    found = faults(weak, looks[weak], looks[weak])
    assert len(found) == 10, found.keys()
    assert "/var/tmp" in found["writable"], "the image's own file system"
    assert any(path.endswith("/serviceaccount") for path in found["mounts"]), (
        "the token that Kubernetes mounts by default"
    )
    assert found["secrets"] == ["anothers/PASSWORD"]
    assert len(found["namespaces"]) == 4
