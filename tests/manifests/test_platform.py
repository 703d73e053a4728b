"""What the platform's policies are; tests/cluster/test_admission.py has an API server judge by them."""

import re
from functools import cache

import pytest

from tests.cases.admissions import REFUSED
from tests.support.manifests import Environment
from tests.support.product import PREFIX, namespace
from tools.manifests import NAMESPACE_NAME, Manifest
from tools.render import render
from tools.repository import OVERLAYS, followed

PLATFORM = OVERLAYS.parent / "platform"
POLICY, BINDING = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"
# Each rule has a directory, and a policy and a binding of its name.
RULES = sorted(path.name for path in PLATFORM.iterdir() if path.is_dir())
WARNING = f"{PREFIX}-images-by-digest-debug"  # the binding that only warns


@cache
def platform() -> list[Manifest]:
    return render(PLATFORM)


def named(kind: str) -> dict[str, Manifest]:
    return {manifest["metadata"]["name"]: manifest["spec"] for manifest in platform() if manifest["kind"] == kind}


def judged(rule: str) -> set[str]:
    """Return the resources that a rule is about."""
    return {
        one for item in named(POLICY)[name_of(rule)]["matchConstraints"]["resourceRules"] for one in item["resources"]
    }


def name_of(rule: str) -> str:
    return f"{PREFIX}-{rule}"


def test_each_rule_has_a_policy_and_a_binding() -> None:
    names = set(map(name_of, RULES))
    assert named(POLICY).keys() == names
    assert named(BINDING).keys() == names | {WARNING}
    assert {manifest["kind"] for manifest in platform()} == {POLICY, BINDING}


def test_bindings_hold_in_what_argo_cd_follows_and_nowhere_else() -> None:
    for binding in named(BINDING).values():
        (where,) = binding["matchResources"]["namespaceSelector"]["matchExpressions"]
        assert (where["key"], where["operator"]) == (NAMESPACE_NAME, "In")
        assert set(where["values"]) == set(map(namespace, followed()))


@pytest.mark.parametrize("rule", RULES)
def test_a_binding_denies(rule: str) -> None:
    binding = named(BINDING)[name_of(rule)]
    assert (binding["policyName"], binding["validationActions"]) == (name_of(rule), ["Deny"])


def test_what_is_not_denied_is_warned_of_and_recorded() -> None:
    """Debugging, which needs images that no digest names."""
    binding = named(BINDING)[WARNING]
    (denying,) = [one for one in RULES if name_of(one) == binding["policyName"]]
    assert binding["validationActions"] == ["Warn", "Audit"]
    exempt = {rule: named(BINDING)[name_of(rule)]["matchResources"].get("excludeResourceRules") for rule in RULES}
    assert exempt == {**dict.fromkeys(RULES), denying: binding["matchResources"]["resourceRules"]}
    assert [one["resources"] for one in exempt[denying]] == [["pods/ephemeralcontainers"]]


@pytest.mark.parametrize("rule", RULES)
def test_policy_judges_what_is_created_and_what_is_changed(rule: str) -> None:
    policy = named(POLICY)[name_of(rule)]
    assert policy["failurePolicy"] == "Fail"
    assert all(item["operations"] == ["CREATE", "UPDATE"] for item in policy["matchConstraints"]["resourceRules"])
    # What is older than the policy can be changed in other ways.
    (condition,) = policy["matchConditions"]
    assert condition["expression"].startswith("oldObject == null || ")


@pytest.mark.parametrize("rule", RULES)
def test_every_refusal_names_the_rule_and_the_remedy(rule: str) -> None:
    for validation in named(POLICY)[name_of(rule)]["validations"]:
        assert re.fullmatch(rf"'{rule}: .+ \+ '; \w.+'", validation["messageExpression"])


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_is_shown_to_refuse_each_kind_that_it_judges(rule: str) -> None:
    """And a rule about pods judges what makes them too, so that who applies it is told at once."""
    kinds = {resource for resource in judged(rule) if "/" not in resource}
    assert kinds == {f"{case.patch['kind'].lower()}s" for case in REFUSED if case.rule == rule}
    assert "pods" not in kinds or {"deployments", "jobs"} <= kinds


def test_no_overlay_needs_it(environment: Environment) -> None:
    """A fork that has promoted nothing yet can apply its overlay; and Argo CD may not touch what is the platform's."""
    assert environment.of_kind(POLICY, BINDING) == []
