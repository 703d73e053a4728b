"""Names that one object uses and another must have; Kubernetes accepts a wrong one without a word."""

from typing import Any

from tests.deploy.conftest import API, FRONT, Environment


def _selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    return set(selector.get("matchLabels", {}).items()) <= set(labels.items())


def test_services_reach_a_port_of_a_pod(environment: Environment) -> None:
    for service in environment.of_kind("Service"):
        pods = [
            deployment["spec"]["template"]
            for deployment in environment.of_kind("Deployment")
            if _selects(
                {"matchLabels": service["spec"]["selector"]}, deployment["spec"]["template"]["metadata"]["labels"]
            )
        ]
        assert len(pods) == 1, service["metadata"]["name"]
        named = {port["name"] for port in pods[0]["spec"]["containers"][0]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= named


def test_the_metrics_port_is_on_no_service(environment: Environment) -> None:
    targets = {port["targetPort"] for service in environment.of_kind("Service") for port in service["spec"]["ports"]}
    assert targets == {"http"}


def test_a_drain_takes_one_pod_at_a_time(recette: Environment) -> None:
    budgets = {budget["metadata"]["name"]: budget["spec"] for budget in recette.of_kind("PodDisruptionBudget")}
    assert budgets == {
        name: {"selector": _labels(name), "maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow"}
        for name in (API, FRONT)
    }
    for name in budgets:
        assert recette.get("Deployment", name)["spec"]["replicas"] >= 2


def _labels(name: str) -> dict[str, Any]:
    return {"matchLabels": {"app.kubernetes.io/name": name}}
