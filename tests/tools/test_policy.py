"""What a NetworkPolicy lets pass, field by field; on a cluster, test_network.py compares with real connections."""

from typing import Any

import pytest

from tools.manifests import Port
from tools.network.policy import End, edges, judge

API = {"app": "api"}
FRONT = {"app": "front"}
SHOP = {"kubernetes.io/metadata.name": "shop", "team": "a"}
OTHER = {"kubernetes.io/metadata.name": "other", "team": "b"}
api = End("10.0.0.1", "shop", API, SHOP, {"http": Port(8000), "dns": Port(53, "UDP")})
front = End("10.0.0.2", "shop", FRONT, SHOP)
stranger = End("10.0.1.3", "other", FRONT, OTHER)
outside = End("192.0.2.1")
HTTP = Port(8000)


def policy(spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": "policy", "namespace": "shop"}
    return {"kind": "NetworkPolicy", "metadata": metadata, "spec": {"podSelector": {"matchLabels": API}, **spec}}


def passes(spec: dict[str, Any], source: End, target: End, port: Port = HTTP) -> bool:
    return judge([policy(spec)], source, target)(port)


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


def ingress(peer: dict[str, Any]) -> dict[str, Any]:
    return {"ingress": [{"from": [peer]}]}


@pytest.mark.parametrize(
    ("peer", "passing"),
    [
        ({"podSelector": {}}, [front]),
        ({"podSelector": {"matchLabels": FRONT}}, [front]),
        ({"podSelector": {"matchLabels": {"app": "front", "tier": "x"}}}, []),
        ({"namespaceSelector": {}}, [front, stranger]),
        ({"namespaceSelector": {"matchLabels": {"team": "b"}}}, [stranger]),
        ({"namespaceSelector": {"matchLabels": {"team": "b"}}, "podSelector": {"matchLabels": API}}, []),
        ({"namespaceSelector": expression("team", "In", "a")}, [front]),
        ({"namespaceSelector": expression("team", "NotIn", "a")}, [stranger]),
        ({"namespaceSelector": expression("absent", "Exists")}, []),
        ({"namespaceSelector": expression("absent", "DoesNotExist")}, [front, stranger]),
        ({"ipBlock": {"cidr": "0.0.0.0/0"}}, [front, stranger, outside]),
        ({"ipBlock": {"cidr": "10.0.0.0/16", "except": ["10.0.1.0/24"]}}, [front]),
        ({"ipBlock": {"cidr": "::/0"}}, []),
    ],
)
def test_peer(peer: dict[str, Any], passing: list[End]) -> None:
    assert [source for source in (front, stranger, outside) if passes(ingress(peer), source, api)] == passing
    # The same peers, the other way round.
    egress = {"policyTypes": ["Egress"], "egress": [{"to": [peer]}]}
    assert [target for target in (front, stranger, outside) if passes(egress, api, target)] == passing


@pytest.mark.parametrize(
    ("entry", "passing"),
    [
        ({"port": "http"}, [Port(8000)]),
        ({"port": "dns"}, []),
        ({"port": "dns", "protocol": "UDP"}, [Port(53, "UDP")]),
        ({"port": "absent"}, []),
        ({"port": 8000}, [Port(8000)]),
        ({"port": 53, "endPort": 8000}, [Port(53), Port(8000)]),
        ({"protocol": "TCP"}, [Port(53), Port(8000)]),
        ({"protocol": "UDP"}, [Port(53, "UDP")]),
        ({"protocol": "SCTP"}, []),
    ],
)
def test_port(entry: dict[str, Any], passing: list[Port]) -> None:
    spec = {"ingress": [{"ports": [entry]}]}
    assert [port for port in (Port(53), Port(53, "UDP"), HTTP) if passes(spec, front, api, port)] == passing


@pytest.mark.parametrize(
    ("spec", "into_api", "out_of_api"),
    [
        ({}, False, True),
        ({"egress": []}, False, False),
        ({"policyTypes": ["Egress"]}, True, False),
        ({"policyTypes": ["Ingress", "Egress"], "ingress": [{}]}, True, False),
        ({"policyTypes": ["Ingress"], "egress": [{}]}, False, True),
        ({"podSelector": {}}, False, False),  # the front is isolated as well
        ({"podSelector": {"matchLabels": {"app": "none"}}}, True, True),
    ],
)
def test_direction(spec: dict[str, Any], into_api: bool, out_of_api: bool) -> None:
    assert (passes(spec, front, api), passes(spec, api, front)) == (into_api, out_of_api)


def test_both_ends_must_allow_it_and_one_policy_each_is_enough() -> None:
    out = policy(
        {"podSelector": {"matchLabels": FRONT}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": "http"}]}]}
    )
    shut, into = policy({}), policy(ingress({"podSelector": {}}))
    assert judge([out], front, api)(HTTP)
    assert not judge([out], front, api)(Port(8001))
    assert not judge([out, shut], front, api)(HTTP)
    assert judge([out, shut, into], front, api)(HTTP)


def test_another_namespace_s_policy_does_not_matter() -> None:
    shut = policy({"podSelector": {}})
    shut["metadata"]["namespace"] = "other"
    assert judge([shut], front, api)(HTTP)
    assert not judge([shut], front, stranger)(HTTP)


def test_edges_name_what_they_let_pass() -> None:
    spec = {
        "ingress": [
            {"from": [{"podSelector": {}}, {"ipBlock": {"cidr": "::/0"}}], "ports": [{"port": 1}, {"port": 2}]},
            {},
        ]
    }
    told = [str(edge) for edge in edges([policy(spec)])]
    assert len(told) == 5
    assert told[0] == "policy, Ingress: from {'podSelector': {}}, {'port': 1}"
    assert told[4] == "policy, Ingress: from anybody, any port"
