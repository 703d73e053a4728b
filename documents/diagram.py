"""An environment's objects as a Mermaid flowchart: who names whom, and the network flows of deploy/flows.yaml."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from documents.facts import deployed
from tools.manifests import Manifest, base_name, pod_of, pods_of, selector_of, selects, target_of
from tools.network import flows
from tools.network.flows import ELSEWHERE, Flows, group

GUARDS = ("PodDisruptionBudget", "NetworkPolicy")
CLASSES = {
    "workload": "fill:#dbeafe,stroke:#1e3a8a",
    "service": "fill:#dcfce7,stroke:#14532d",
    "data": "fill:#fef3c7,stroke:#78350f",
    "guard": "fill:#fee2e2,stroke:#7f1d1d",
    "away": "fill:#f3f4f6,stroke:#374151",
}
KINDS = {"Service": "service", "ConfigMap": "data", "Secret": "data"}


def of(environment: str) -> str:
    """Return the flowchart of an environment as it is deployed, in a fence of Markdown."""
    return draw(environment, deployed(environment), flows.current())


def draw(environment: str, manifests: Iterable[Manifest], known: Flows) -> str:
    """Return the flowchart of manifests and of the flows that begin or end in an environment."""
    objects = [one for one in manifests if one["kind"] not in ("Namespace", "ServiceAccount")]
    passing, guards = list(_flows(environment, objects, known)), _guards(objects)
    away = {end: known.titles[end] for edge in passing for end in edge[:2] if end in known.ends}
    lines = [
        "flowchart TB",
        f"  accTitle: Objets de {environment}",
        f"  accDescr: {len(objects)} objets de {environment}, leurs références et les connexions permises",
        *(f'  {_away(end)}(["{title.replace("`", "")}"]):::away' for end, title in away.items()),
        *(f"  {_node(one)}" for one in objects if one["kind"] not in GUARDS),
        *(f'  {_id(several[0])}["{_guard(guarded, several)}"]:::guard' for guarded, several in guards.items()),
        *(f"  {_away(one)} {_arrow(ports)} {_away(other)}" for (one, other), ports in _joined(passing).items()),
        *(f"  {_id(one)} --> {_id(other)}" for one, other in _references(objects)),
        *(f"  {one} -.- {_id(several[0])}" for guarded, several in guards.items() for one in guarded),
        *(f"  classDef {name} {style},color:#111827" for name, style in CLASSES.items()),
    ]
    return "```mermaid\n" + "\n".join(lines) + "\n```\n"


def _id(manifest: Manifest) -> str:
    return f"{manifest['kind']}-{base_name(manifest)}"


def _away(end: str) -> str:
    return end.replace("/", "-")


def _node(manifest: Manifest) -> str:
    kind = manifest["kind"]
    title = kind + (f" × {manifest['spec'].get('replicas', 1)}" if kind == "Deployment" else "")
    ports = [_port(entry) for entry in manifest["spec"]["ports"]] if kind == "Service" else []
    return f'{_id(manifest)}["{"<br>".join([title, base_name(manifest), *ports])}"]:::{_class(manifest)}'


def _class(manifest: Manifest) -> str:
    return "workload" if pod_of(manifest) else KINDS.get(manifest["kind"], "away")


def _port(entry: Mapping[str, Any]) -> str:
    return f"port {entry['port']}" + (f", nœud {entry['nodePort']}" if "nodePort" in entry else "")


def _arrow(ports: str) -> str:
    return f'=="{ports}"==>' if ports else "==>"


def _guard(guarded: tuple[str, ...], several: Iterable[Manifest]) -> str:
    titles = [f"{one['kind']}<br>{base_name(one)}" for one in several]
    return "<br>".join(titles if guarded else [*titles, "tous les pods"])


def _references(objects: Iterable[Manifest]) -> Iterator[tuple[Manifest, Manifest]]:
    """Give each Service with the workloads behind it, and each workload with what its pods read."""
    by_name = {(one["kind"], one["metadata"]["name"]): one for one in objects}
    for one in by_name.values():
        if one["kind"] == "Service":
            yield from ((one, other) for other in _selected(objects, one))
        if pod := pod_of(one):
            named = dict.fromkeys((read.kind, read.name) for read in pod.reads())
            yield from ((one, by_name[name]) for name in named if name in by_name)


def _guards(objects: Iterable[Manifest]) -> dict[tuple[str, ...], list[Manifest]]:
    """Return what guards pods by the workloads that it names; an empty selector names nobody, as it means all."""
    guards: dict[tuple[str, ...], list[Manifest]] = {}
    for one in objects:
        if one["kind"] in GUARDS:
            workloads = tuple(map(_id, _selected(objects, one))) if selector_of(one) else ()
            guards.setdefault(workloads, []).append(one)
    return guards


def _selected(objects: Iterable[Manifest], owner: Manifest) -> Iterator[Manifest]:
    return (pod.manifest for pod in pods_of(objects) if selects(selector_of(owner), pod.labels))


def _flows(environment: str, objects: list[Manifest], known: Flows) -> Iterator[tuple[str, str, str]]:
    """Give the flows of an environment, between its objects and what is elsewhere; a Service stands before its pods."""
    for source, target in ((one, other) for one, others in known.reaches.items() for other in others):
        end, _, key = target.rpartition(":")
        if {group(source), group(target)} <= {environment, ELSEWHERE} and end:
            port = known.targets[target]
            opened = [one for one in objects if one["kind"] == "Service" and _leads(one, known, end, key)]
            if not opened:
                yield _object(source, objects, known), _object(end, objects, known), str(port)
            for service in opened:  # whose box has the port
                yield _object(source, objects, known), _id(service), ""


def _joined(passing: Iterable[tuple[str, str, str]]) -> dict[tuple[str, str], str]:
    """Return flows by their ends, so that each pair has one arrow."""
    ports: dict[tuple[str, str], list[str]] = {}
    for source, target, port in passing:
        ports.setdefault((source, target), []).append(port)
    return {ends: ", ".join(of_ends) for ends, of_ends in ports.items()}


def _leads(service: Manifest, known: Flows, end: str, key: str) -> bool:
    """Tell whether a Service leads to a port of an end."""
    at = known.ends[end]
    return selects(selector_of(service), at.labels) and any(
        target_of(entry, at.ports) == at.ports[key] for entry in service["spec"]["ports"]
    )


def _object(end: str, objects: Iterable[Manifest], known: Flows) -> str:
    """Return the identifier of an end's workload, or the end itself."""
    if group(end) == ELSEWHERE:
        return end
    (found,) = (pod.manifest for pod in pods_of(objects) if pod.labels == known.ends[end].labels)
    return _id(found)
