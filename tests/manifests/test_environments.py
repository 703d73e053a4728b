"""What each environment brings: the contract's names and numbers, and nothing that the base already says."""

import base64
import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.manifests import Environment
from tests.support.product import API, FRONT, rendered
from tools.manifests import without_hash
from tools.render import render
from tools.repository import environments

# Of the contract; other environments are held to what any must be.
NODE_PORT = {"recette": 30080, "dev": 30081}
REPLICAS = {"recette": 2, "dev": 1}
NODE_PORTS = range(30000, 32768)
CLUSTER_SCOPED = {"Namespace"}


def test_the_environments_of_the_contract_are_there() -> None:
    assert set(environments()) >= NODE_PORT.keys()


def test_every_object_is_in_the_environment_s_namespace(environment: Environment) -> None:
    for manifest in environment.objects:
        if manifest["kind"] not in CLUSTER_SCOPED:
            assert manifest["metadata"]["namespace"] == environment.namespace


def test_namespace_enforces_pod_security(environment: Environment) -> None:
    namespace = environment.get("Namespace", environment.namespace)
    modes = ["enforce", "audit", "warn"]
    assert namespace["metadata"]["labels"] == {
        **{f"pod-security.kubernetes.io/{mode}": "restricted" for mode in modes},
        **{f"pod-security.kubernetes.io/{mode}-version": "v1.34" for mode in modes},
    }


@pytest.mark.parametrize("name", [API, FRONT])
def test_replicas(environment: Environment, name: str) -> None:
    replicas = environment.get("Deployment", name)["spec"].get("replicas", 1)
    assert replicas == REPLICAS.get(environment.name, max(replicas, 1))


@pytest.mark.parametrize(("name", "image"), [(API, "ghcr.io/datapress/api"), (FRONT, "ghcr.io/datapress/front")])
def test_image_is_named_by_a_commit(environment: Environment, name: str, image: str) -> None:
    """An immutable tag, perhaps with a digest after it."""
    pattern = re.escape(image) + r":sha-[0-9a-f]{40}(@sha256:[0-9a-f]{64})?"
    assert re.fullmatch(pattern, environment.container(name)["image"])


def test_services(environment: Environment) -> None:
    api = environment.get("Service", API)["spec"]
    front = environment.get("Service", FRONT)["spec"]
    assert api == {
        "type": "ClusterIP",
        "selector": {"app.kubernetes.io/name": API},
        "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
    }
    number = front["ports"][0]["nodePort"]
    assert number in NODE_PORTS
    assert front == {
        "type": "NodePort",
        "selector": {"app.kubernetes.io/name": FRONT},
        "ports": [
            {"name": "http", "port": 80, "targetPort": "http", "nodePort": NODE_PORT.get(environment.name, number)}
        ],
    }


def test_config_map(environment: Environment) -> None:
    config = environment.get("ConfigMap", "datapress-config")
    assert config["immutable"] is True
    assert set(config["data"]) == {"APP_ENV", "config.json"}
    assert config["data"]["APP_ENV"] == environment.name
    page = json.loads(config["data"]["config.json"])
    assert page["environment"] == environment.name
    assert page["version"] == "v1.0 – Environnement de démonstration"
    assert set(page) == {"version", "environment", "banner"}
    assert page["banner"]


def test_secret_is_a_dummy(environment: Environment) -> None:
    """The prefix is the one that the API refuses in production."""
    secret = environment.get("Secret", "datapress-secret")
    assert secret["type"] == "Opaque"
    assert secret["immutable"] is True
    values = {key: base64.b64decode(value, validate=True).decode() for key, value in secret["data"].items()}
    assert values == {"DB_PASSWORD": f"demo-not-a-secret-{environment.name}"}


def test_pods_read_the_generated_names(environment: Environment) -> None:
    config = environment.get("ConfigMap", "datapress-config")["metadata"]["name"]
    secret = environment.get("Secret", "datapress-secret")["metadata"]["name"]
    assert [without_hash(config), without_hash(secret)] == ["datapress-config", "datapress-secret"]
    assert {config, secret}.isdisjoint({"datapress-config", "datapress-secret"})
    assert environment.container(API)["env"] == [
        {"name": "APP_ENV", "valueFrom": {"configMapKeyRef": {"name": config, "key": "APP_ENV"}}},
        {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": secret, "key": "DB_PASSWORD"}}},
    ]
    volumes = {volume["name"]: volume for volume in environment.pod(FRONT)["spec"]["volumes"]}
    assert volumes["config"]["configMap"] == {"name": config, "items": [{"key": "config.json", "path": "config.json"}]}


def test_front_asks_the_api_of_its_own_namespace(environment: Environment) -> None:
    container = environment.container(FRONT)
    assert container["env"] == [
        {"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        {"name": "API_SERVER", "value": f"{API}.$(POD_NAMESPACE).svc.cluster.local:80 resolve"},
    ]
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert mounts["config"] == {"name": "config", "mountPath": "/usr/share/nginx/config", "readOnly": True}


@pytest.mark.parametrize(
    ("kind", "name", "edit"),
    [("ConfigMap", "datapress-config", "config.json"), ("Secret", "datapress-secret", "kustomization.yaml")],
)
def test_a_changed_value_gets_a_new_name(
    deploy_copy: Path, recette: Environment, kind: str, name: str, edit: str
) -> None:
    """A new name changes the pods' template, so that they roll."""
    file = deploy_copy / "overlays" / "recette" / edit
    before = file.read_text()
    after = before.replace("demo-not-a-secret-recette", "demo-other").replace(
        "Environnement de recette", "Autre bannière"
    )
    assert after != before
    file.write_text(after)
    changed = Environment("recette", tuple(render(file.parent)))
    assert changed.get(kind, name)["metadata"]["name"] != recette.get(kind, name)["metadata"]["name"]
    owner = API if kind == "Secret" else FRONT
    assert changed.pod(owner) != recette.pod(owner)


def test_all_environments_fit_in_one_cluster() -> None:
    objects = [manifest for name in environments() for manifest in rendered(name)]
    identities = [(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in objects]
    assert len(set(identities)) == len(identities)
    ports = [port for one in objects if one["kind"] == "Service" for port in one["spec"]["ports"]]
    taken = [port["nodePort"] for port in ports if "nodePort" in port]
    assert len(set(taken)) == len(taken) == len(environments())


def test_environments_differ_only_where_they_mean_to(environment: Environment, recette: Environment) -> None:
    """Without what an overlay is for, the Deployments are the same bytes."""
    for name in (API, FRONT):
        assert _without_differences(environment, name) == _without_differences(recette, name)


def _without_differences(environment: Environment, name: str) -> dict[str, Any]:
    deployment = copy.deepcopy(environment.get("Deployment", name))
    deployment["spec"].pop("replicas", None)
    deployment["spec"]["template"]["spec"]["containers"][0].pop("image")
    text = json.dumps(deployment)
    for kind, generated in (("ConfigMap", "datapress-config"), ("Secret", "datapress-secret")):
        text = text.replace(environment.get(kind, generated)["metadata"]["name"], generated)
    common: dict[str, Any] = json.loads(text.replace(environment.namespace, "NAMESPACE"))
    return common
