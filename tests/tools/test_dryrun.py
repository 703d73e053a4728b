"""What tools/dryrun says, without a cluster; tests/cluster/test_agreement.py compares it with an API server."""

import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tools.command import run_program
from tools.dryrun import Answer, Finding, Request, ask, define, path_of, program
from tools.dryrun.define import DEFINITIONS
from tools.dryrun.program import HOW, PROGRAM, NotBuiltError, running
from tools.manifests import Manifest, get

CONTAINER = {"name": "a", "image": "a:1"}
DEPLOYMENT: Manifest = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "a", "namespace": "n"},
    "spec": {
        "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [CONTAINER]}},
    },
}
POD = ("spec", "template", "spec")
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "labels": {}}}
DEFINITION: Manifest = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "things.example.org"},
    "spec": {
        "group": "example.org",
        "names": {"kind": "Thing", "plural": "things"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {
                                    "size": {"type": "integer", "default": 3},
                                    "least": {"type": "integer"},
                                },
                                "x-kubernetes-validations": [
                                    {"rule": "!has(self.least) || self.least <= self.size", "message": "least is most"}
                                ],
                            }
                        },
                    }
                },
            }
        ],
    },
}
POLICY: list[Manifest] = [
    {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "replicas"},
        "spec": {
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": ["apps"],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": ["deployments"],
                    }
                ]
            },
            "validations": [{"expression": "object.spec.replicas >= 2", "messageExpression": "'two, not one'"}],
        },
    },
    {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "replicas"},
        "spec": {
            "policyName": "replicas",
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": {"strict": "yes"}}},
        },
    },
]


def changed(manifest: Manifest, path: tuple[str | int, ...], value: Any) -> Manifest:
    copy = deepcopy(manifest)
    get(copy, path[:-1])[path[-1]] = value
    return copy


def answer(manifest: Manifest, *present: Manifest) -> Answer:
    ((said,),) = ask([Request([manifest], present)]).answers
    return said


def found(manifest: Manifest, *present: Manifest) -> list[tuple[str, str]]:
    return [(one.by, one.field) for one in answer(manifest, *present).findings]


def test_it_speaks_for_the_kubernetes_of_go_mod() -> None:
    required = re.search(r"k8s\.io/kubernetes (v\S+)", (Path(program.__file__).parent / "go.mod").read_text())
    assert required
    assert ask([]).kubernetes == required[1]


def test_an_object_is_stored_with_its_defaults() -> None:
    said = answer(DEPLOYMENT)
    assert (said.known, said.findings) == (True, ())
    assert get(said.stored, ("spec", "replicas")) == 1
    assert get(said.stored, (*POD, "containers", 0, "imagePullPolicy")) == "IfNotPresent"


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("spec", "replica"), 2, ("decoding", ("spec", "replica"))),
        (("spec", "replicas"), "2", ("decoding", ("spec", "replicas"))),
        (("spec", "replicas"), -1, ("validation", ("spec", "replicas"))),
        ((*POD, "restartPolicy"), "Never", ("validation", (*POD, "restartPolicy"))),
        ((*POD, "containers"), "a", ("decoding", (*POD, "containers"))),
        (
            (*POD, "containers", 0, "resources"),
            {"limits": {"memory": "128MB"}},
            ("decoding", (*POD, "containers", 0, "resources", "limits", "memory")),
        ),
        (
            ("spec", "template", "metadata", "labels", "v"),
            "é",
            ("validation", ("spec", "template", "metadata", "labels", "v")),
        ),
        (("metadata", "name"), "A", ("validation", ("metadata", "name"))),
    ],
)
def test_what_is_refused_has_its_field(path: tuple[str, ...], value: Any, expected: tuple[str, Any]) -> None:
    manifest = changed(DEPLOYMENT, path, value)
    (finding,) = answer(manifest).findings
    assert (finding.by, path_of(finding, manifest)) == expected
    assert finding.refuses


def test_every_value_that_cannot_be_decoded_is_named() -> None:
    container = CONTAINER | {"ports": [{"containerPort": "1"}, {"containerPort": 2}, {"containerPort": "3"}]}
    manifest = changed(DEPLOYMENT, (*POD, "containers", 0), container)
    fields = [f"spec.template.spec.containers[0].ports[{index}].containerPort" for index in (0, 2)]
    assert sorted(found(manifest)) == [("decoding", field) for field in fields]


def test_an_unknown_field_comes_with_those_that_there_are() -> None:
    (finding,) = answer(changed(DEPLOYMENT, (*POD, "containers", 0, "imagePullPolcy"), "Always")).findings
    assert "imagePullPolicy" in finding.known
    assert "replicas" not in finding.known


def test_a_warning_refuses_nothing() -> None:
    (finding,) = answer(changed(DEPLOYMENT, (*POD, "containers", 0, "env"), 2 * [{"name": "A", "value": "1"}])).findings
    assert (finding.by, finding.refuses) == ("warning", False)


@pytest.mark.parametrize(
    ("version", "kind"), [("example.org/v1", "Deployment"), ("gateway.networking.k8s.io/v1", "GRPCRoute")]
)
def test_a_kind_that_a_definition_may_bring_is_unknown(version: str, kind: str) -> None:
    said = answer(DEPLOYMENT | {"apiVersion": version, "kind": kind})
    assert (said.known, said.findings) == (False, ())


def test_a_definition_of_the_cluster_replaces_the_one_kept_here() -> None:
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "a", "namespace": "b"},
        "spec": {"hostnames": ["of_no_host"]},
    }
    definition = json.loads((DEFINITIONS / "httproutes.gateway.networking.k8s.io.json").read_text())
    definition["spec"]["versions"][0]["schema"] = {
        "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    }
    ((refused,), (accepted,)) = ask([Request([route]), Request([route], [definition])]).answers
    assert [one.field for one in refused.refusals] == ["spec.hostnames[0]"]
    assert accepted.refusals == []


@pytest.mark.parametrize(
    ("version", "kind", "in_its_place"),
    [
        ("extensions/v1beta1", "Ingress", "networking.k8s.io/v1 Ingress"),
        ("v1", "Deployment", "apps/v1 Deployment"),
        ("apps/v1", "Deploymnet", "apps/v1 Deployment"),
    ],
)
def test_a_kind_that_no_cluster_can_serve_is_refused(version: str, kind: str, in_its_place: str) -> None:
    """Only Kubernetes itself can have a kind of its own groups."""
    said = answer(DEPLOYMENT | {"apiVersion": version, "kind": kind})
    (finding,) = said.findings
    assert (said.known, finding.reason, in_its_place in finding.known) == (True, "NotServed", True)


# --- what a cluster has


def test_what_is_there_already_is_updated() -> None:
    other = changed(DEPLOYMENT, ("spec", "selector", "matchLabels"), {"c": "d"})
    other = changed(other, ("spec", "template", "metadata", "labels"), {"c": "d"})
    assert found(other) == []
    assert found(other, DEPLOYMENT) == [("validation", "spec.selector")]


@pytest.mark.parametrize(
    ("limit", "unchanged", "pods_unchanged"), [("128Mi", True, True), ("134217728", True, True), ("1Gi", False, False)]
)
def test_what_means_the_same_restarts_nothing(limit: str, unchanged: bool, pods_unchanged: bool) -> None:
    before = changed(DEPLOYMENT, (*POD, "containers", 0, "resources"), {"limits": {"memory": "128Mi"}})
    after = changed(before, (*POD, "containers", 0, "resources"), {"limits": {"memory": limit}})
    said = answer(after, before)
    assert (said.unchanged, said.pods_unchanged) == (unchanged, pods_unchanged)
    said = answer(changed(after, ("spec", "replicas"), 5), before)
    assert (said.unchanged, said.pods_unchanged) == (False, pods_unchanged)


def test_without_a_level_a_pod_may_be_privileged() -> None:
    """As in a cluster by kubeadm, or one that somebody else runs."""
    privileged = deepcopy(DEPLOYMENT)
    get(privileged, POD)["containers"] = [CONTAINER | {"securityContext": {"privileged": True}}]
    assert answer(privileged).findings == ()


def test_a_namespace_decides_about_the_security_of_its_pods() -> None:
    strict = changed(NAMESPACE, ("metadata", "labels"), {"pod-security.kubernetes.io/enforce": "restricted"})
    assert found(DEPLOYMENT, NAMESPACE) == []
    assert {by for by, _ in found(DEPLOYMENT, strict)} == {"pod-security"}


@pytest.mark.parametrize(
    ("labels", "replicas", "denied"), [({"strict": "yes"}, 1, True), ({"strict": "yes"}, 2, False), ({}, 1, False)]
)
def test_a_policy_denies_where_it_is_bound(labels: dict[str, str], replicas: int, denied: bool) -> None:
    deployment = changed(DEPLOYMENT, ("spec", "replicas"), replicas)
    findings = answer(deployment, *POLICY, changed(NAMESPACE, ("metadata", "labels"), labels)).findings
    assert [(one.by, one.reason) for one in findings] == [("policy", "replicas")] * denied
    assert all("two, not one" in one.message for one in findings)


def test_a_node_port_belongs_to_one_service() -> None:
    port = {"port": 80, "nodePort": 30080}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"type": "NodePort"}}
    one = changed(service, ("spec", "ports"), [port])
    assert found(changed(one, ("metadata", "name"), "b"), one) == [("validation", "spec.ports[0].nodePort")]
    assert found(changed(one, ("spec", "ports", 0, "nodePort"), 80)) == [("validation", "spec.ports[0].nodePort")]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, []),
        ({"size": "3"}, [("validation", "spec.size"), ("validation", "")]),
        ({"sise": 3}, [("decoding", "")]),
        ({"least": 4}, [("validation", "spec")]),
    ],
)
def test_a_custom_resource_is_held_to_its_definition(spec: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    thing = {
        "apiVersion": "example.org/v1",
        "kind": "Thing",
        "metadata": {"name": "a", "namespace": "n"},
        "spec": spec,
    }
    assert not answer(thing).known
    assert found(thing, DEFINITION) == expected


def test_a_custom_resource_is_updated_more_than_once() -> None:
    """What is there stays there for the next object of the same request."""
    thing = {"apiVersion": "example.org/v1", "kind": "Thing", "metadata": {"name": "a", "namespace": "n"}, "spec": {}}
    (answers,) = ask([Request([thing, thing], [DEFINITION, thing])]).answers
    assert answers[0] == answers[1]


# --- where it is not there


def test_without_the_program_it_says_how_to_build_it() -> None:
    with pytest.raises(NotBuiltError, match=HOW):
        ask([], PROGRAM.with_name("absent"))


def test_after_a_failure_it_is_started_anew() -> None:
    process = running()
    process._process.kill()
    with pytest.raises(RuntimeError, match=HOW):
        process.answer({"objects": []})
    assert ask([Request([])]).answers == [[]]


def test_a_path_leads_into_the_manifest() -> None:
    manifest = {"spec": {"template": {"metadata": {"labels": {"a.b/c": "x"}}}}, "data": {"a.b": "c"}}
    labels = ("spec", "template", "metadata", "labels", "a.b/c")
    assert path_of(Finding("validation", "no", field="data[a.b]"), manifest) == ("data", "a.b")
    assert path_of(Finding("validation", 'Invalid value: "x": no', field="spec.template.labels"), manifest) == labels
    assert path_of(Finding("validation", "too long"), manifest) == ()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [([], "required"), (["v1", "absent.yaml"], "absent.yaml"), (["v7", "kind.yaml"], "with a version v7")],
    ids=["nothing", "absent", "version"],
)
def test_a_definition_that_cannot_be_kept_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(define, "DEFINITIONS", tmp_path)
    (tmp_path / "kind.yaml").write_text((DEFINITIONS / "gateways.gateway.networking.k8s.io.json").read_text())
    assert run_program("define", lambda: define.main(arguments)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert [one.name for one in tmp_path.iterdir()] == ["kind.yaml"]
