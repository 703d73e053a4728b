"""What NetworkPolicies let pass.

https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/, whole: what the API server
accepts is judged. Why by our own code: docs/decisions/0011-matrice-des-flux.md.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

from tools.manifests import Manifest

# The name of the peers in a rule of each direction.
PEERS = {"Ingress": "from", "Egress": "to"}


@dataclass(frozen=True)
class Port:
    """A port of an end."""

    number: int
    protocol: str = "TCP"

    def __str__(self) -> str:
        return f"{self.number}/{self.protocol}"


@dataclass(frozen=True)
class End:
    """One end of a connection: a pod, or a mere address if it has no namespace."""

    address: str
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, Port] = field(default_factory=dict)


@dataclass(frozen=True)
class Edge:
    """The least part of a policy that lets something pass: one peer and one port of one rule; None is any."""

    policy: Manifest
    direction: str
    peer: dict[str, Any] | None
    port: dict[str, Any] | None

    def joins(self, source: End, target: End) -> bool:
        """Tell whether this edge is about connections from one end to another."""
        pod, peer = (source, target) if self.direction == "Egress" else (target, source)
        return isolates(self.policy, self.direction, pod) and (
            self.peer is None or _is_peer(self.peer, peer, self.policy["metadata"]["namespace"])
        )

    def opens(self, target: End, port: Port) -> bool:
        """Tell whether this edge is about a port of an end."""
        return self.port is None or is_port(self.port, target, port)

    def __str__(self) -> str:
        peer, port = self.peer or "anybody", self.port or "any port"
        return f"{self.policy['metadata']['name']}, {self.direction}: {PEERS[self.direction]} {peer}, {port}"


def edges(policies: Iterable[Manifest]) -> Iterator[Edge]:
    """Give every edge of some policies."""
    for policy in policies:
        for direction in _directions(policy["spec"]):
            for rule in policy["spec"].get(direction.lower()) or []:
                for peer in rule.get(PEERS[direction]) or [None]:
                    for port in rule.get("ports") or [None]:
                        yield Edge(policy, direction, peer, port)


def judge(policies: Iterable[Manifest], source: End, target: End) -> Callable[[Port], bool]:
    """Return what tells, of a port of the target, whether a connection to it passes the policies of both ends."""
    gates = []
    for direction, pod in (("Egress", source), ("Ingress", target)):
        if judging := [policy for policy in policies if isolates(policy, direction, pod)]:
            gates.append([e for e in edges(judging) if e.direction == direction and e.joins(source, target)])
    return lambda port: all(any(edge.opens(target, port) for edge in gate) for gate in gates)


def isolates(policy: Manifest, direction: str, pod: End) -> bool:
    """Tell whether a policy judges a pod's connections in a direction, so that only those it names pass."""
    spec = policy["spec"]
    return (
        policy["metadata"]["namespace"] == pod.namespace
        and direction in _directions(spec)
        and selects(spec.get("podSelector", {}), pod.labels)
    )


def _directions(spec: Mapping[str, Any]) -> list[str]:
    found: list[str] = spec.get("policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]
    return found


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Tell whether a label selector matches labels; an empty one matches all."""
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        _holds(expression, labels) for expression in selector.get("matchExpressions", [])
    )


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values", [])
    return {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }[expression["operator"]]


def _is_peer(peer: Mapping[str, Any], end: End, own_namespace: str) -> bool:
    if block := peer.get("ipBlock"):
        address = ip_address(end.address)
        return address in ip_network(block["cidr"]) and not any(
            address in ip_network(cidr) for cidr in block.get("except", [])
        )
    if "namespaceSelector" in peer:
        in_namespace = end.namespace != "" and selects(peer["namespaceSelector"], end.namespace_labels)
    else:
        in_namespace = end.namespace == own_namespace
    return in_namespace and selects(peer.get("podSelector", {}), end.labels)


def is_port(entry: Mapping[str, Any], target: End, port: Port) -> bool:
    """Tell whether an entry of a list of ports is about a port of an end."""
    if entry.get("protocol", "TCP") != port.protocol:
        return False
    number = entry.get("port")
    if number is None:
        return True
    if isinstance(number, str):
        # The name is that of the target's container port, whichever side the policy is on.
        return target.ports.get(number) == port
    first: int = number
    last: int = entry.get("endPort", first)
    return first <= port.number <= last
