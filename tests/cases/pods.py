"""A pod with one thing changed that Pod Security may look at."""

import copy
from collections.abc import Callable
from typing import Any

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
            spec["securityContext"].pop(key, None)
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
