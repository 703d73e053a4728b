"""Names that one object uses and another must have: Kubernetes accepts most wrong ones without a word."""

import re
from collections.abc import Iterator
from typing import Any

from tools.check.catalogue import Scope, rule
from tools.check.rendering import Problem, Rendering, Tree, nearest
from tools.manifests import (
    Container,
    FieldPath,
    Manifest,
    Pod,
    Read,
    backends_of,
    get,
    keys_of,
    parents_of,
    port_of,
    selector_of,
    selects,
    targets_of,
    title,
)

# service.namespace.svc, perhaps with the cluster's domain, perhaps with a port; or a URL whose host is a Service alone.
# A name is tried from its beginning only: else a long line would take the square of its length.
_HOST = re.compile(
    r"(?<![a-z0-9-])(?P<service>[a-z0-9-]+)\.(?P<namespace>[a-z0-9-]*)\.svc\b(?:\.[a-z][a-z.]*[a-z])?(?::(?P<port>\d+))?"
    r"|(?:https?|tcp)://(?P<alone>[a-z0-9-]+)(?::(?P<alone_port>\d+))?(?![\w.:@-])"
)
# What makes a Secret in the cluster, and where it may give it another name than its own: of Sealed Secrets, of the
# External Secrets Operator and of cert-manager.
_MAKERS: dict[str, FieldPath] = {
    "SealedSecret": ("metadata", "name"),
    "ExternalSecret": ("spec", "target", "name"),
    "Certificate": ("spec", "secretName"),
}
# By which a controller marks the pods that it makes itself: of cert-manager, those that answer a challenge.
_MADE_PODS = {"acme.cert-manager.io/http01-solver"}
# What the rules on ports say of themselves.
_A_NUMBER = "A number is a note: a program may listen on a port that its container does not declare."
# Kubernetes itself makes it in each namespace.
_OF_EACH_NAMESPACE = ("ConfigMap", "kube-root-ca.crt")
_DIRECTIONS = (("ingress", "from"), ("egress", "to"))


@rule(
    "selector",
    why=(
        "Traffic goes nowhere, a policy protects nobody, a budget counts nothing; Kubernetes accepts it without a word."
    ),
    remedy="Select labels that the pods' template has.",
    closed=True,
)
def selectors(rendering: Rendering) -> Iterator[Problem]:
    """A selector that selects no pod."""
    templates = [get(one, ("spec", "template", "metadata", "labels")) or {} for one in rendering.objects]
    # A kind that nobody knows here makes pods of its template, even if that has no containers.
    pods = [pod.labels for pod in rendering.pods] + [labels for labels in templates if labels]
    labels = [f"{key}={value}" for pod in pods for key, value in pod.items()]
    for manifest, path, selector in _selectors(rendering):
        if not any(selects(selector, pod) for pod in pods):
            if _MADE_PODS & ((selector or {}).get("matchLabels") or {}).keys():
                continue
            if selector is None:
                reason = f"{title(manifest)} selects no pod: it has no selector"
                yield rendering.problem(manifest, path, reason, "give it one")
                continue
            wanted = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
            missing = next((label for label in wanted if label not in labels), "")
            key = (missing.partition("=")[0],) if missing else ()
            yield rendering.problem(
                manifest,
                (*path, *key),
                f"{title(manifest)} selects no pod: none has {missing or 'all of this'}",
                f"select labels that a pod has{nearest(missing, labels)}",
            )


def _selectors(rendering: Rendering) -> Iterator[tuple[Manifest, FieldPath, dict[str, Any] | None]]:
    """Give every selector of pods: where its labels are, and itself."""
    for service in rendering.of_kind("Service"):
        if selector := selector_of(service):
            yield service, ("spec", "selector"), selector
    for budget in rendering.of_kind("PodDisruptionBudget"):
        yield budget, ("spec", "selector", "matchLabels"), selector_of(budget)
    for policy in rendering.of_kind("NetworkPolicy"):
        yield policy, ("spec", "podSelector", "matchLabels"), selector_of(policy)
        yield from ((policy, (*path, "matchLabels"), get(policy, path)) for path in _peers(policy))
    for monitor in _pod_monitors(rendering):
        yield monitor, ("spec", "selector", "matchLabels"), selector_of(monitor)
    for pod in rendering.pods:
        for index, spread in enumerate(pod.spec.get("topologySpreadConstraints") or []):
            path = (*pod.path, "spec", "topologySpreadConstraints", index, "labelSelector")
            yield pod.manifest, (*path, "matchLabels"), spread.get("labelSelector")


def _peers(policy: Manifest) -> Iterator[FieldPath]:
    """Give the selectors of a NetworkPolicy's peers, those of this namespace: pods of others are not known here."""
    for direction, side in _DIRECTIONS:
        for index, allowed in enumerate(get(policy, ("spec", direction)) or []):
            for number, peer in enumerate(allowed.get(side) or []):
                if "podSelector" in peer and "namespaceSelector" not in peer:
                    yield ("spec", direction, index, side, number, "podSelector")


@rule(
    "service-port",
    why=f"Connections to the Service are refused, and Kubernetes accepts it without a word. {_A_NUMBER}",
    remedy="Send to a port that a container opens, by its name or its number.",
)
def service_ports(rendering: Rendering) -> Iterator[Problem]:
    """A port of a Service that no container of its pods opens, or of a route that its Service does not have."""
    for service in rendering.of_kind("Service"):
        pods = rendering.selected(selector_of(service))
        ports = get(service, ("spec", "ports")) or []
        for index, port in enumerate(ports):
            path: FieldPath = ("spec", "ports", index)
            field = "targetPort" if "targetPort" in port else "port"
            if pods and (problem := _unopened(rendering, service, (*path, field), pods, "sends to")):
                yield problem
    yield from _ports_of_routes(rendering)


def _ports_of_routes(rendering: Rendering) -> Iterator[Problem]:
    for route in rendering.of_kind("HTTPRoute"):
        for path, backend in backends_of(route):
            behind = rendering.find("Service", backend["name"])
            known = [str(one["port"]) for one in behind["spec"].get("ports") or []] if behind else []
            if known and str(backend.get("port")) not in known:
                reason = f"{title(route)} sends to port {backend.get('port')}, which {backend['name']} does not have"
                yield rendering.problem(route, (*path, "port"), reason, f"take one that it has: {', '.join(known)}")


@rule(
    "policy-port",
    why=f"The policy opens a port that nobody listens on, and keeps shut the one that was meant. {_A_NUMBER}",
    remedy="Name a port that the pods open.",
)
def policy_ports(rendering: Rendering) -> Iterator[Problem]:
    """A port of a NetworkPolicy that the pods it is about do not open."""
    for policy in rendering.of_kind("NetworkPolicy"):
        own = rendering.selected(selector_of(policy))
        for direction, side in _DIRECTIONS:
            for index, allowed in enumerate(get(policy, ("spec", direction)) or []):
                pods = own if direction == "ingress" else _reached(rendering, allowed.get(side) or [])
                for number, port in enumerate(allowed.get("ports") or []):
                    path: FieldPath = ("spec", direction, index, "ports", number, "port")
                    if pods and "port" in port and "endPort" not in port:
                        yield from filter(None, [_unopened(rendering, policy, path, pods, "allows")])


def _reached(rendering: Rendering, peers: list[dict[str, Any]]) -> list[Pod]:
    """Return the pods that a rule lets others reach; none if some of them are not known here."""
    if any(peer.keys() != {"podSelector"} for peer in peers):
        return []
    return [pod for peer in peers for pod in rendering.selected(peer["podSelector"])]


def _pod_monitors(rendering: Rendering) -> Iterator[Manifest]:
    """Give those of pods of their own namespace: others are not known here."""
    return (one for one in rendering.of_kind("PodMonitor") if not get(one, ("spec", "namespaceSelector")))


@rule(
    "monitor-port",
    why="Prometheus scrapes nothing, and Kubernetes accepts it without a word: alerts of these metrics never fire.",
    remedy="Name a port that a container opens.",
)
def monitor_ports(rendering: Rendering) -> Iterator[Problem]:
    """A port of a PodMonitor that no container of its pods opens."""
    for monitor in _pod_monitors(rendering):
        pods = rendering.selected(selector_of(monitor))
        for index, endpoint in enumerate(get(monitor, ("spec", "podMetricsEndpoints")) or []):
            path: FieldPath = ("spec", "podMetricsEndpoints", index, "port")
            if pods and "port" in endpoint:
                yield from filter(None, [_unopened(rendering, monitor, path, pods, "scrapes")])


@rule(
    "probe-port",
    why=f"The probe never succeeds, so the pod gets no traffic, or is restarted again and again. {_A_NUMBER}",
    remedy="Name a port of the same container.",
)
def probe_ports(rendering: Rendering) -> Iterator[Problem]:
    """A probe, or a hook, of a port that its container does not open."""
    for container in rendering.containers:
        opened = [value for name, port in container.ports.items() for value in (name, port.number)]
        for action in ("startupProbe", "readinessProbe", "livenessProbe"):
            for kind in ("httpGet", "tcpSocket", "grpc"):
                path = (*container.path, action, kind, "port")
                port = get(container.manifest, path)
                if port is not None and port not in opened:
                    yield rendering.problem(
                        container.manifest,
                        path,
                        f"the {action} of {container.name} asks port '{port}', which it does not open",
                        f"name one of its ports{nearest(str(port), map(str, opened))}",
                        note=isinstance(port, int),
                    )


def _unopened(rendering: Rendering, manifest: Manifest, path: FieldPath, pods: list[Pod], verb: str) -> Problem | None:
    entry, port = get(manifest, path[:-1]), get(manifest, path)
    if any(port_of(entry, pod.ports, str(path[-1])) in pod.ports.values() for pod in pods):
        return None
    opened = [str(value) for pod in pods for name, one in pod.ports.items() for value in (name, one.number)]
    return rendering.problem(
        manifest,
        path,
        f"{title(manifest)} {verb} port '{port}', which no container of the pods there opens",
        f"name a port that they open{nearest(str(port), opened)}",
        note=isinstance(port, int),
    )


@rule(
    "reference",
    why="The pod cannot start: it waits for an object that nobody makes.",
    remedy="Name an object of the overlay, or let a generator or a resource make it.",
    closed=True,
)
def references(rendering: Rendering) -> Iterator[Problem]:
    """The name of an object that is not there."""
    made = {("Secret", name) for name in made_secrets(rendering)} | {_OF_EACH_NAMESPACE}
    for manifest, kind, name, path in _references(rendering):
        if not rendering.find(kind, name) and (kind, name) not in made:
            present = [one["metadata"]["name"] for one in rendering.of_kind(kind)]
            yield rendering.problem(
                manifest,
                path,
                f"{title(manifest)} names the {kind} '{name}', which the overlay does not make",
                f"make it, or name one that is there{nearest(name, present)}",
            )


def made_secrets(rendering: Rendering) -> set[str]:
    """Return the names of the Secrets that the overlay makes, or that it has a controller make."""
    own = {one["metadata"]["name"] for one in rendering.of_kind("Secret")}
    return own | {_secret_of(one) for one in rendering.objects if one["kind"] in _MAKERS}


def _sealed(rendering: Rendering, read: Read) -> Manifest | None:
    """Return the SealedSecret that becomes the Secret which is read; None if there is none."""
    sealed = rendering.of_kind("SealedSecret")
    return next((one for one in sealed if (read.kind, read.name) == _identity(one)), None)


def _identity(manifest: Manifest) -> tuple[str, str]:
    """Return the kind and the name of what pods read: an object, or the Secret that it becomes."""
    if manifest["kind"] in _MAKERS:
        return "Secret", _secret_of(manifest)
    return manifest["kind"], manifest["metadata"]["name"]


def _secret_of(maker: Manifest) -> str:
    return str(get(maker, _MAKERS[maker["kind"]]) or maker["metadata"]["name"])


def _references(rendering: Rendering) -> Iterator[tuple[Manifest, str, str, FieldPath]]:
    for pod in rendering.pods:
        yield from ((pod.manifest, one.kind, one.name, one.path) for one in pod.reads() if not one.optional)
        account = pod.spec.get("serviceAccountName", "default")
        if account != "default":
            yield pod.manifest, "ServiceAccount", account, (*pod.path, "spec", "serviceAccountName")
    for scaler in rendering.of_kind("HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        yield scaler, target["kind"], target["name"], ("spec", "scaleTargetRef", "name")
    for ingress in rendering.of_kind("Ingress"):
        for path, backend in _backends(ingress):
            yield ingress, "Service", backend["name"], (*path, "name")
    yield from _references_of_routes(rendering)


def _references_of_routes(rendering: Rendering) -> Iterator[tuple[Manifest, str, str, FieldPath]]:
    for route in rendering.of_kind("HTTPRoute"):
        for path, backend in backends_of(route):
            yield route, "Service", backend["name"], (*path, "name")
        for path, parent in parents_of(route):
            # That of another namespace is the platform's.
            if parent.get("kind", "Gateway") == "Gateway" and not parent.get("namespace"):
                yield route, "Gateway", parent["name"], (*path, "name")


def _backends(ingress: Manifest) -> Iterator[tuple[FieldPath, dict[str, Any]]]:
    """Give the Services that an Ingress sends to."""
    for index, routed in enumerate(ingress["spec"].get("rules") or []):
        for number in range(len(get(routed, ("http", "paths")) or [])):
            path = ("spec", "rules", index, "http", "paths", number, "backend", "service")
            if backend := get(ingress, path):
                yield path, backend


@rule(
    "key",
    why="The pod cannot start: it waits for a key that the object does not have.",
    remedy="Read a key that is there, or add it to the generator.",
)
def absent_keys(rendering: Rendering) -> Iterator[Problem]:
    """A key that is read and not there."""
    for pod in rendering.pods:
        for one in pod.reads():
            manifest = rendering.find(one.kind, one.name) or _sealed(rendering, one)
            keys = [str(path[-1]) for path in keys_of(manifest)] if manifest else []
            if manifest and one.key and not one.optional and one.key not in keys:
                yield rendering.problem(
                    pod.manifest,
                    one.path,
                    f"{title(pod.manifest)} reads '{one.key}' of the {one.kind} {one.name}, which has no such key",
                    f"add it, or read one that is there{nearest(one.key, keys)}",
                )


@rule(
    "unread-key",
    why="Whoever changes the value changes nothing; often the key that was meant is called otherwise.",
    remedy="Let a container read it, or remove it.",
    closed=True,
)
def unread_keys(rendering: Rendering) -> Iterator[Problem]:
    """A key of a ConfigMap or of a Secret that nobody reads."""
    read = {(one.kind, one.name, one.key) for pod in rendering.pods for one in pod.reads()}
    whole = {(kind, name) for kind, name, key in read if not key}
    whole |= {
        ("Secret", tls.get("secretName", ""))
        for one in rendering.of_kind("Ingress")
        for tls in one["spec"].get("tls") or []
    }
    for manifest in rendering.of_kind("ConfigMap", "Secret", "SealedSecret"):
        identity = _identity(manifest)
        for path in keys_of(manifest):
            key = str(path[-1])
            if identity not in whole and (*identity, key) not in read:
                known = [other for kind, name, other in read if (kind, name) == identity]
                yield rendering.problem(
                    manifest,
                    path,
                    f"nobody reads '{key}' of {title(manifest)}",
                    f"remove it, or let a container read it{nearest(key, known)}",
                )


@rule(
    "volume",
    why="A volume that nobody mounts is what a wrong name leaves.",
    remedy="Mount it, or remove it.",
)
def volumes(rendering: Rendering) -> Iterator[Problem]:
    """A volume that no container mounts."""
    for pod in rendering.pods:
        names = [volume["name"] for volume in pod.spec.get("volumes") or []]
        mounted = {mount["name"] for container in pod.containers for _, mount in container.items("volumeMounts")}
        for index, name in enumerate(names):
            if name not in mounted:
                yield rendering.problem(
                    pod.manifest,
                    (*pod.path, "spec", "volumes", index, "name"),
                    f"no container of {title(pod.manifest)} mounts the volume '{name}'",
                    "mount it or remove it",
                )


@rule(
    "variable",
    why="Kubernetes leaves $(NAME) as it stands where it knows no such variable before it.",
    remedy="Define the variable above the one that uses it.",
)
def variables(rendering: Rendering) -> Iterator[Problem]:
    """A $(VARIABLE) that the container does not define before, so that the text stays as it is."""
    for container in rendering.containers:
        defined: set[str] = set()
        for path, item in container.items("env"):
            yield from _undefined(rendering, container, (*path, "value"), item.get("value"), defined)
            defined.add(item["name"])
        for field in ("command", "args"):
            for index, text in enumerate(container.data.get(field) or []):
                yield from _undefined(rendering, container, (*container.path, field, index), text, defined)


def _undefined(
    rendering: Rendering, container: Container, path: FieldPath, text: str | None, defined: set[str]
) -> Iterator[Problem]:
    # What a whole ConfigMap brings is not known by name; $$(X) is a way to write $(X).
    if "envFrom" in container.data:
        return
    for name in re.findall(r"(?<!\$)\$\((\w+)\)", text or ""):
        # In a script, $(hostname) is what a command says.
        if name not in defined and (name.isupper() or path[-1] == "value"):
            yield rendering.problem(
                container.manifest,
                path,
                f"{container.name} has no variable {name} here, so $({name}) stays as it stands",
                f"define it before{nearest(name, defined)}",
                word=f"$({name})",
            )


@rule(
    "host",
    Scope.RENDERINGS,
    why="The name does not resolve, or is another environment's: a test would write into what others use.",
    remedy="Name a Service of the overlay and one of its ports, with $(POD_NAMESPACE) for the namespace.",
    closed=True,
)
def hosts(_: Tree, renderings: list[Rendering]) -> Iterator[Problem]:
    """A host in a text that no Service has, that has no such port, or that is in another environment."""
    environments = {rendering.namespace for rendering in renderings}
    for rendering in renderings:
        for manifest, path, text, raw in _texts(rendering):
            for found in _HOST.finditer(text):
                if wrong := _wrong_host(rendering, found, environments - {rendering.namespace}):
                    word = next((part for part in found.groups() if part and part in raw), "")
                    reason = f"{title(manifest)} asks {found[0]}, which {wrong[0]}"
                    yield rendering.problem(manifest, path, reason, wrong[1], word)


def _wrong_host(rendering: Rendering, found: re.Match[str], others: set[str]) -> tuple[str, str] | None:
    """Return what is wrong with a host, and what to do; None if nothing is, or nothing is known of its namespace."""
    name, port = found["service"] or found["alone"], found["port"] or found["alone_port"]
    if found["namespace"] == "" and rendering.namespace:
        return "names no namespace", "let the variable that should hold it have a value"
    if found["namespace"] in others:
        return "is in another environment", "write $(POD_NAMESPACE) in its place"
    if name == "localhost" or found["namespace"] not in (None, rendering.namespace):
        return None
    service = rendering.find("Service", name)
    if not service:
        names = [one["metadata"]["name"] for one in rendering.of_kind("Service")]
        return "is no Service of the overlay", f"name one that is there{nearest(name, names)}"
    ports = [str(one["port"]) for one in service["spec"].get("ports") or []]
    if port and ports and port not in ports:
        return "is no port of that Service", f"take one that it has: {', '.join(ports)}"
    return None


def _texts(rendering: Rendering) -> Iterator[tuple[Manifest, FieldPath, str, str]]:
    """Give the texts that can hold a host: expanded, and as they stand."""
    for container in rendering.containers:
        values: dict[str, str] = {}
        for path, item in container.items("env"):
            if get(item, ("valueFrom", "fieldRef", "fieldPath")) == "metadata.namespace":
                values[item["name"]] = rendering.namespace
            values.setdefault(item["name"], str(item.get("value", "")))
            yield (
                container.manifest,
                (*path, "value"),
                _expanded(str(item.get("value", "")), values),
                str(item.get("value")),
            )
        for field in ("command", "args"):
            for index, text in enumerate(container.data.get(field) or []):
                yield container.manifest, (*container.path, field, index), _expanded(text, values), text
    for manifest, path, text in _plain_texts(rendering):
        yield manifest, path, text, text


def _plain_texts(rendering: Rendering) -> Iterator[tuple[Manifest, FieldPath, str]]:
    """Give those in which nothing is expanded."""
    for manifest in rendering.of_kind("ConfigMap"):
        yield from ((manifest, ("data", key), text) for key, text in (manifest.get("data") or {}).items())
    for probe in rendering.of_kind("Probe"):
        yield from ((probe, path, target) for path, target in targets_of(probe))


def _expanded(text: str, values: dict[str, str]) -> str:
    return re.sub(r"\$\((\w+)\)", lambda found: values.get(found[1], found[0]), text)
