"""An environment as a Mermaid flowchart: its objects, what they refer to, and who connects to whom."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tools import contract, flows
from tools.contract import base_name, of_kind
from tools.network_policy import selects
from tools.render import Manifest, environments

# Kind → its node, in the order in which the kinds stand there.
SHAPES = {
    "Service": '(["{}"])',
    "Deployment": '["{}"]',
    "Job": '["{}"]',
    "ConfigMap": '[/"{}"/]',
    "Secret": '[/"{}"/]',
    "NetworkPolicy": '{{{{"{}"}}}}',
    "PodDisruptionBudget": '{{{{"{}"}}}}',
}
WORKLOADS = ("Deployment", "Job")
# Field of a pod → the kind that it refers to, and where it has the name.
REFERENCES = {
    "configMapKeyRef": ("ConfigMap", "name"),
    "configMapRef": ("ConfigMap", "name"),
    "configMap": ("ConfigMap", "name"),
    "secretKeyRef": ("Secret", "name"),
    "secretRef": ("Secret", "name"),
    "secret": ("Secret", "secretName"),
}
# The lines, by which readers tell apart what they mean.
READS, SELECTS, CONNECTS = "-.->", "---", "==>"
Connections = dict[tuple[str, str], list[str]]


def of(environment: str) -> str:
    """Return the Markdown of an environment's diagram."""
    return draw(environment, {name: contract.deployed(name) for name in environments()})


def draw(environment: str, deployed: Mapping[str, Sequence[Manifest]]) -> str:
    """Return the Markdown of the diagram of one of these environments."""
    manifests = deployed[environment]
    known = flows.load([manifest for objects in deployed.values() for manifest in objects])
    connections = connections_of(environment, known)
    nodes = _nodes_of_ends(environment, known, manifests)
    others = dict.fromkeys(name for pair in connections for name in pair if name not in nodes)
    lines = [
        "flowchart LR",
        f'  subgraph {environment}["{", ".join(one["metadata"]["name"] for one in of_kind(manifests, "Namespace"))}"]',
        *(f"    {line}" for line in _objects(manifests)),
        "  end",
        *(f'  {_id(name)}("{known.titles[name].replace("`", "")}")' for name in others),
        *(f"  {line}" for workload in _workloads(manifests) for line in _references(workload, manifests)),
        *(
            f'  {nodes.get(source, _id(source))} {CONNECTS}|"{", ".join(ports)}"| {nodes.get(target, _id(target))}'
            for (source, target), ports in connections.items()
        ),
    ]
    return "\n".join(["```mermaid", *lines, "```", ""])


def connections_of(environment: str, known: flows.Flows) -> Connections:
    """Return who connects to whom by which ports, without the ends of other environments."""
    here = {environment, flows.ELSEWHERE}
    found: Connections = {}
    for source in known.reaches:
        for target in known.targets_of(source):
            end = target.rpartition(":")[0]
            if known.allowed(source, target) and {flows.group(source), flows.group(end)} <= here:
                found.setdefault((source, end), []).append(str(known.targets[target]))
    return found


def _nodes_of_ends(environment: str, known: flows.Flows, manifests: Sequence[Manifest]) -> dict[str, str]:
    """Return the nodes of those ends that are workloads of the environment."""
    return {
        name: _node(workload)
        for name, end in known.ends.items()
        for workload in _workloads(manifests)
        if flows.group(name) == environment and end.labels == _labels(workload)
    }


def _objects(manifests: Sequence[Manifest]) -> Iterator[str]:
    for kind, shape in SHAPES.items():
        for manifest in of_kind(manifests, kind):
            yield _node(manifest) + shape.format("<br>".join([kind, base_name(manifest), *_facts(manifest)]))


def _facts(manifest: Manifest) -> Iterator[str]:
    """Give what a node says beside the kind and the name."""
    spec = manifest.get("spec", {})
    match manifest["kind"]:
        case "Deployment":
            ports = ", ".join(f"{port['containerPort']} ({port['name']})" for port in _ports(manifest))
            yield f"{spec.get('replicas', 1)} × {ports}"
        case "Service":
            yield spec.get("type", "ClusterIP")
            yield from (f"port du nœud {port['nodePort']}" for port in spec["ports"] if "nodePort" in port)
        case "PodDisruptionBudget":
            yield from (f"{key} {spec[key]}" for key in ("minAvailable", "maxUnavailable") if key in spec)


def _references(workload: Manifest, manifests: Sequence[Manifest]) -> Iterator[str]:
    """Give the lines to a workload: from what selects its pods, and from what they read."""
    for service in of_kind(manifests, "Service"):
        if selects({"matchLabels": service["spec"]["selector"]}, _labels(workload)):
            yield f'{_node(service)} {SELECTS}|"{_targets(service, workload)}"| {_node(workload)}'
    for kind, field in (("NetworkPolicy", "podSelector"), ("PodDisruptionBudget", "selector")):
        for rule in of_kind(manifests, kind):
            if selects(rule["spec"][field], _labels(workload)):
                yield f"{_node(rule)} {SELECTS} {_node(workload)}"
    read = set(_read(workload["spec"]["template"]["spec"]))
    for manifest in manifests:
        if (manifest["kind"], manifest["metadata"]["name"]) in read:
            yield f"{_node(manifest)} {READS} {_node(workload)}"


def _read(field: Any) -> Iterator[tuple[str, str]]:
    """Give the kinds and the names of what a part of a pod's specification refers to."""
    if isinstance(field, list):
        for item in field:
            yield from _read(item)
    if isinstance(field, dict):
        for key, value in field.items():
            if key in REFERENCES and isinstance(value, dict):
                kind, where = REFERENCES[key]
                yield kind, value[where]
            yield from _read(value)


def _targets(service: Manifest, workload: Manifest) -> str:
    """Return the ports of a Service, each with that of the pods to which it leads."""
    named = {port["name"]: port["containerPort"] for port in _ports(workload)}
    ports = [(port["port"], port.get("targetPort", port["port"])) for port in service["spec"]["ports"]]
    return ", ".join(f"{port} → {named.get(target, target)}" for port, target in ports)


def _workloads(manifests: Sequence[Manifest]) -> Iterator[Manifest]:
    for kind in WORKLOADS:
        yield from of_kind(manifests, kind)


def _labels(workload: Manifest) -> dict[str, str]:
    labels: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return labels


def _ports(workload: Manifest) -> list[dict[str, Any]]:
    return [port for one in workload["spec"]["template"]["spec"]["containers"] for port in one.get("ports", [])]


def _node(manifest: Manifest) -> str:
    return _id(f"{manifest['kind']}/{base_name(manifest)}")


def _id(name: str) -> str:
    return re.sub(r"\W", "_", name)
