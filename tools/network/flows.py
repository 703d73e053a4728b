"""The network flows of deploy/flows.yaml, and whether policies let pass what it says, and no more."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tools.command import RefusedError
from tools.manifests import (
    NAMESPACE_NAME,
    NODE_PORT_TYPES,
    FieldPath,
    Manifest,
    Pod,
    Port,
    namespace_of,
    pods_of,
    selector_of,
    selects,
    target_of,
    title,
    type_of,
)
from tools.network.policy import Edge, End, edges, judge
from tools.render import render_deployed
from tools.repository import REPOSITORY, environments
from tools.texts import read_yaml

FLOWS = REPOSITORY / "deploy" / "flows.yaml"
PROTOCOLS = ("TCP", "UDP", "SCTP")
# A port that neither flows.yaml nor a policy names stands for all such ports.
SOME_PORT = 65535
OUTSIDE = "elsewhere/outside"
ELSEWHERE = "elsewhere"
Deployed = Mapping[str, Sequence[Manifest]]  # environment → its objects


@dataclass(frozen=True)
class Flows:
    """The content of flows.yaml, with what the manifests say of the workloads that it names."""

    ends: Mapping[str, End]
    titles: Mapping[str, str]
    reaches: Mapping[str, Sequence[str]]
    services: Sequence[Manifest]

    @property
    def targets(self) -> dict[str, Port]:
        """What can be connected to: the ports of the ends, by names such as recette/api:http."""
        return {f"{name}:{key}": port for name, end in self.ends.items() for key, port in end.ports.items()}

    def allowed(self, source: str, target: str) -> bool:
        """Tell whether a connection is one of the flows."""
        return any(covers(entry, target) for entry in self.reaches[source])

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Give each source and end of which one at least is in an environment; the others are not ours."""
        for source in self.reaches:
            for end in self.ends:
                if not (group(source) == group(end) == ELSEWHERE):
                    yield source, end

    def targets_of(self, source: str) -> list[str]:
        """Return what a source may be tried to connect to."""
        ends = {end for other, end in self.pairs() if other == source}
        return [target for target in self.targets if end_of(target) in ends]


def group(name: str) -> str:
    """Return the environment of an end or a target, or `elsewhere`."""
    return name.partition("/")[0]


def end_of(target: str) -> str:
    """Return the end of a target."""
    return target.rpartition(":")[0]


def covers(entry: str, target: str) -> bool:
    """Tell whether an entry of `reaches` means a target: by its name, or by that of its end or its environment."""
    return target == entry or target.startswith((f"{entry}/", f"{entry}:"))


def node_ports(services: Iterable[Manifest], target: End, port: Port) -> list[int]:
    """Return the node ports that lead to a port of a pod; 0 for one that the cluster is still to choose."""
    return [
        entry.get("nodePort", 0)
        for service in services
        if type_of(service) in NODE_PORT_TYPES
        and namespace_of(service) == target.namespace
        and selects(selector_of(service), target.labels)
        for entry in service["spec"]["ports"]
        if target_of(entry, target.ports) == port
    ]


def load(deployed: Deployed, file: Path = FLOWS) -> Flows:
    """Read flows.yaml.

    Raises:
        RefusedError: if it does not fit what is deployed; `make check` tells all that is wrong, with the lines.
        UnreadableError: if it is no YAML.
    """
    content: Any = next(iter(read_yaml(file)), {})
    for fault in faults(content, deployed):
        raise RefusedError(f"{file.name}: {fault.reason}: {fault.advice}")
    return build(content, deployed)


def build(content: Mapping[str, Any], deployed: Deployed) -> Flows:
    """Return the flows that the content of flows.yaml describes, where it has no faults."""
    manifests = [manifest for objects in deployed.values() for manifest in objects]
    ends = {
        name: _end(manifests, _workload(deployed, name, described), described, number)
        for number, (name, described) in enumerate(content["ends"].items())
    }
    titles = {name: described["title"] for name, described in content["ends"].items()}
    return Flows(ends, titles, content["reaches"], [one for one in manifests if one["kind"] == "Service"])


def _workload(deployed: Deployed, name: str, described: Mapping[str, Any]) -> Pod | None:
    pods = pods_of(deployed.get(group(name), [])) if "workload" in described else []
    return next((pod for pod in pods if pod.manifest["metadata"]["name"] == described["workload"]), None)


def _end(manifests: Sequence[Manifest], workload: Pod | None, described: Mapping[str, Any], number: int) -> End:
    # Pods' addresses are those of kind, the others are of the range that documentation may use.
    address = f"10.244.0.{number}" if workload or "labels" in described else f"192.0.2.{number}"
    namespace = namespace_of(workload.manifest) if workload else described.get("namespace", "")
    labels = workload.labels if workload else described.get("labels", {})
    ports = {key: _port(text) for key, text in described.get("ports", {}).items()}
    ports |= workload.ports if workload else {}
    own = [one for one in manifests if one["kind"] == "Namespace" and one["metadata"]["name"] == namespace]
    named = {NAMESPACE_NAME: namespace, **(own[0]["metadata"].get("labels") or {} if own else {})}
    return End(address, namespace, labels, named, ports)


def _port(text: str) -> Port:
    number, _, protocol = text.partition("/")
    return Port(int(number), protocol)


# --- what flows.yaml says of what is deployed


@dataclass(frozen=True)
class Fault:
    """Where flows.yaml and what is deployed do not fit.

    Attributes:
        reason: what is wrong
        advice: what to do
        path: where it is in flows.yaml
        missing: the object that flows.yaml does not have, if that is wrong
    """

    reason: str
    advice: str
    path: FieldPath = ()
    missing: Manifest | None = None


def faults(content: Mapping[str, Any], deployed: Deployed) -> list[Fault]:
    """Return where flows.yaml names what is not there, and what is there without being named.

    Args:
        content: of flows.yaml
        deployed: the objects of each environment
    """
    return [*_faults_of_ends(content["ends"], deployed)] or [*_faults_of_reaches(build(content, deployed))]


def _faults_of_ends(ends: Mapping[str, Any], deployed: Deployed) -> Iterator[Fault]:
    for name, described in ends.items():
        environment, wanted = group(name), described.get("workload")
        workloads = [pod.manifest["metadata"]["name"] for pod in pods_of(deployed.get(environment, []))]
        if environment not in {*deployed, ELSEWHERE}:
            known = ", ".join([*deployed, ELSEWHERE])
            yield Fault(f"'{name}' is of no environment", f"begin it with one of {known}", ("ends", name))
        elif wanted and wanted not in workloads:
            advice = f"name one of {', '.join(workloads)}, or take the end out"
            yield Fault(f"{environment} has no workload '{wanted}'", advice, ("ends", name, "workload"))
    for environment, manifests in deployed.items():
        own = [described.get("workload") for name, described in ends.items() if group(name) == environment]
        if not own:
            advice = f"add an end for each workload, such as {environment}/…, and whom it reaches"
            yield Fault(f"{FLOWS.name} knows nothing of {environment}", advice, ("ends",))
        for pod in pods_of(manifests) if own else []:
            name = pod.manifest["metadata"]["name"]
            if name not in own:
                reason = f"{FLOWS.name} has no end for {title(pod.manifest)} of {environment}"
                advice = f"add one, such as {environment}/{name}: {{title: …, workload: {name}}}, and whom it reaches"
                yield Fault(reason, advice, ("ends",), pod.manifest)


def _faults_of_reaches(flows: Flows) -> Iterator[Fault]:
    for source, entries in flows.reaches.items():
        named: list[tuple[str, FieldPath, Iterable[str]]] = [(source, ("reaches", source), flows.ends)]
        named += [(entry, ("reaches", source, number), flows.targets) for number, entry in enumerate(entries)]
        for name, path, known in named:
            if not any(covers(name, one) for one in known):
                yield Fault(f"'{name}' is none of {', '.join(known)}", "correct it, or add it to `ends`", path)
    for name in flows.ends:
        if group(name) != ELSEWHERE and name not in flows.reaches:
            advice = f"add whom it reaches: `{name}: []` for nobody"
            yield Fault(f"'{name}' is not under `reaches`", advice, ("ends", name))


# --- what policies let pass, and what they should


@dataclass(frozen=True)
class Disagreement:
    """A connection that is a flow and does not pass, or the reverse."""

    source: str
    target: str
    passes: bool

    def __str__(self) -> str:
        said = "passes, and is no flow" if self.passes else "is a flow, and does not pass"
        return f"{self.source} → {self.target} {said}"


@dataclass(frozen=True)
class LooseEdge:
    """A part of a policy that no flow needs, or that lets pass these connections beside flows."""

    edge: Edge
    extra: Sequence[tuple[str, str]]
    needed: bool

    def __str__(self) -> str:
        extra = ", ".join(f"{source} → {target}" for source, target in self.extra)
        return f"{self.edge}: {f'also lets pass {extra}' if self.needed else 'no flow needs it'}"


def disagreements(flows: Flows, policies: Sequence[Manifest]) -> list[Disagreement]:
    """Return where policies and flows differ, on whatever port of whatever end."""
    found = []
    numbers = {number for edge in edges(policies) for number in _numbers(edge)}
    for source, name in flows.pairs():
        end, judged = flows.ends[name], judge(policies, flows.ends[source], flows.ends[name])
        for port, target in _ports(flows, name, numbers).items():
            passes = judged(port) and (source != OUTSIDE or node_ports(flows.services, end, port) != [])
            if passes != flows.allowed(source, target):
                found.append(Disagreement(source, target, passes))
    return found


def loose_edges(flows: Flows, policies: Sequence[Manifest]) -> list[LooseEdge]:
    """Return the parts of policies that no flow needs, or that let more pass than the flows.

    The policies of the other side may stop that, so it does not show in what passes. A rule without peers is meant
    for anybody.
    """
    found = []
    for edge in edges(policies):
        passing = [
            (source, target)
            for source, name in flows.pairs()
            if edge.joins(flows.ends[source], flows.ends[name])
            for port, target in _ports(flows, name, _numbers(edge)).items()
            if edge.opens(flows.ends[name], port)
        ]
        extra = [one for one in passing if not flows.allowed(*one)]
        needed = len(extra) < len(passing)
        if not needed or (extra and edge.peer is not None):
            found.append(LooseEdge(edge, extra, needed))
    return found


def _ports(flows: Flows, name: str, numbers: Iterable[int]) -> dict[Port, str]:
    """Return an end's targets by port: its own ports and, of all others, one for each range that is judged alike."""
    others = [Port(number, protocol) for number in {*numbers, SOME_PORT} for protocol in PROTOCOLS]
    named = {port: f"{name}:{key}" for key, port in flows.ends[name].ports.items()}
    return {port: f"{name}:{port}" for port in others} | named


def _numbers(edge: Edge) -> set[int]:
    """Return the numbers at and beside the ends of an edge's range of ports."""
    bounds = [edge.port[key] for key in ("port", "endPort") if key in edge.port] if edge.port else []
    return {number + step for number in bounds if isinstance(number, int) for step in (-1, 0, 1)}


def deployed() -> dict[str, list[Manifest]]:
    """Return the objects of each environment as it is deployed."""
    return {environment: render_deployed(environment) for environment in environments()}


@cache
def current() -> Flows:
    """Return the flows of the environments as they are deployed; kubectl takes its time."""
    return load(deployed())
