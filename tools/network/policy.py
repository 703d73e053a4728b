"""What NetworkPolicies let pass.

https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/, whole: what the API server
accepts is judged. Why by our own code: docs/decisions/0011-matrice-des-flux.md.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from tools.manifests import FieldPath, Manifest, Port, namespace_of, port_of, selector_of, selects

# The name of the peers in a rule of each direction.
PEERS = {"Ingress": "from", "Egress": "to"}


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
    """The least part of a policy that lets something pass: one peer and one port of one rule; None is any.

    Attributes:
        policy: the policy
        direction: Ingress or Egress
        path: to the peer in the policy, or to the rule if it has none
        peer: the peer
        port: the port
    """

    policy: Manifest
    direction: str
    path: FieldPath
    peer: dict[str, Any] | None
    port: dict[str, Any] | None

    def joins(self, source: End, target: End) -> bool:
        """Tell whether this edge is about connections from one end to another."""
        pod, peer = (source, target) if self.direction == "Egress" else (target, source)
        return isolates(self.policy, self.direction, pod) and (
            self.peer is None or _is_peer(self.peer, peer, namespace_of(self.policy))
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
            for number, rule in enumerate(policy["spec"].get(direction.lower()) or []):
                path = ("spec", direction.lower(), number)
                for index, peer in enumerate(rule.get(PEERS[direction]) or [None]):
                    for port in rule.get("ports") or [None]:
                        yield Edge(policy, direction, (*path, PEERS[direction], index) if peer else path, peer, port)


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
        namespace_of(policy) == pod.namespace
        and direction in _directions(spec)
        and selects(selector_of(policy), pod.labels)
    )


def _directions(spec: Mapping[str, Any]) -> list[str]:
    found: list[str] = spec.get("policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]
    return found


def _is_peer(peer: Mapping[str, Any], end: End, own_namespace: str) -> bool:
    if block := peer.get("ipBlock"):
        address = ip_address(end.address)
        return address in _network(block["cidr"]) and not any(
            address in _network(cidr) for cidr in block.get("except", [])
        )
    if "namespaceSelector" in peer:
        in_namespace = end.namespace != "" and selects(peer["namespaceSelector"], end.namespace_labels)
    else:
        in_namespace = end.namespace == own_namespace
    return in_namespace and selects(peer.get("podSelector", {}), end.labels)


def is_port(entry: Mapping[str, Any], target: End, port: Port) -> bool:
    """Tell whether an entry of a list of ports is about a port of an end."""
    if "port" not in entry:
        return bool(entry.get("protocol", "TCP") == port.protocol)
    # A name is that of the target's container port, whichever side the policy is on.
    first = port_of(entry, target.ports)
    last = entry.get("endPort", first.number if first else 0)
    return first is not None and first.protocol == port.protocol and first.number <= port.number <= last


def _network(cidr: str) -> IPv4Network | IPv6Network:
    # Kubernetes takes an address within the range as well.
    return ip_network(cidr, strict=False)
