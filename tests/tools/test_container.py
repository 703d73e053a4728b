"""What a container gets from the rendered manifests: what Kubernetes would give it."""

import base64
from pathlib import Path
from typing import Any

import pytest

from tests.support.product import rendered
from tools.command import RefusedError
from tools.local import front
from tools.local.container import arguments_of, container_of, environment_of, files_in, pod_of
from tools.repository import OVERLAYS, environments

DIRECTORY = "/config"
LATIN = "é".encode("latin-1")


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


MANIFESTS: list[dict[str, Any]] = [
    {
        "kind": "ConfigMap",
        "metadata": {"name": "settings"},
        "data": {"LEVEL": "debug", "config.json": "{}"},
        "binaryData": {"page.json": encoded(LATIN)},
    },
    {"kind": "Secret", "metadata": {"name": "settings"}, "data": {"PASSWORD": encoded("é=1".encode())}},
    {"kind": "Secret", "metadata": {"name": "plain"}, "stringData": {"TOKEN": "$(LEVEL)"}},
    {"kind": "Secret", "metadata": {"name": "wrong"}, "data": {"KEY": "not encoded"}},
]
POD: dict[str, Any] = {
    "metadata": {"labels": {"app.kubernetes.io/name": "api"}, "namespace": "team"},
    "spec": {"serviceAccountName": "api"},
}


def taken(variable: str, source: str, **reference: Any) -> dict[str, Any]:
    return {"name": variable, "valueFrom": {source: reference}}


def of_key(name: str, key: str, **reference: Any) -> dict[str, Any]:
    return taken("LEVEL", "configMapKeyRef", name=name, key=key, **reference)


@pytest.mark.parametrize(
    ("container", "values"),
    [
        ({}, {}),
        ({"env": [{"name": "A", "value": "1"}, {"name": "B"}]}, {"A": "1", "B": ""}),
        ({"env": [of_key("settings", "LEVEL")]}, {"LEVEL": "debug"}),
        ({"env": [taken("PASSWORD", "secretKeyRef", name="settings", key="PASSWORD")]}, {"PASSWORD": "é=1"}),
        ({"envFrom": [{"secretRef": {"name": "settings"}, "prefix": "DB_"}]}, {"DB_PASSWORD": "é=1"}),
        # What is named goes before what comes in a heap, and is expanded; what comes from elsewhere is not.
        (
            {"envFrom": [{"secretRef": {"name": "plain"}}], "env": [{"name": "A", "value": "<$(TOKEN)>"}]},
            {"TOKEN": "$(LEVEL)", "A": "<$(LEVEL)>"},
        ),
        ({"envFrom": [{"secretRef": {"name": "plain"}}], "env": [{"name": "TOKEN", "value": "2"}]}, {"TOKEN": "2"}),
        (
            {"env": [{"name": "A", "value": "$(B) $$(B) $5"}, {"name": "B", "value": "$(A)$$"}]},
            {"A": "$(B) $(B) $5", "B": "$(B) $(B) $5$"},
        ),
        ({"env": [of_key("nowhere", "A", optional=True), of_key("settings", "A", optional=True)]}, {}),
        ({"envFrom": [{"configMapRef": {"name": "nowhere", "optional": True}}]}, {}),
        ({"env": [taken("A", "fieldRef", fieldPath="metadata.labels['app.kubernetes.io/name']")]}, {"A": "api"}),
        ({"env": [taken("A", "fieldRef", fieldPath="spec.serviceAccountName")]}, {"A": "api"}),
        ({"env": [taken("A", "fieldRef", fieldPath="status.podIP")]}, {}),
        ({"env": [taken("A", "resourceFieldRef", resource="limits.memory")]}, {}),
    ],
)
def test_variables_are_those_that_kubernetes_sets(container: dict[str, Any], values: dict[str, str]) -> None:
    assert environment_of(MANIFESTS, container, POD) == values


@pytest.mark.parametrize(
    ("container", "told"),
    [
        ({"env": [of_key("other", "LEVEL")]}, "uses the ConfigMap 'other' and does not make it"),
        ({"env": [of_key("settings", "LEVLE")]}, "ConfigMap 'settings' has no 'LEVLE'"),
        ({"envFrom": [{"secretRef": {"name": "other"}}]}, "uses the Secret 'other' and does not make it"),
        ({"envFrom": [{"secretRef": {"name": "wrong"}}]}, "KEY of the Secret wrong is no base64"),
    ],
)
def test_a_value_that_is_not_there_is_told(container: dict[str, Any], told: str) -> None:
    with pytest.raises(RefusedError, match=told):
        environment_of(MANIFESTS, container, POD)


WHOLE = {"configMap": {"name": "settings"}}
NAMED = {"configMap": {"name": "settings", "items": [{"key": "config.json", "path": "named.json"}]}}
ALL = {"LEVEL": b"debug", "config.json": b"{}", "page.json": LATIN}


@pytest.mark.parametrize(
    ("volume", "mount", "files"),
    [
        ({"emptyDir": {}}, {}, {}),
        (WHOLE, {}, ALL),
        (NAMED, {}, {"named.json": b"{}"}),
        (WHOLE, {"mountPath": "/elsewhere"}, {}),
        (WHOLE, {"mountPath": "/config/below"}, {f"below/{name}": content for name, content in ALL.items()}),
        (WHOLE, {"mountPath": "/config/one.json", "subPath": "config.json"}, {"one.json": b"{}"}),
        (WHOLE, {"mountPath": "/config/one.json", "subPath": "nothing"}, {}),
        ({"secret": {"secretName": "settings"}}, {}, {"PASSWORD": "é=1".encode()}),
        ({"configMap": {"name": "nowhere", "optional": True}}, {}, {}),
        (
            {"projected": {"sources": [NAMED, {"secret": {"name": "plain"}}]}},
            {},
            {"named.json": b"{}", "TOKEN": b"$(LEVEL)"},
        ),
    ],
)
def test_files_are_those_that_are_mounted(
    volume: dict[str, Any], mount: dict[str, str], files: dict[str, bytes]
) -> None:
    pod = {"spec": {"volumes": [{"name": "held", **volume}, {"name": "tmp", "emptyDir": {}}]}}
    container = {"volumeMounts": [{"name": "held", "mountPath": DIRECTORY, **mount}]}
    assert files_in(MANIFESTS, container, pod, DIRECTORY) == files
    assert files_in(MANIFESTS, {}, {"spec": {}}, DIRECTORY) == {}


def test_a_file_that_is_not_there_is_told() -> None:
    items = [{"key": "config.jsn", "path": "config.json"}]
    pod = {"spec": {"volumes": [{"name": "held", "configMap": {"name": "settings", "items": items}}]}}
    with pytest.raises(RefusedError, match=r"has no 'config\.jsn'"):
        files_in(MANIFESTS, {"volumeMounts": [{"name": "held", "mountPath": DIRECTORY}]}, pod, DIRECTORY)


def test_a_containers_command_takes_the_place_of_the_images() -> None:
    container = {"command": ["python", "-m"], "args": ["$(SERVER)", "$(NOTHING)"]}
    assert arguments_of(container, {"SERVER": "gunicorn"}) == ["python", "-m", "gunicorn", "$(NOTHING)"]


@pytest.mark.parametrize("environment", environments())
def test_the_overlays_give_what_their_containers_ask_for(environment: str) -> None:
    manifests = rendered(environment)
    pod = pod_of(manifests, "api")
    values = environment_of(manifests, container_of(pod, "api"), pod)
    assert values["APP_ENV"] == environment
    assert values["DB_PASSWORD"].startswith("demo-")
    config = Path(OVERLAYS / environment / "config.json").read_bytes()
    pod = pod_of(manifests, "front")
    assert files_in(manifests, container_of(pod, "front"), pod, front.config_dir()) == {"config.json": config}
