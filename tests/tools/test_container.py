"""What a container gets from the rendered manifests."""

import base64
from typing import Any

import pytest

from tests.support.product import rendered
from tools.command import RefusedError
from tools.local.container import configuration_of, container_of, environment_of, pod_of
from tools.repository import OVERLAYS, environments

MANIFESTS: list[dict[str, Any]] = [
    {"kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"LEVEL": "debug", "config.json": "{}"}},
    {
        "kind": "Secret",
        "metadata": {"name": "settings"},
        "data": {"PASSWORD": base64.b64encode("é=1".encode()).decode()},
    },
]


def variable(variable_name: str, source: str, **reference: str) -> dict[str, Any]:
    return {"name": variable_name, "valueFrom": {source: reference}}


def test_every_kind_of_variable_is_resolved() -> None:
    container = {
        "env": [
            {"name": "PLAIN", "value": "1"},
            variable("LEVEL", "configMapKeyRef", name="settings", key="LEVEL"),
            variable("DB_PASSWORD", "secretKeyRef", name="settings", key="PASSWORD"),
            variable("POD_NAMESPACE", "fieldRef", fieldPath="metadata.namespace"),
        ]
    }
    assert environment_of(MANIFESTS, container) == {"PLAIN": "1", "LEVEL": "debug", "DB_PASSWORD": "é=1"}


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ({"name": "other", "key": "LEVEL"}, "uses the ConfigMap 'other' and does not make it"),
        ({"name": "settings", "key": "LEVLE"}, "ConfigMap 'settings' has no 'LEVLE'"),
    ],
)
def test_a_value_that_is_not_there_is_told(reference: dict[str, str], told: str) -> None:
    with pytest.raises(RefusedError, match=told):
        environment_of(MANIFESTS, {"env": [variable("LEVEL", "configMapKeyRef", **reference)]})


def test_a_file_of_a_config_map_is_found() -> None:
    files = {"name": "settings", "items": [{"key": "config.json", "path": "named.json"}]}
    pod = {"volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "config", "configMap": files}]}
    assert configuration_of(MANIFESTS, pod) == {"named.json": "{}"}


@pytest.mark.parametrize("environment", environments())
def test_the_overlays_give_what_their_containers_ask_for(environment: str) -> None:
    manifests = rendered(environment)
    values = environment_of(manifests, container_of(manifests, "api"))
    assert values["APP_ENV"] == environment
    assert values["DB_PASSWORD"].startswith("demo-")
    config = (OVERLAYS / environment / "config.json").read_text()
    assert configuration_of(manifests, pod_of(manifests, "front")) == {"config.json": config}
