"""What manifests mean, above all where two places of the tools once told it differently."""

from base64 import b64encode
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tools.manifests import (
    Manifest,
    Port,
    Project,
    base_name,
    entries,
    pod_of,
    port_of,
    project_of,
    quantity,
    selector_from,
    selector_of,
    selects,
    share,
    target_of,
)
from tools.repository import environments

HASH = "kg6hb8m4mf"


def manifest(kind: str, name: str = "one", namespace: str = "", api_version: str = "v1", **more: Any) -> Manifest:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **more}


@pytest.mark.parametrize(
    ("kind", "name", "base"),
    [
        ("ConfigMap", f"datapress-config-{HASH}", "datapress-config"),
        ("Secret", f"datapress-secret-{HASH}", "datapress-secret"),
        ("SealedSecret", f"datapress-secret-{HASH}", "datapress-secret"),
        # Ten letters that a hash never has, and a hash where no generator is.
        ("ConfigMap", "datapress-dashboards", "datapress-dashboards"),
        ("ConfigMap", "datapress-production", "datapress-production"),
        ("Deployment", "datapress-dashboards", "datapress-dashboards"),
        ("Deployment", f"datapress-{HASH}", f"datapress-{HASH}"),
    ],
)
def test_only_a_generator_s_hash_is_taken_off(kind: str, name: str, base: str) -> None:
    assert base_name(manifest(kind, name)) == base


# --- selectors


def expression(operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": "app", "operator": operator, **({"values": [*values]} if values else {})}]}


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        (None, []),
        ({}, ["api", "front", None]),
        ({"matchLabels": None, "matchExpressions": None}, ["api", "front", None]),
        ({"matchLabels": {"app": "api"}}, ["api"]),
        (expression("In", "api", "other"), ["api"]),
        (expression("NotIn", "api"), ["front", None]),
        (expression("Exists"), ["api", "front"]),
        (expression("DoesNotExist"), [None]),
        (expression("Within", "api"), []),
        ({"matchLabels": {"app": "api"}, **expression("NotIn", "api")}, []),
    ],
)
def test_label_selector(selector: dict[str, Any] | None, selected: list[str | None]) -> None:
    apps: list[str | None] = ["api", "front", None]
    assert [app for app in apps if selects(selector, {"app": app} if app else {})] == selected


@pytest.mark.parametrize(
    ("kind", "spec", "everything"),
    [
        ("Service", {}, False),
        ("Service", {"selector": {}}, False),
        ("NetworkPolicy", {}, True),
        ("NetworkPolicy", {"podSelector": {}}, True),
        ("PodDisruptionBudget", {}, False),
        ("PodDisruptionBudget", {"selector": {}}, True),
    ],
)
def test_what_an_empty_selector_means_is_the_kind_s(kind: str, spec: dict[str, Any], everything: bool) -> None:
    assert selects(selector_of(manifest(kind, spec=spec)), {"app": "api"}) == everything


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("", True),
        ("app=web", True),
        ("app == web, tier!=back", True),
        ("app=web,tier=back", False),
        ("app!=web", False),
        ("app in (api, web)", True),
        ("app notin (api,web)", False),
        ("app", True),
        ("tier", False),
        ("!tier,kubernetes.io/os=linux", True),
    ],
)
def test_a_selector_may_be_a_text(text: str, selected: bool) -> None:
    assert selects(selector_from(text), {"app": "web", "kubernetes.io/os": "linux"}) is selected


def test_services_select_by_labels_and_workloads_by_selectors() -> None:
    assert selector_of(manifest("Service", spec={"selector": {"app": "api"}})) == {"matchLabels": {"app": "api"}}
    assert selector_of(manifest("Deployment", spec={"selector": expression("Exists")})) == expression("Exists")


# --- pods

TEMPLATE = {
    "metadata": {"labels": {"app": "api"}},
    "spec": {
        "initContainers": [
            {"name": "before", "ports": [{"name": "gone", "containerPort": 1}]},
            {"name": "beside", "restartPolicy": "Always", "ports": [{"name": "proxy", "containerPort": 2}]},
        ],
        "containers": [
            {"name": "api", "ports": [{"containerPort": 3}, {"name": "dns", "containerPort": 53, "protocol": "UDP"}]}
        ],
    },
}


@pytest.mark.parametrize(
    "owner",
    [
        {"kind": "Pod", **TEMPLATE},
        {"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": TEMPLATE}}}},
        *({"kind": kind, "spec": {"template": TEMPLATE}} for kind in ("Deployment", "StatefulSet", "Job", "Rollout")),
    ],
    ids=lambda owner: owner["kind"],
)
def test_pods_of_any_kind_are_found(owner: Manifest) -> None:
    pod = pod_of(owner)
    assert pod
    assert pod.labels == {"app": "api"}
    assert [one.data["name"] for one in pod.containers] == ["before", "beside", "api"]


def test_a_template_of_something_else_is_no_pod() -> None:
    assert pod_of(manifest("SealedSecret", spec={"template": {"metadata": {"name": "one"}, "type": "Opaque"}})) is None
    assert pod_of(manifest("Service", spec={})) is None


def test_ports_are_those_of_the_containers_that_stay() -> None:
    pod = pod_of(manifest("Deployment", spec={"template": TEMPLATE}))
    assert pod
    assert pod.ports == {"proxy": Port(2), "3": Port(3), "dns": Port(53, "UDP")}


@pytest.mark.parametrize(
    ("entry", "port"),
    [
        ({"port": 80, "targetPort": "http"}, Port(8000)),
        ({"port": 80, "targetPort": 9}, Port(9)),
        ({"port": 80}, Port(80)),
        ({"port": 53, "targetPort": "dns"}, None),
        ({"port": 53, "targetPort": "dns", "protocol": "UDP"}, Port(53, "UDP")),
        ({"port": 80, "targetPort": "absent"}, None),
    ],
)
def test_target_of_a_service_s_port(entry: dict[str, Any], port: Port | None) -> None:
    assert target_of(entry, {"http": Port(8000), "dns": Port(53, "UDP")}) == port


def test_a_policy_s_port_by_name_is_the_pods() -> None:
    assert port_of({"port": "http"}, {"http": Port(8000)}) == Port(8000)


def read_by(pod_spec: dict[str, Any]) -> list[tuple[str, str, str, bool]]:
    spec = {"containers": [], **pod_spec}
    pod = pod_of(manifest("Deployment", spec={"template": {"spec": spec}}))
    assert pod
    return [(one.kind, one.name, one.key, one.optional) for one in pod.reads()]


@pytest.mark.parametrize(
    ("spec", "read"),
    [
        (
            {"containers": [{"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}]},
            ("Secret", "s", "k", False),
        ),
        (
            {"initContainers": [{"envFrom": [{"configMapRef": {"name": "c", "optional": True}}]}]},
            ("ConfigMap", "c", "", True),
        ),
        ({"volumes": [{"secret": {"secretName": "s"}}]}, ("Secret", "s", "", False)),
        ({"volumes": [{"configMap": {"name": "c", "items": [{"key": "k"}]}}]}, ("ConfigMap", "c", "k", False)),
        ({"volumes": [{"projected": {"sources": [{"secret": {"name": "s"}}]}}]}, ("Secret", "s", "", False)),
        ({"imagePullSecrets": [{"name": "s"}]}, ("Secret", "s", "", False)),
    ],
)
def test_what_pods_read(spec: dict[str, Any], read: tuple[str, str, str, bool]) -> None:
    assert read_by(spec) == [read]


def test_a_variable_that_tells_of_the_pod_reads_nothing() -> None:
    fields = {"valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}
    assert read_by({"containers": [{"env": [{"name": "A", "value": "1"}, {"name": "B", **fields}]}]}) == []


def test_what_a_secret_holds_is_decoded() -> None:
    encoded = b64encode(b"one").decode()
    secret = manifest("Secret", data={"A": encoded}, stringData={"B": "two"})
    assert list(entries(secret)) == [(("data", "A"), "one"), (("stringData", "B"), "two")]
    config = manifest("ConfigMap", data={"A": encoded}, binaryData={"B": encoded})
    assert list(entries(config)) == [(("data", "A"), encoded), (("binaryData", "B"), "one")]


# --- numbers


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", "1"),
        (2, "2"),
        ("100m", "0.1"),
        ("1e3", "1000"),
        ("1E-3", "0.001"),
        ("1E", "1000000000000000000"),
        ("0.5Gi", "536870912"),
        (".5k", "500"),
        ("-1", "-1"),
        ("5n", "0.000000005"),
    ],
)
def test_quantity(text: object, value: str) -> None:
    assert quantity(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "1 Gi", "1gi", "m", "1e", "0x10"])
def test_what_is_no_quantity(text: str) -> None:
    assert quantity(text) is None


@pytest.mark.parametrize(
    ("value", "whole", "up", "down"),
    [("25%", 4, 1, 1), ("25%", 5, 2, 1), ("25%", 1, 1, 0), ("0%", 3, 0, 0), ("100%", 3, 3, 3), (2, 3, 2, 2)],
)
def test_share(value: int | str, whole: int, up: int, down: int) -> None:
    assert (share(value, whole, up=True), share(value, whole, up=False)) == (up, down)


def test_what_is_no_share() -> None:
    assert share("2", 3, up=True) is None


# --- Argo CD's projects

HERE = {"server": "https://kubernetes.default.svc"}


def project(destination: dict[str, str] | None = None, **spec: Any) -> Project:
    return Project(manifest("AppProject", spec=spec), destination or HERE)


ROLE = {"api_version": "rbac.authorization.k8s.io/v1"}
ANY = [{"group": "*", "kind": "*"}]


@pytest.mark.parametrize(
    ("spec", "permitted"),
    [
        # Without a list, what is in a namespace is allowed, and what is the cluster's is not.
        ({}, {"ConfigMap", "Role"}),
        ({"namespaceResourceWhitelist": []}, set()),
        ({"namespaceResourceWhitelist": ANY}, {"ConfigMap", "Role"}),
        ({"namespaceResourceWhitelist": [{"group": "", "kind": "*"}]}, {"ConfigMap"}),
        ({"namespaceResourceWhitelist": [{"kind": "Config*"}]}, {"ConfigMap"}),
        ({"namespaceResourceWhitelist": [{"group": "rbac.*", "kind": "Role"}]}, {"Role"}),
        ({"namespaceResourceBlacklist": [{"group": "", "kind": "ConfigMap"}]}, {"Role"}),
        (
            {"namespaceResourceWhitelist": ANY, "namespaceResourceBlacklist": [{"group": "*", "kind": "Role"}]},
            {"ConfigMap"},
        ),
        ({"clusterResourceWhitelist": ANY, "namespaceResourceWhitelist": []}, {"Namespace", "ClusterRole"}),
        (
            {
                "clusterResourceWhitelist": [{"group": "", "kind": "Namespace", "name": "shop"}],
                "namespaceResourceWhitelist": [],
            },
            {"Namespace"},
        ),
        (
            {
                "clusterResourceWhitelist": [{"group": "", "kind": "Namespace", "name": "other-*"}],
                "namespaceResourceWhitelist": [],
            },
            set(),
        ),
        (
            {
                "clusterResourceWhitelist": ANY,
                "clusterResourceBlacklist": [{"group": "*", "kind": "ClusterRole"}],
                "namespaceResourceWhitelist": [],
            },
            {"Namespace"},
        ),
    ],
)
def test_kinds_that_a_project_permits(spec: dict[str, Any], permitted: set[str]) -> None:
    objects = [
        manifest("ConfigMap", namespace="shop"),
        manifest("Role", namespace="shop", **ROLE),
        manifest("Namespace", "shop"),
        manifest("ClusterRole", **ROLE),
    ]
    assert {one["kind"] for one in objects if project(**spec).permits_kind(one)} == permitted


def at(namespace: str, **cluster: str) -> dict[str, str]:
    return {"namespace": namespace, **(cluster or HERE)}


@pytest.mark.parametrize(
    ("destinations", "permitted"),
    [
        ([], set()),
        ([at("*")], {"shop-dev", "shop-prod", "kube-system"}),
        ([at("shop-*")], {"shop-dev", "shop-prod"}),
        ([at("shop-{dev,test}")], {"shop-dev"}),
        ([at("shop-dev"), at("shop-prod")], {"shop-dev", "shop-prod"}),
        ([at("*"), at("!kube-system")], {"shop-dev", "shop-prod"}),
        ([at("*", server="https://elsewhere")], set()),
        ([at("*", server="*"), at("*", server=f"!{HERE['server']}")], set()),
        ([at("shop-dev", name="in-cluster")], {"shop-dev"}),
    ],
)
def test_namespaces_that_a_project_permits(destinations: list[dict[str, str]], permitted: set[str]) -> None:
    known = project(destinations=destinations)
    assert {one for one in ("shop-dev", "shop-prod", "kube-system") if known.permits_namespace(one)} == permitted


def test_an_object_needs_its_kind_and_its_namespace() -> None:
    known = project(destinations=[at("shop-*")], namespaceResourceWhitelist=[{"group": "", "kind": "Service"}])
    assert known.permits(manifest("Service", namespace="shop-dev"))
    assert not known.permits(manifest("Service", namespace="other"))
    assert not known.permits(manifest("Secret", namespace="shop-dev"))


def test_the_cluster_of_argo_cd_has_two_names() -> None:
    assert project({"name": "in-cluster"}, destinations=[at("shop")]).permits_namespace("shop")
    assert not project({"name": "elsewhere"}, destinations=[at("shop")]).permits_namespace("shop")


def test_the_project_is_that_of_the_application_that_follows() -> None:
    spec = {"project": "two", "source": {"path": "deploy/overlays/dev"}, "destination": HERE}
    objects = [manifest("AppProject", "one"), manifest("Application", spec=spec), manifest("AppProject", "two")]
    found = project_of(objects, "deploy/overlays/dev")
    assert found
    assert found.manifest["metadata"]["name"] == "two"
    assert project_of(objects, "deploy/overlays/recette") is None


# --- environments


@pytest.mark.parametrize("name", ["kustomization.yaml", "kustomization.yml", "Kustomization"])
def test_an_overlay_is_known_by_each_name_of_its_file(name: str, tmp_path: Path) -> None:
    for directory in ("dev", "empty"):
        (tmp_path / directory).mkdir()
    (tmp_path / "dev" / name).touch()
    assert environments(tmp_path) == ["dev"]
