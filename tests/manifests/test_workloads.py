"""What every pod must be, field by field and with exact values: one that is weakened or dropped turns a test red."""

from typing import Any

import pytest

from tests.support.manifests import Environment
from tests.support.product import API, FRONT

UID = {API: 10001, FRONT: 101}
PORTS = {API: {"http": 8000, "metrics": 9100}, FRONT: {"http": 8080}}
HEALTH = {API: "/health", FRONT: "/healthz"}
# preStop sleep + what the server takes at most to finish its requests (gunicorn's graceful_timeout, NGINX's
# worker_shutdown_timeout; tests/api and tests/front hold those) must stay below this.
GRACE_SECONDS = {API: 45, FRONT: 40}
MEMORY = {API: "128Mi", FRONT: "96Mi"}
CPU = {API: "100m", FRONT: "50m"}
WRITABLE = {API: {"/tmp"}, FRONT: {"/tmp", "/etc/nginx/conf.d"}}

pytestmark = pytest.mark.parametrize("name", [API, FRONT])


def test_pod_security(environment: Environment, name: str) -> None:
    spec = environment.pod(name)["spec"]
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": UID[name],
        "runAsGroup": UID[name],
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert spec["serviceAccountName"] == name
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC", "hostAliases", "initContainers"} & spec.keys()


def test_container_security(environment: Environment, name: str) -> None:
    assert environment.container(name)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_service_account_has_no_token(environment: Environment, name: str) -> None:
    assert environment.get("ServiceAccount", name)["automountServiceAccountToken"] is False


def test_resources(environment: Environment, name: str) -> None:
    assert environment.container(name)["resources"] == {
        "requests": {"cpu": CPU[name], "memory": MEMORY[name], "ephemeral-storage": "32Mi"},
        "limits": {"memory": MEMORY[name], "ephemeral-storage": "256Mi"},
    }


def test_writable_paths_are_small_and_in_memory(environment: Environment, name: str) -> None:
    volumes = {volume["name"]: volume for volume in environment.pod(name)["spec"]["volumes"]}
    writable = [mount for mount in environment.container(name)["volumeMounts"] if not mount.get("readOnly")]
    assert {mount["mountPath"] for mount in writable} == WRITABLE[name]
    for mount in writable:
        empty_dir = volumes[mount["name"]]["emptyDir"]
        assert empty_dir["medium"] == "Memory"
        assert empty_dir["sizeLimit"] in {"1Mi", "16Mi"}


@pytest.mark.parametrize(
    ("probe", "settings"),
    [
        ("startupProbe", {"initialDelaySeconds": 2, "periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": 30}),
        ("readinessProbe", {"periodSeconds": 3, "timeoutSeconds": 2, "failureThreshold": 2}),
        ("livenessProbe", {"periodSeconds": 10, "timeoutSeconds": 3, "failureThreshold": 6}),
    ],
)
def test_probe(environment: Environment, name: str, probe: str, settings: dict[str, int]) -> None:
    expected: dict[str, Any] = {"httpGet": {"path": HEALTH[name], "port": "http"}, **settings}
    assert environment.container(name)[probe] == expected


def test_container_is_named_for_what_it_runs(environment: Environment, name: str) -> None:
    """Patches and `kubectl logs -c` name it."""
    assert f"datapress-{environment.container(name)['name']}" == name


def test_ports(environment: Environment, name: str) -> None:
    ports = {port["name"]: port["containerPort"] for port in environment.container(name)["ports"]}
    assert ports == PORTS[name]


def test_rollout_never_lowers_capacity(environment: Environment, name: str) -> None:
    spec = environment.get("Deployment", name)["spec"]
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert spec["minReadySeconds"] == 3
    assert spec["progressDeadlineSeconds"] == 60
    assert spec["revisionHistoryLimit"] == 3


def test_pod_serves_on_while_it_leaves_the_service(environment: Environment, name: str) -> None:
    assert environment.container(name)["lifecycle"] == {"preStop": {"sleep": {"seconds": 10}}}
    assert environment.pod(name)["spec"]["terminationGracePeriodSeconds"] == GRACE_SECONDS[name]


def test_replicas_spread_over_nodes(environment: Environment, name: str) -> None:
    assert environment.pod(name)["spec"]["topologySpreadConstraints"] == [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"app.kubernetes.io/name": name}},
            "matchLabelKeys": ["pod-template-hash"],
        }
    ]


def test_labels(environment: Environment, name: str) -> None:
    labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "datapress"}
    for kind in ("Deployment", "Service", "ServiceAccount"):
        assert environment.get(kind, name)["metadata"]["labels"] == labels
    deployment = environment.get("Deployment", name)
    assert deployment["spec"]["template"]["metadata"]["labels"] == labels
    assert deployment["spec"]["selector"] == {"matchLabels": {"app.kubernetes.io/name": name}}
