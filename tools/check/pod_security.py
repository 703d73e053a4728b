"""The restricted level of Pod Security; tests/cluster compares this with what a real API server refuses.

https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
"""

from collections.abc import Iterator
from typing import Any

from tools.check.catalogue import rule
from tools.check.rendering import Problem, Rendering
from tools.manifests import Container, FieldPath, Manifest, Pod, get, title

# A field that is refused, and what it must be.
Refusal = tuple[Manifest, FieldPath, str]
# A field of a securityContext, and the values that it may have; None stands for one that does not say it.
Allowed = list[tuple[FieldPath, tuple[Any, ...]]]

_ENFORCE = "pod-security.kubernetes.io/enforce"
_OF_PODS: Allowed = [(("hostNetwork",), (None, False)), (("hostPID",), (None, False)), (("hostIPC",), (None, False))]
_OF_CONTAINERS: Allowed = [
    (("privileged",), (None, False)),
    (("allowPrivilegeEscalation",), (False,)),
    (("procMount",), (None, "Default")),
]
# Of each container, or of its pod for those of its containers that do not say it.
_REQUIRED: Allowed = [(("runAsNonRoot",), (True,)), (("seccompProfile", "type"), ("RuntimeDefault", "Localhost"))]
_OF_BOTH: Allowed = [
    *((path, (None, *values)) for path, values in _REQUIRED),
    (
        ("seLinuxOptions", "type"),
        (None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"),
    ),
    (("seLinuxOptions", "user"), (None, "")),
    (("seLinuxOptions", "role"), (None, "")),
    (("appArmorProfile", "type"), (None, "RuntimeDefault", "Localhost")),
    (("windowsOptions", "hostProcess"), (None, False)),
]
_VOLUMES = ("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret")
_SYSCTLS = (
    "kernel.shm_rmid_forced",
    *(f"net.ipv4.ip_{name}" for name in ("local_port_range", "unprivileged_port_start", "local_reserved_ports")),
    *(f"net.ipv4.tcp_{name}" for name in ("syncookies", "fin_timeout", "rmem", "wmem")),
    *(f"net.ipv4.tcp_keepalive_{name}" for name in ("time", "intvl", "probes")),
    "net.ipv4.ping_group_range",
)
# Where a request can be sent to another host than the pod.
_REQUESTS: list[FieldPath] = [
    (*start, action, kind)
    for start, actions in (
        ((), ("livenessProbe", "readinessProbe", "startupProbe")),
        (("lifecycle",), ("postStart", "preStop")),
    )
    for action in actions
    for kind in ("httpGet", "tcpSocket")
]


@rule(
    "pod-security",
    why=(
        "The namespace refuses such a pod, so a rollout stands still; a namespace that does not enforce the level "
        "lets in pods that can leave their container."
    ),
    remedy="Set the field to the value that the message names, in the base rather than in an overlay.",
)
def pod_security(rendering: Rendering) -> Iterator[Problem]:
    """What the restricted level of Pod Security refuses, and a namespace that does not enforce it."""
    for namespace in rendering.of_kind("Namespace"):
        if get(namespace, ("metadata", "labels", _ENFORCE)) != "restricted":
            yield rendering.problem(
                namespace,
                ("metadata", "labels", _ENFORCE),
                f"{title(namespace)} does not enforce the restricted level of Pod Security",
                f"label it {_ENFORCE}: restricted",
            )
    for pod in rendering.pods:
        for manifest, path, wanted in refusals(pod):
            field = ".".join(map(str, path))
            said = f"{title(manifest)} has {field}: {get(manifest, path)!r}, which Pod Security (restricted) refuses"
            yield rendering.problem(manifest, path, said, f"make it {wanted}")


def refusals(pod: Pod) -> Iterator[Refusal]:
    """Give the fields of a pod that are refused."""
    spec: FieldPath = (*pod.path, "spec")
    yield from _outside(pod.manifest, spec, _OF_PODS)
    yield from _of_context(pod.manifest, (*spec, "securityContext"))
    for index, sysctl in enumerate(get(pod.spec, ("securityContext", "sysctls")) or []):
        if sysctl["name"] not in _SYSCTLS:
            yield pod.manifest, (*spec, "securityContext", "sysctls", index, "name"), f"one of {', '.join(_SYSCTLS)}"
    for index, volume in enumerate(pod.spec.get("volumes") or []):
        for source in volume.keys() - {"name", *_VOLUMES}:
            yield pod.manifest, (*spec, "volumes", index, source), f"one of {', '.join(_VOLUMES)}"
    for container in pod.containers:
        yield from _of_container(container, (*spec, "securityContext"))


def _of_container(container: Container, of_pod: FieldPath) -> Iterator[Refusal]:
    manifest, own = container.manifest, (*container.path, "securityContext")
    yield from _outside(manifest, own, _OF_CONTAINERS)
    yield from _of_context(manifest, own)
    for path, _ in _REQUIRED:
        if get(manifest, (*own, *path)) is None and get(manifest, (*of_pod, *path)) is None:
            yield manifest, (*of_pod, *path), "true" if path == ("runAsNonRoot",) else "RuntimeDefault"
    yield from _of_capabilities(manifest, (*own, "capabilities"))
    for path, port in container.items("ports"):
        if port.get("hostPort"):
            yield manifest, (*path, "hostPort"), "absent: a Service is the way in"
    for request in _REQUESTS:
        if get(manifest, (*container.path, *request, "host")):
            yield manifest, (*container.path, *request, "host"), "absent: the pod itself is asked"


def _of_capabilities(manifest: Manifest, path: FieldPath) -> Iterator[Refusal]:
    if "ALL" not in (get(manifest, (*path, "drop")) or []):
        yield manifest, (*path, "drop"), "[ALL]"
    if set(get(manifest, (*path, "add")) or []) - {"NET_BIND_SERVICE"}:
        yield manifest, (*path, "add"), "empty, or [NET_BIND_SERVICE]"


def _of_context(manifest: Manifest, context: FieldPath) -> Iterator[Refusal]:
    yield from _outside(manifest, context, _OF_BOTH)
    if get(manifest, (*context, "runAsUser")) == 0:
        yield manifest, (*context, "runAsUser"), "another user than 0"


def _outside(manifest: Manifest, start: FieldPath, fields: Allowed) -> Iterator[Refusal]:
    for path, allowed in fields:
        if get(manifest, (*start, *path)) not in allowed:
            wanted = [str(value).lower() if isinstance(value, bool) else str(value) for value in allowed if value != ""]
            yield manifest, (*start, *path), " or ".join(wanted).replace("None", "absent")
