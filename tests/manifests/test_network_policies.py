"""Each change of a policy disagrees with deploy/flows.yaml; that nothing does as it is, `make check` says."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from tools.manifests import Manifest
from tools.network.flows import ELSEWHERE, Flows, deployed, disagreements, group, load, loose_edges
from tools.network.policy import PEERS

Mutant = tuple[str, list[Manifest]]


@pytest.fixture(scope="module")
def flows() -> Flows:
    return load(deployed())


@pytest.fixture(scope="module")
def policies() -> list[Manifest]:
    return [one for objects in deployed().values() for one in objects if one["kind"] == "NetworkPolicy"]


def faults(flows: Flows, policies: list[Manifest]) -> list[object]:
    return [*disagreements(flows, policies), *loose_edges(flows, policies)]


def test_every_policy_judges_both_directions(policies: list[Manifest]) -> None:
    """So that none of them depends on another, the denial of all other connections, for what it does not list."""
    assert {tuple(policy["spec"]["policyTypes"]) for policy in policies} == {("Ingress", "Egress")}


def test_every_change_of_a_policy_is_found(flows: Flows, policies: list[Manifest]) -> None:
    mutants = [*removals(policies), *widenings(policies), *additions(flows, policies)]
    assert len(mutants) > 100
    assert [what for what, mutant in mutants if faults(flows, mutant) == []] == []


def removals(policies: list[Manifest]) -> Iterator[Mutant]:
    """Take away each policy, each peer and each port, a rule with its last one."""
    for i, policy in enumerate(policies):
        yield f"without {policy['metadata']['name']}", policies[:i] + policies[i + 1 :]
        for direction, peers in PEERS.items():
            rules = policy["spec"].get(direction.lower(), [])
            for r, rule in enumerate(rules):
                for key in (peers, "ports"):
                    for n, entry in enumerate(rule.get(key, [])):
                        mutant = copy.deepcopy(policies)
                        mutated = mutant[i]["spec"][direction.lower()]
                        if len(rule[key]) == 1:
                            del mutated[r]
                        else:
                            del mutated[r][key][n]
                        yield f"{policy['metadata']['name']}, {direction} rule {r}, without {entry}", mutant


def widenings(policies: list[Manifest]) -> Iterator[Mutant]:
    """Make each selector match all, split each peer that has two, drop each list of peers or ports."""
    for i, policy in enumerate(policies):
        for direction, peers in PEERS.items():
            for r, rule in enumerate(policy["spec"].get(direction.lower(), [])):
                for what, wider in _wider(rule, peers):
                    mutant = copy.deepcopy(policies)
                    mutant[i]["spec"][direction.lower()][r] = wider
                    yield f"{policy['metadata']['name']}, {direction} rule {r}, {what}", mutant


def _wider(rule: dict[str, Any], peers: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for key in rule:
        yield f"without {key}", {other: value for other, value in rule.items() if other != key}
    for n, peer in enumerate(rule.get(peers, [])):
        others = rule[peers][:n] + rule[peers][n + 1 :]
        for selector in peer:
            yield f"{selector} of any", {**rule, peers: [*others, {**peer, selector: {}}]}
        if len(peer) > 1:
            yield "or in place of and", {**rule, peers: [*others, *({key: value} for key, value in peer.items())]}


def additions(flows: Flows, policies: list[Manifest]) -> Iterator[Mutant]:
    """Let pass each connection that is no flow, on the source's side alone and on the target's alone."""
    refused = [(s, t) for s in flows.reaches for t in flows.targets_of(s) if not flows.allowed(s, t)]
    for source, target in refused:
        port = flows.targets[target]
        entry = {"port": port.number, "protocol": port.protocol}
        for direction, own, peer in (("Egress", source, target), ("Ingress", target, source)):
            if group(own) == ELSEWHERE:
                continue
            rule = {PEERS[direction]: [_peer(flows, peer)], "ports": [entry]}
            policy = _policy(flows, own, {"policyTypes": [direction], direction.lower(): [rule]})
            yield f"{source} → {target} by {direction}", [*policies, policy]


def _policy(flows: Flows, own: str, spec: dict[str, Any]) -> Manifest:
    end = flows.ends[own.partition(":")[0]]
    metadata = {"name": "added", "namespace": end.namespace}
    return {"kind": "NetworkPolicy", "metadata": metadata, "spec": {"podSelector": {"matchLabels": end.labels}, **spec}}


def _peer(flows: Flows, name: str) -> dict[str, Any]:
    end = flows.ends[name.partition(":")[0]]
    if not end.namespace:
        return {"ipBlock": {"cidr": f"{end.address}/32"}}
    return {
        "podSelector": {"matchLabels": end.labels},
        "namespaceSelector": {"matchLabels": end.namespace_labels},
    }
