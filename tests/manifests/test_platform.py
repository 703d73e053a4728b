"""What the platform's policies are; tests/cluster/test_admission.py has an API server judge by them."""

import re
from functools import cache
from typing import Any

import kubernetes_validate
import pytest

from tests.cases.admissions import REFUSED
from tests.support.manifests import SUPPORTED, Environment
from tools.manifests import Manifest
from tools.render import render
from tools.repository import OVERLAYS, followed

PLATFORM = OVERLAYS.parent / "platform"
POLICY, BINDING = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"
# Each has a directory, a policy and a binding of its name.
RULES = ["images-by-digest", "no-service-account-token", "resources-set", "two-replicas"]
CREATE_UPDATE = ["CREATE", "UPDATE"]
# A pod is what counts; who applies what makes pods is told at once.
PODS = {"pods", "deployments", "jobs"}
JUDGED = {
    "images-by-digest": PODS | {"pods/ephemeralcontainers"},
    "no-service-account-token": PODS,
    "resources-set": PODS | {"pods/resize"},
    "two-replicas": {"deployments", "deployments/scale"},
}
DEBUG = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods/ephemeralcontainers"], "operations": ["*"]}


@cache
def platform() -> tuple[Manifest, ...]:
    return tuple(render(PLATFORM))


def named(kind: str) -> dict[str, Manifest]:
    return {manifest["metadata"]["name"]: manifest["spec"] for manifest in platform() if manifest["kind"] == kind}


def judged() -> Manifest:
    """Return the selector of the namespaces of what Argo CD follows, in the order of argocd/."""
    namespaces = [f"datapress-{name}" for name in followed()]
    return {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": namespaces}]}


def test_each_rule_has_a_policy_and_a_binding() -> None:
    names = [f"datapress-{rule}" for rule in RULES]
    assert sorted(path.name for path in PLATFORM.iterdir() if path.is_dir()) == RULES
    assert sorted(named(POLICY)) == names
    assert sorted(named(BINDING)) == sorted([*names, "datapress-images-by-digest-debug"])
    assert {manifest["kind"] for manifest in platform()} == {POLICY, BINDING}


@pytest.mark.parametrize("version", SUPPORTED)
def test_schema_accepts_every_object(version: str) -> None:
    for manifest in platform():
        kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("rule", RULES)
def test_binding_denies_in_what_argo_cd_follows_and_nowhere_else(rule: str) -> None:
    binding = named(BINDING)[f"datapress-{rule}"]
    assert binding["policyName"] == f"datapress-{rule}"
    assert binding["validationActions"] == ["Deny"]
    expected: dict[str, Any] = {"namespaceSelector": judged()}
    if rule == "images-by-digest":
        expected["excludeResourceRules"] = [DEBUG]
    assert binding["matchResources"] == expected


def test_debugging_is_warned_of_and_recorded() -> None:
    assert named(BINDING)["datapress-images-by-digest-debug"] == {
        "policyName": "datapress-images-by-digest",
        "validationActions": ["Warn", "Audit"],
        "matchResources": {
            "namespaceSelector": judged(),
            "resourceRules": [DEBUG],
        },
    }


@pytest.mark.parametrize("rule", RULES)
def test_policy_judges_what_is_created_and_what_is_changed(rule: str) -> None:
    policy = named(POLICY)[f"datapress-{rule}"]
    assert policy["failurePolicy"] == "Fail"
    rules = policy["matchConstraints"]["resourceRules"]
    assert {resource for item in rules for resource in item["resources"]} == JUDGED[rule]
    for item in rules:
        assert item["operations"] == CREATE_UPDATE
    (condition,) = policy["matchConditions"]
    assert condition["expression"].startswith("oldObject == null || ")


@pytest.mark.parametrize("rule", RULES)
def test_every_refusal_names_the_rule_and_the_remedy(rule: str) -> None:
    for validation in named(POLICY)[f"datapress-{rule}"]["validations"]:
        assert re.fullmatch(rf"'{rule}: .+ \+ '; \w.+'", validation["messageExpression"])


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_is_shown_to_refuse_each_kind_that_it_judges(rule: str) -> None:
    refused = {f"{case.patch['kind'].lower()}s" for case in REFUSED if case.rule == rule}
    assert refused == {resource for resource in JUDGED[rule] if "/" not in resource}


def test_no_overlay_needs_it(environment: Environment) -> None:
    """A fork that has promoted nothing yet can apply its overlay; and Argo CD may not touch what is the platform's."""
    assert not {POLICY, BINDING} & {manifest["kind"] for manifest in environment.objects}
