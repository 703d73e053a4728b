"""The network flows of deploy/flows.yaml, and whether policies let pass what it says, and no more."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tools.command import RefusedError
from tools.manifests import Manifest
from tools.network.policy import Edge, End, Port, edges, is_port, judge, selects
from tools.render import render_deployed
from tools.repository import REPOSITORY, environments

FLOWS = REPOSITORY / "deploy" / "flows.yaml"
NAMESPACE_NAME = "kubernetes.io/metadata.name"  # the label that Kubernetes itself gives every namespace
PROTOCOLS = ("TCP", "UDP", "SCTP")
# A port that neither flows.yaml nor a policy names stands for all such ports.
SOME_PORT = 65535
OUTSIDE = "elsewhere/outside"
ELSEWHERE = "elsewhere"


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
        return any(_covers(entry, target) for entry in self.reaches[source])

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Give each source and end of which one at least is in an environment; the others are not ours."""
        for source in self.reaches:
            for end in self.ends:
                if not (group(source) == group(end) == ELSEWHERE):
                    yield source, end

    def targets_of(self, source: str) -> list[str]:
        """Return what a source may be tried to connect to."""
        ends = {end for other, end in self.pairs() if other == source}
        return [target for target in self.targets if target.rpartition(":")[0] in ends]


def group(name: str) -> str:
    """Return the environment of an end or a target, or `elsewhere`."""
    return name.partition("/")[0]


def _covers(entry: str, target: str) -> bool:
    return target == entry or target.startswith((f"{entry}/", f"{entry}:"))


def node_ports(services: Iterable[Manifest], target: End, port: Port) -> list[int]:
    """Return the node ports that lead to a port of a pod; 0 for one that the cluster is still to choose."""
    return [
        entry.get("nodePort", 0)
        for service in services
        if service["spec"].get("type") in {"NodePort", "LoadBalancer"}
        and service["metadata"]["namespace"] == target.namespace
        and selects({"matchLabels": service["spec"]["selector"]}, target.labels)
        for entry in service["spec"]["ports"]
        if is_port({**entry, "port": entry.get("targetPort", entry["port"])}, target, port)
    ]


def load(manifests: Sequence[Manifest], file: Path = FLOWS) -> Flows:
    """Read flows.yaml.

    Raises:
        RefusedError: if it names what is not there.
    """
    content = yaml.safe_load(file.read_text())
    ends = {
        name: _end(manifests, name, described, number)
        for number, (name, described) in enumerate(content["ends"].items())
    }
    titles = {name: described["title"] for name, described in content["ends"].items()}
    services = [manifest for manifest in manifests if manifest["kind"] == "Service"]
    flows = Flows(ends, titles, content["reaches"], services)
    for source, entries in flows.reaches.items():
        for name, known in ((source, flows.ends), *((entry, flows.targets) for entry in entries)):
            if not any(_covers(name, one) for one in known):
                raise RefusedError(
                    f"{file.name}: '{name}' is none of {', '.join(known)}: correct it, or add it to `ends`"
                )
    return flows


def _end(manifests: Sequence[Manifest], name: str, described: Mapping[str, Any], number: int) -> End:
    # Pods' addresses are those of kind, the others are of the range that documentation may use.
    address = f"10.244.0.{number}" if {"labels", "workload"} & described.keys() else f"192.0.2.{number}"
    ports = {port: _port(text) for port, text in described.get("ports", {}).items()}
    if "workload" in described:
        namespace = f"datapress-{group(name)}"
        template = _template(manifests, namespace, described["workload"])
        for container in template["spec"]["containers"]:
            for port in container.get("ports", []):
                ports[port["name"]] = Port(port["containerPort"], port.get("protocol", "TCP"))
        labels = template["metadata"]["labels"]
    else:
        namespace, labels = described.get("namespace", ""), described.get("labels", {})
    return End(address, namespace, labels, _namespace_labels(manifests, namespace), ports)


def _port(text: str) -> Port:
    number, _, protocol = text.partition("/")
    return Port(int(number), protocol)


def _template(manifests: Sequence[Manifest], namespace: str, name: str) -> dict[str, Any]:
    for item in manifests:
        metadata = item["metadata"]
        if item["kind"] in {"Deployment", "Job"} and (metadata["namespace"], metadata["name"]) == (namespace, name):
            template: dict[str, Any] = item["spec"]["template"]
            return template
    raise RefusedError(f"{FLOWS.name}: {namespace} has no workload '{name}': correct its name, or take the end out")


def _namespace_labels(manifests: Sequence[Manifest], namespace: str) -> dict[str, str]:
    own = [m for m in manifests if m["kind"] == "Namespace" and m["metadata"]["name"] == namespace]
    return {NAMESPACE_NAME: namespace, **(own[0]["metadata"].get("labels", {}) if own else {})}


def disagreements(flows: Flows, policies: Sequence[Manifest]) -> list[str]:
    """Return where policies and flows differ, on whatever port of whatever end."""
    found = []
    numbers = {number for edge in edges(policies) for number in _numbers(edge)}
    for source, name in flows.pairs():
        end, judged = flows.ends[name], judge(policies, flows.ends[source], flows.ends[name])
        for port, target in _ports(flows, name, numbers).items():
            wanted = flows.allowed(source, target)
            passes = judged(port) and (source != OUTSIDE or node_ports(flows.services, end, port) != [])
            if wanted and not passes:
                found.append(f"{source} → {target} is a flow, and does not pass")
            if passes and not wanted:
                found.append(f"{source} → {target} passes, and is no flow")
    return found


def loose_edges(flows: Flows, policies: Sequence[Manifest]) -> list[str]:
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
        extra = [f"{source} → {target}" for source, target in passing if not flows.allowed(source, target)]
        if len(extra) == len(passing):
            found.append(f"{edge}: no flow needs it")
        elif extra and edge.peer is not None:
            found.append(f"{edge}: also lets pass {', '.join(extra)}")
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


def deployed() -> list[Manifest]:
    """Return the objects of every environment."""
    return [manifest for environment in environments() for manifest in render_deployed(environment)]


@cache
def current() -> Flows:
    """Return the flows of the environments as they are deployed; kubectl takes its time."""
    return load(deployed())
