"""What `make check` says of a pod's security is what the API server says of it."""

import copy
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.cluster import Cluster, Measure
from tests.support.product import FOLLOWED, PREFIX
from tests.support.waiting import eventually
from tools.check.pod_security import refusals
from tools.local.container import pod_of
from tools.manifests import Manifest, Pod
from tools.render import render
from tools.repository import OVERLAYS

NAMESPACE = f"{PREFIX}-pod-security"
Spec = dict[str, Any]
PROBE = {"httpGet": {"path": "/", "port": 80, "host": "192.0.2.1"}}


def of_pod(**fields: Any) -> Callable[[Spec], None]:
    return lambda spec: spec.update(fields)


def of_pod_context(**fields: Any) -> Callable[[Spec], None]:
    return lambda spec: spec["securityContext"].update(fields)


def of_container(**fields: Any) -> Callable[[Spec], None]:
    return lambda spec: spec["containers"][0].update(fields)


def of_context(**fields: Any) -> Callable[[Spec], None]:
    return lambda spec: spec["containers"][0]["securityContext"].update(fields)


def without(*keys: str) -> Callable[[Spec], None]:
    """Take a field of the container's securityContext away, or of the pod's if the container does not have it."""

    def change(spec: Spec) -> None:
        for key in keys:
            for owner in (spec["containers"][0]["securityContext"], spec["securityContext"]):
                owner.pop(key, None)

    return change


def on_the_container_alone(**fields: Any) -> Callable[[Spec], None]:
    def change(spec: Spec) -> None:
        for key in fields:
            spec["securityContext"].pop(key)
        of_context(**fields)(spec)

    return change


def at_the_start(**fields: Any) -> Callable[[Spec], None]:
    """Add a container at the start that differs from the first in its securityContext."""

    def change(spec: Spec) -> None:
        first = copy.deepcopy(spec["containers"][0])
        for key in ("lifecycle", "startupProbe", "readinessProbe", "livenessProbe"):
            first.pop(key, None)
        first |= {"name": "start", "securityContext": first["securityContext"] | fields}
        spec["initContainers"] = [first]

    return change


def volume(**source: Any) -> Callable[[Spec], None]:
    return lambda spec: spec["volumes"].append({"name": "more", **source})


CHANGES: dict[str, Callable[[Spec], None]] = {
    "none": of_pod(),
    "host-network": of_pod(hostNetwork=True),
    "host-pid": of_pod(hostPID=True),
    "host-ipc": of_pod(hostIPC=True),
    "no-host-network": of_pod(hostNetwork=False),
    "root-allowed": of_pod_context(runAsNonRoot=False),
    "root-allowed-by-the-pod-alone": lambda spec: (
        of_pod_context(runAsNonRoot=False)(spec),
        of_context(runAsNonRoot=True)(spec),
    )[0],
    "root-allowed-by-the-container": of_context(runAsNonRoot=False),
    "root-not-spoken-of": without("runAsNonRoot"),
    "non-root-on-the-container": on_the_container_alone(runAsNonRoot=True),
    "user-0": of_pod_context(runAsUser=0),
    "user-0-of-the-container": of_context(runAsUser=0),
    "another-user": of_context(runAsUser=2000),
    "no-seccomp": without("seccompProfile"),
    "seccomp-unconfined": of_pod_context(seccompProfile={"type": "Unconfined"}),
    "seccomp-unconfined-by-the-container": of_context(seccompProfile={"type": "Unconfined"}),
    "seccomp-local": of_pod_context(seccompProfile={"type": "Localhost", "localhostProfile": "a.json"}),
    "seccomp-on-the-container": on_the_container_alone(seccompProfile={"type": "RuntimeDefault"}),
    "privileged": of_context(privileged=True, allowPrivilegeEscalation=True),
    "escalation": of_context(allowPrivilegeEscalation=True),
    "escalation-not-spoken-of": without("allowPrivilegeEscalation"),
    "no-capability-dropped": without("capabilities"),
    "one-capability-dropped": of_context(capabilities={"drop": ["NET_RAW"]}),
    "net-bind-service": of_context(capabilities={"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}),
    "sys-time": of_context(capabilities={"drop": ["ALL"], "add": ["SYS_TIME"]}),
    "writable-root": of_context(readOnlyRootFilesystem=False),
    "selinux-type": of_context(seLinuxOptions={"type": "container_t"}),
    "selinux-other-type": of_pod_context(seLinuxOptions={"type": "spc_t"}),
    "selinux-user": of_context(seLinuxOptions={"user": "system_u"}),
    "selinux-role": of_context(seLinuxOptions={"role": "system_r"}),
    "apparmor": of_pod_context(appArmorProfile={"type": "RuntimeDefault"}),
    "apparmor-unconfined": of_context(appArmorProfile={"type": "Unconfined"}),
    "safe-sysctl": of_pod_context(sysctls=[{"name": "net.ipv4.tcp_syncookies", "value": "1"}]),
    "newer-safe-sysctl": of_pod_context(sysctls=[{"name": "net.ipv4.tcp_rmem", "value": "4096 87380 16777216"}]),
    "sysctl": of_pod_context(sysctls=[{"name": "kernel.msgmax", "value": "65536"}]),
    "host-port": of_container(ports=[{"containerPort": 8000, "hostPort": 8000}]),
    "probe-of-another-host": of_container(readinessProbe=PROBE),
    "hook-to-another-host": of_container(lifecycle={"preStop": PROBE}),
    "root-at-the-start": at_the_start(runAsNonRoot=False),
    "hardened-at-the-start": at_the_start(),
    "host-path": volume(hostPath={"path": "/tmp"}),
    "nfs": volume(nfs={"server": "192.0.2.1", "path": "/"}),
    "claim": volume(persistentVolumeClaim={"claimName": "a"}),
    "projected": volume(projected={"sources": [{"downwardAPI": {"items": []}}]}),
    "ephemeral-driver": volume(csi={"driver": "example.org"}),
}


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace labelled as an overlay labels its own."""
    (found,) = [one for one in render(OVERLAYS / FOLLOWED) if one["kind"] == "Namespace"]
    found["metadata"]["name"] = NAMESPACE
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(found))
    # A pod is refused as long as its service account is not there.
    account = ("get", "serviceaccount/default", "-n", NAMESPACE)
    eventually(lambda: cluster.try_kubectl(*account).returncode == 0, 30, "the namespace has its service account")
    yield NAMESPACE
    cluster.kubectl("delete", f"namespace/{NAMESPACE}", "--timeout=60s")


def changed_pods() -> dict[str, Manifest]:
    """Return a pod of the API for each change, by the change's name."""
    deployment = pod_of(render(OVERLAYS / FOLLOWED), "api")
    deployment.pop("serviceAccountName")
    pods: dict[str, Manifest] = {}
    for name, change in CHANGES.items():
        spec = copy.deepcopy(deployment)
        change(spec)
        pods[name] = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    return pods


def test_check_and_the_api_server_refuse_the_same_pods(cluster: Cluster, namespace: str, measure: Measure) -> None:
    pods = changed_pods()
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(pods.values())})
    done = cluster.try_kubectl("create", "--dry-run=server", "-n", namespace, "-f", "-", stdin=listed)
    accepted = set(re.findall(r"^pod/(\S+) created", done.stdout, re.MULTILINE))
    refused = set(re.findall(r'pods "(\S+)" is forbidden: violates PodSecurity "restricted', done.stderr))
    # An API server that allows no privileged pod at all says so before Pod Security is asked.
    refused |= set(
        re.findall(r'Pod "(\S+)" is invalid: .*privileged: Forbidden: disallowed by cluster policy', done.stderr)
    )
    assert accepted | refused == set(pods), done.stderr
    assert {name for name, pod in pods.items() if any(refusals(Pod(pod, ())))} == refused
    assert "none" in accepted
    measure("pods-judged", len(pods))
    measure("pods-refused", len(refused))
