"""Names that one object uses and another must have; Kubernetes accepts a wrong one without a word."""

from typing import Any

import pytest

from tests.support.manifests import Environment
from tests.support.product import API, FRONT
from tools.manifests import pods_of, selector_of, selects, target_of
from tools.repository import followed

HTTP = {"port": "http", "protocol": "TCP"}


def test_services_reach_a_port_of_a_pod(environment: Environment) -> None:
    for service in environment.of_kind("Service"):
        pods = [pod for pod in pods_of(environment.objects) if selects(selector_of(service), pod.labels)]
        assert len(pods) == 1, service["metadata"]["name"]
        assert all(target_of(port, pods[0].ports) for port in service["spec"]["ports"])


def test_the_metrics_port_is_on_no_service(environment: Environment) -> None:
    targets = {port["targetPort"] for service in environment.of_kind("Service") for port in service["spec"]["ports"]}
    assert targets == {"http"}


@pytest.mark.parametrize("environment", followed(), indirect=True)
def test_network_policies(environment: Environment) -> None:
    """The whole set, word for word: default deny both ways, then the four edges and no other."""
    policies = {policy["metadata"]["name"]: policy["spec"] for policy in environment.of_kind("NetworkPolicy")}
    both = ["Ingress", "Egress"]
    assert policies == {
        "default-deny": {"podSelector": {}, "policyTypes": both},
        FRONT: {
            "podSelector": _labels(FRONT),
            "policyTypes": both,
            "ingress": [{"ports": [HTTP]}],
            "egress": [
                {"to": [{"podSelector": _labels(API)}], "ports": [HTTP]},
                {
                    "to": [
                        {
                            "namespaceSelector": _namespace("kube-system"),
                            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
                        }
                    ],
                    "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
                },
            ],
        },
        API: {
            "podSelector": _labels(API),
            "policyTypes": both,
            "ingress": [
                {"from": [{"podSelector": _labels(FRONT)}], "ports": [HTTP]},
                {
                    "from": [{"namespaceSelector": _namespace("monitoring")}],
                    "ports": [{"port": "metrics", "protocol": "TCP"}],
                },
            ],
        },
    }


@pytest.mark.parametrize("environment", followed(), indirect=True)
def test_a_drain_takes_one_pod_at_a_time(environment: Environment) -> None:
    budgets = {budget["metadata"]["name"]: budget["spec"] for budget in environment.of_kind("PodDisruptionBudget")}
    assert budgets == {
        name: {"selector": _labels(name), "maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow"}
        for name in (API, FRONT)
    }
    for name in budgets:
        assert environment.get("Deployment", name)["spec"]["replicas"] >= 2


def _labels(name: str) -> dict[str, Any]:
    return {"matchLabels": {"app.kubernetes.io/name": name}}


def _namespace(name: str) -> dict[str, Any]:
    return {"matchLabels": {"kubernetes.io/metadata.name": name}}
