"""What Kubernetes, Kustomize and Argo CD mean by what manifests say: manifests in, values out.

The one home of each meaning. What a case of tests/tools/test_manifests.py says was told differently in two places once.
"""

import re
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

Manifest = dict[str, Any]
FieldPath = tuple[str | int, ...]
NAMESPACE_NAME = "kubernetes.io/metadata.name"  # the label that Kubernetes itself gives every namespace


# --- fields


def get(value: Any, path: FieldPath) -> Any:
    """Return what a path leads to; None if nothing is there."""
    for step in path:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value


def fields(value: Any, path: FieldPath = ()) -> Iterator[tuple[FieldPath, Any]]:
    """Give every value below another that is no list or mapping, with the path to it."""
    if isinstance(value, dict | list):
        for step, below in value.items() if isinstance(value, dict) else enumerate(value):
            yield from fields(below, (*path, step))
    else:
        yield path, value


# --- names

# Kustomize writes a hash without the letters and digits that could make a word or be misread.
# https://github.com/kubernetes-sigs/kustomize/blob/master/api/hasher/hasher.go
HASH_LETTERS, HASH_LENGTH = "2456789bcdfghkmt", 10
_HASH = re.compile(rf"-[{HASH_LETTERS}]{{{HASH_LENGTH}}}$")
# `make seal` writes such a suffix, as Kustomize does of what it generates.
_GENERATED = ("ConfigMap", "Secret", "SealedSecret")
# No definition can bring a group without a dot; those below k8s.io are protected.
# https://github.com/kubernetes/enhancements/tree/master/keps/sig-api-machinery/2337-k8s.io-group-protection
# The Prometheus operator's and that of Sealed Secrets have no kind that is called like one of Kubernetes.
_OWN_GROUP = re.compile(r"\w*|.*\.k8s\.io|monitoring\.coreos\.com|bitnami\.com")


def title(manifest: Manifest) -> str:
    """Return what a message calls an object: its kind and its name."""
    return f"{manifest['kind']} {manifest['metadata']['name']}"


def group_of(manifest: Manifest) -> str:
    """Return the API group of an object; empty for the core's."""
    return str(manifest.get("apiVersion") or "").rpartition("/")[0]


def is_of_kubernetes(manifest: Manifest) -> bool:
    """Tell whether an object's kind is one of Kubernetes' own: others have a Service or an Ingress of theirs."""
    return bool(_OWN_GROUP.fullmatch(group_of(manifest)))


def namespace_of(manifest: Manifest) -> str:
    """Return the namespace that an object says it is in; empty for an object of the whole cluster."""
    return str(manifest["metadata"].get("namespace") or "")


def without_hash(name: str) -> str:
    """Return a generated name without the hash of the content."""
    return _HASH.sub("", name)


def base_name(manifest: Manifest) -> str:
    """Return an object's name, that of a ConfigMap or a Secret without the suffix that each content has of its own."""
    name = str(manifest["metadata"]["name"])
    return without_hash(name) if manifest["kind"] in _GENERATED else name


# --- selectors


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Tell whether a label selector selects what has these labels: an empty one everything, an absent one nothing.

    https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/label-selector/
    """
    if selector is None:
        return False
    wanted = selector.get("matchLabels") or {}
    return wanted.items() <= labels.items() and all(
        _holds(one, labels) for one in selector.get("matchExpressions") or []
    )


# An item of a selector that is a text: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
_REQUIREMENT = re.compile(
    r"(?P<no>!?)\s*(?P<key>[\w./-]+)\s*(?:(?P<sign>==?|!=)\s*(?P<value>[\w.-]*)|\b(?P<set>in|notin)\s*\((?P<values>[^)]*)\))?"
)


def selector_from(text: str) -> dict[str, Any]:
    """Return the label selector that a text such as `app=web,tier in (front, back),!canary` is."""
    found = []
    for one in _REQUIREMENT.finditer(text):
        if one["sign"] or one["set"]:
            values = one["value"].split() if one["sign"] else re.split(r"\s*,\s*", one["values"].strip())
            operator = "In" if one["sign"] in ("=", "==") or one["set"] == "in" else "NotIn"
            found.append({"key": one["key"], "operator": operator, "values": values or [""]})
        else:
            found.append({"key": one["key"], "operator": "DoesNotExist" if one["no"] else "Exists"})
    return {"matchExpressions": found}


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or []
    return {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }.get(expression["operator"], False)


def selector_of(manifest: Manifest) -> dict[str, Any] | None:
    """Return the label selector by which an object says which pods of its namespace it is about.

    None if it is about none; a Service without a selector has endpoints that somebody else keeps.
    """
    match manifest["kind"]:
        case "Service" | "ReplicationController":
            labels = get(manifest, ("spec", "selector"))
            return {"matchLabels": labels} if labels else None
        case "NetworkPolicy":
            return get(manifest, ("spec", "podSelector")) or {}
        case _:
            found: dict[str, Any] | None = get(manifest, ("spec", "selector"))
            return found


# The types of Services that have node ports.
NODE_PORT_TYPES = ("NodePort", "LoadBalancer")


def type_of(service: Manifest) -> str:
    """Return the type of a Service."""
    return str(service["spec"].get("type") or "ClusterIP")


# --- the Gateway API


def listeners_of(gateway: Manifest) -> Iterator[tuple[FieldPath, dict[str, Any]]]:
    """Give the listeners of a Gateway, each with its path."""
    for index, one in enumerate(get(gateway, ("spec", "listeners")) or []):
        yield ("spec", "listeners", index), one


def parents_of(route: Manifest) -> Iterator[tuple[FieldPath, dict[str, Any]]]:
    """Give what an HTTPRoute says it belongs to, each reference with its path."""
    for index, one in enumerate(get(route, ("spec", "parentRefs")) or []):
        yield ("spec", "parentRefs", index), one


def targets_of(probe: Manifest) -> Iterator[tuple[FieldPath, str]]:
    """Give the addresses that a Probe asks, each with its path."""
    path = ("spec", "targets", "staticConfig", "static")
    for index, one in enumerate(get(probe, path) or []):
        yield (*path, index), str(one)


def backends_of(route: Manifest) -> Iterator[tuple[FieldPath, dict[str, Any]]]:
    """Give the Services of its own namespace to which an HTTPRoute leads, each reference with its path."""
    for index, one in enumerate(get(route, ("spec", "rules")) or []):
        for number, backend in enumerate(one.get("backendRefs") or []):
            if backend.get("kind", "Service") == "Service" and not backend.get("namespace"):
                yield ("spec", "rules", index, "backendRefs", number), backend


# --- pods


class Read(NamedTuple):
    """What a pod reads of a ConfigMap or a Secret.

    Attributes:
        kind: ConfigMap or Secret
        name: the object's
        key: which of its keys; empty for all of them
        path: where that is said
        optional: whether it may be missing
    """

    kind: str
    name: str
    key: str
    path: FieldPath
    optional: bool


# Of an entry of env or envFrom: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#Container
_VARIABLES = {
    "configMapKeyRef": "ConfigMap",
    "secretKeyRef": "Secret",
    "configMapRef": "ConfigMap",
    "secretRef": "Secret",
}
_VOLUMES = {"configMap": ("ConfigMap", "name"), "secret": ("Secret", "secretName")}


def read_of(item: Mapping[str, Any], path: FieldPath = ()) -> Read | None:
    """Return what an entry of env or envFrom reads; None if it reads nothing."""
    origin, start = (item["valueFrom"], (*path, "valueFrom")) if "valueFrom" in item else (item, path)
    for source, kind in _VARIABLES.items():
        if found := origin.get(source):
            key = found.get("key", "")
            return Read(kind, found["name"], key, (*start, source, "key" if key else "name"), _is_optional(found))
    return None


def _read_by_volume(volume: Mapping[str, Any], path: FieldPath) -> Iterator[Read]:
    for source, (kind, name_field) in _VOLUMES.items():
        if found := volume.get(source):
            # In a projected volume, the name of a Secret is called as that of a ConfigMap.
            name = found.get(name_field) or found.get("name") or ""
            for index, item in enumerate(found.get("items") or []):
                yield Read(kind, name, item["key"], (*path, source, "items", index, "key"), _is_optional(found))
            if not found.get("items"):
                yield Read(kind, name, "", (*path, source), _is_optional(found))


def _is_optional(reference: Mapping[str, Any]) -> bool:
    return bool(reference.get("optional"))


def entries(manifest: Manifest) -> Iterator[tuple[FieldPath, str]]:
    """Give what a ConfigMap or a Secret holds, decoded; the last step of each path is the key."""
    for field in ("data", "stringData", "binaryData"):
        encoded = field == "binaryData" or (field, manifest["kind"]) == ("data", "Secret")
        for key, value in (manifest.get(field) or {}).items():
            yield (field, key), _decoded(value) if encoded and not is_encrypted(manifest) else str(value)


def keys_of(manifest: Manifest) -> Iterator[FieldPath]:
    """Give the keys of a ConfigMap or of a Secret, or of the Secret that a SealedSecret becomes, each with its path."""
    if manifest["kind"] == "SealedSecret":
        for field in (("spec", "encryptedData"), ("spec", "template", "data")):
            yield from ((*field, key) for key in get(manifest, field) or {})
    else:
        yield from (path for path, _ in entries(manifest))


def _decoded(value: str) -> str:
    return b64decode(value).decode(errors="replace")


def is_encrypted(manifest: Manifest) -> bool:
    """Tell whether SOPS has encrypted an object's values: https://getsops.io/docs/."""
    return get(manifest, ("sops", "mac")) is not None


@dataclass(frozen=True)
class Port:
    """A port that something listens on."""

    number: int
    protocol: str = "TCP"

    def __str__(self) -> str:
        return f"{self.number}/{self.protocol}"


def port_of(entry: Mapping[str, Any], ports: Mapping[str, Port], field: str = "port") -> Port | None:
    """Return the port that an entry of a list of ports is about.

    Args:
        entry: of a Service or a NetworkPolicy
        ports: those of the pods, by name: to these, a name in the entry belongs
        field: which one of the entry says it; where that is not set, a Service's targetPort is its port

    Returns:
        None if the pods have none of this name and protocol.
    """
    wanted, protocol = entry.get(field) or entry["port"], entry.get("protocol") or "TCP"
    if not isinstance(wanted, str):
        return Port(wanted, protocol)
    found = ports.get(wanted)
    return found if found and found.protocol == protocol else None


def target_of(entry: Mapping[str, Any], ports: Mapping[str, Port]) -> Port | None:
    """Return the port of the pods to which an entry of a Service's ports leads; None if they have none of its name."""
    return port_of(entry, ports, "targetPort")


@dataclass(frozen=True)
class Container:
    """A container of an object."""

    manifest: Manifest
    path: FieldPath

    @property
    def data(self) -> dict[str, Any]:
        """What it says."""
        found: dict[str, Any] = get(self.manifest, self.path)
        return found

    @property
    def template(self) -> Manifest:
        """That of its pod: metadata and specification."""
        found: Manifest = get(self.manifest, self.path[:-3])  # without spec, the list's name and the index
        return found

    @property
    def name(self) -> str:
        """Its name, with that of the object for a message."""
        return f"container '{self.data.get('name')}' of {title(self.manifest)}"

    @property
    def image(self) -> str:
        """What it runs; empty if it does not say."""
        return str(self.data.get("image") or "")

    @property
    def stays(self) -> bool:
        """Whether it runs beside the others: an init container ends before, unless it always restarts."""
        return "containers" in self.path or self.data.get("restartPolicy") == "Always"

    @property
    def ports(self) -> dict[str, Port]:
        """Its ports by name, one without a name by its number."""
        opened = [item for _, item in self.items("ports")]
        return {
            item.get("name") or str(item["containerPort"]): Port(item["containerPort"], item.get("protocol") or "TCP")
            for item in opened
        }

    def items(self, key: str) -> Iterator[tuple[FieldPath, dict[str, Any]]]:
        """Give the items of one of its lists, each with its path."""
        for index, item in enumerate(self.data.get(key) or []):
            yield (*self.path, key, index), item


@dataclass(frozen=True)
class Pod:
    """The pods of an object: a workload of any kind, or a pod itself."""

    manifest: Manifest
    path: FieldPath

    @property
    def spec(self) -> dict[str, Any]:
        """Their specification."""
        found: dict[str, Any] = get(self.manifest, (*self.path, "spec"))
        return found

    @property
    def labels(self) -> dict[str, str]:
        """Their labels."""
        return get(self.manifest, (*self.path, "metadata", "labels")) or {}

    @property
    def containers(self) -> list[Container]:
        """Their containers, init containers first; what has not the form of one is left to the API server."""
        return [
            Container(self.manifest, (*self.path, "spec", key, index))
            for key in ("initContainers", "containers")
            if isinstance(self.spec.get(key), list)
            for index, one in enumerate(self.spec[key])
            if isinstance(one, dict)
        ]

    @property
    def ports(self) -> dict[str, Port]:
        """The ports of those containers that stay, by name."""
        return {name: port for one in self.containers if one.stays for name, port in one.ports.items()}

    def reads(self) -> Iterator[Read]:
        """Give what they read of ConfigMaps and Secrets."""
        for container in self.containers:
            variables = [read_of(item, path) for key in ("env", "envFrom") for path, item in container.items(key)]
            yield from filter(None, variables)
        for index, volume in enumerate(self.spec.get("volumes") or []):
            path = (*self.path, "spec", "volumes", index)
            yield from _read_by_volume(volume, path)
            for number, source in enumerate(get(volume, ("projected", "sources")) or []):
                yield from _read_by_volume(source, (*path, "projected", "sources", number))
        for index, secret in enumerate(self.spec.get("imagePullSecrets") or []):
            yield Read("Secret", secret["name"], "", (*self.path, "spec", "imagePullSecrets", index), optional=False)


_TEMPLATES: dict[str, FieldPath] = {
    "Pod": (),
    "PodTemplate": ("template",),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}


def pod_of(manifest: Manifest) -> Pod | None:
    """Return the pods of an object; None if it has none. Other templates than those of pods have no containers."""
    path = _TEMPLATES.get(manifest["kind"], ("spec", "template"))
    return Pod(manifest, path) if isinstance(get(manifest, (*path, "spec", "containers")), list) else None


def pods_of(manifests: Iterable[Manifest]) -> list[Pod]:
    """Return the pods of those objects that have some."""
    return [pod for pod in map(pod_of, manifests) if pod]


# --- numbers

# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:[eE]([+-]?\d+)|([numkMGTPE]|[KMGTPE]i)?)")
_UNITS = {
    "": Decimal(1),
    **{unit: Decimal(1000) ** power for power, unit in enumerate(("n", "u", "m"), start=-3)},
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", start=1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", start=1)},
}


def quantity(value: Any) -> Decimal | None:
    """Return what a quantity is, in cores, bytes or pieces; None if it is none."""
    found = _QUANTITY.fullmatch(str(value))
    if not found:
        return None
    return Decimal(found[1]) * (Decimal(10) ** int(found[2]) if found[2] else _UNITS[found[3] or ""])


def share(value: int | str, whole: int, *, up: bool) -> int | None:
    """Return a number, or a percentage of a whole, rounded up or down; None for any other text."""
    if isinstance(value, int):
        return value
    percent = re.fullmatch(r"(\d+)%", value)
    return (int(percent[1]) * whole + (99 if up else 0)) // 100 if percent else None


def autoscalers_of(workload: Manifest, manifests: Iterable[Manifest]) -> list[Manifest]:
    """Return the autoscalers that set the number of a workload's pods."""
    wanted = workload["kind"], workload["metadata"]["name"]
    scalers = [one for one in manifests if one["kind"] == "HorizontalPodAutoscaler" and is_of_kubernetes(one)]
    targets = [(get(one, ("spec", "scaleTargetRef")) or {}, one) for one in scalers]
    return [one for target, one in targets if (target.get("kind"), target.get("name")) == wanted]


# By this annotation a Deployment says so, to what judges it without its autoscaler: deploy/platform, a diff.
LEFT_TO_AUTOSCALER: FieldPath = ("metadata", "annotations", "replicas")


def is_left_to_an_autoscaler(workload: Manifest | None) -> bool:
    """Tell whether a workload says that an autoscaler sets the number of its pods."""
    return bool(get(workload, LEFT_TO_AUTOSCALER) == "autoscaler")


def fewest_pods(workload: Manifest, manifests: Iterable[Manifest]) -> int:
    """Return how many pods a workload has at least: those that it asks for, or those that its autoscaler leaves."""
    scaler = next(iter(autoscalers_of(workload, manifests)), None)
    found: int = scaler["spec"].get("minReplicas", 1) if scaler else workload["spec"].get("replicas", 1)
    return found


# --- Argo CD's projects

# What Argo CD calls the cluster that it runs in.
_IN_CLUSTER = {"server": "https://kubernetes.default.svc", "name": "in-cluster"}


@dataclass(frozen=True)
class Project:
    """What Argo CD may deploy for an Application.

    https://argo-cd.readthedocs.io/en/stable/user-guide/projects/ and AppProject's methods in
    https://github.com/argoproj/argo-cd/blob/master/pkg/apis/application/v1alpha1/app_project_types.go

    Attributes:
        manifest: the AppProject
        destination: the Application's: `server` or `name` of a cluster
    """

    manifest: Manifest
    destination: Mapping[str, str]

    def permits(self, manifest: Manifest) -> bool:
        """Tell whether it may deploy an object; where a namespace is set, the object is taken to be in one."""
        namespace = manifest["metadata"].get("namespace")
        return self.permits_kind(manifest) and (namespace is None or self.permits_namespace(namespace))

    def permits_kind(self, manifest: Manifest) -> bool:
        """Tell whether it may deploy an object of this kind; one of the whole cluster, of this name too."""
        in_namespace = "namespace" in manifest["metadata"]
        scope, default = ("namespace", [{"group": "*", "kind": "*"}]) if in_namespace else ("cluster", [])
        allowed = get(self.manifest, ("spec", f"{scope}ResourceWhitelist"))
        denied = get(self.manifest, ("spec", f"{scope}ResourceBlacklist")) or []
        allowed = default if allowed is None else allowed
        return any(_lists(one, manifest) for one in allowed) and not any(_lists(one, manifest) for one in denied)

    def permits_namespace(self, namespace: str) -> bool:
        """Tell whether it may deploy into a namespace: an entry allows it, and none that begins with ! denies it."""
        at = _IN_CLUSTER if _IN_CLUSTER.items() & self.destination.items() else self.destination
        allowed = False
        for entry in get(self.manifest, ("spec", "destinations")) or []:
            fits = {key: key in at and _fits(entry.get(key) or "", at[key]) for key in ("server", "name")}
            fits["namespace"] = _fits(entry.get("namespace") or "", namespace)
            if fits["namespace"] and (fits["server"] or fits["name"]):
                allowed = True
            elif any(not fit and str(entry.get(key)).startswith("!") for key, fit in fits.items()):
                return False
        return allowed


def _lists(entry: Mapping[str, str], manifest: Manifest) -> bool:
    values = {"group": group_of(manifest), "kind": manifest["kind"]}
    named = entry.get("name") or "*"
    return fnmatchcase(manifest["metadata"]["name"], named) and all(
        fnmatchcase(value, entry.get(key) or "") for key, value in values.items()
    )


def _fits(pattern: str, text: str) -> bool:
    if pattern.startswith("!"):
        return not _fits(pattern[1:], text)
    head, brace, rest = pattern.partition("{")
    if brace:
        choices, _, tail = rest.partition("}")
        return any(_fits(f"{head}{choice}{tail}", text) for choice in choices.split(","))
    return fnmatchcase(text, pattern)


def project_of(argocd: Iterable[Manifest], overlay: str) -> Project | None:
    """Return the project of the Application that follows an overlay; None if none does.

    Args:
        argocd: Applications and AppProjects, among others
        overlay: the overlay's directory as an Application names it
    """
    objects = list(argocd)
    for application in objects:
        if application["kind"] == "Application" and get(application, ("spec", "source", "path")) == overlay:
            named = "AppProject", get(application, ("spec", "project"))
            projects = (one for one in objects if (one["kind"], one["metadata"]["name"]) == named)
            destination = get(application, ("spec", "destination")) or {}
            return next((Project(one, destination) for one in projects), None)
    return None
