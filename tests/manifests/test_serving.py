"""What keeps a service up while its pods come and go, and the sums of times that this rests on."""

import re

import pytest
import yaml

from datapress_api.settings import Settings
from tests.support.front_server import arguments
from tests.support.gunicorn_server import constant
from tests.support.manifests import Environment
from tests.support.product import API, FRONT
from tools.local.deploy import ROLLOUT_SECONDS
from tools.manifests import Manifest, get, selector_of, selects, share
from tools.repository import REPOSITORY

PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


def seconds(text: str) -> int:
    """Return a time of NGINX's configuration."""
    return int(text.removesuffix("s"))


# How long each server of the product takes at most to finish its requests, and how long it keeps a connection.
FINISHES = {API: constant("graceful_timeout"), FRONT: seconds(arguments("worker_shutdown_timeout")[0][0])}
KEEPS = [
    seconds(whole) + seconds(idle)
    for (whole, *_), (idle, *_) in zip(arguments("keepalive_time"), arguments("keepalive_timeout"), strict=True)
]
# The paths that they answer.
ANSWERED = {
    API: set(yaml.safe_load((REPOSITORY / "src" / "api" / "openapi.yaml").read_text())["paths"]),
    FRONT: {location[-1] for location in arguments("location")},
}


def test_a_rollout_never_lowers_capacity(environment: Environment) -> None:
    for pod in environment.deployments:
        spec = pod.manifest["spec"]
        rolling = spec["strategy"]["rollingUpdate"]
        assert share(rolling["maxUnavailable"], 1, up=False) == 0
        assert share(rolling["maxSurge"], 1, up=True)
        assert spec["minReadySeconds"] > 0


def test_a_pod_serves_on_while_it_leaves_and_then_finishes(environment: Environment) -> None:
    """Its end and its removal from the Service race; all of it counts from the deletion."""
    for pod in environment.deployments:
        for container in pod.containers:
            leaves = get(container.data, ("lifecycle", "preStop", "sleep", "seconds"))
            assert leaves > max(KEEPS)
            finishes = FINISHES.get(pod.manifest["metadata"]["name"], 0)
            assert leaves + finishes < pod.spec["terminationGracePeriodSeconds"]


def test_a_rollout_that_cannot_succeed_is_given_up_in_time(environment: Environment) -> None:
    """Later than the slowest start that is allowed, and before `make deploy` stops waiting for it."""
    for pod in environment.deployments:
        deadline = pod.manifest["spec"]["progressDeadlineSeconds"]
        assert max(patience(one.data["startupProbe"]) for one in pod.containers) < deadline < ROLLOUT_SECONDS


def test_each_container_is_probed_and_restarted_last(environment: Environment) -> None:
    """A pod that is only busy gets no new requests for a while; to restart it would make matters worse."""
    for pod in environment.deployments:
        for container in pod.containers:
            probes = [container.data[name] for name in PROBES]
            assert all({"httpGet", "tcpSocket", "grpc", "exec"} & probe.keys() for probe in probes)
            assert patience(container.data["readinessProbe"]) < patience(container.data["livenessProbe"])


def patience(probe: Manifest) -> int:
    """Return for how many seconds a container may not answer."""
    waits: int = probe.get("initialDelaySeconds", 0) + probe.get("periodSeconds", 10) * probe.get("failureThreshold", 3)
    return waits


@pytest.mark.parametrize("probe", PROBES)
def test_the_product_s_probes_ask_what_its_servers_answer(environment: Environment, probe: str) -> None:
    for name, paths in ANSWERED.items():
        assert environment.container(name).data[probe]["httpGet"]["path"] in paths


def test_replicas_spread_over_the_nodes(environment: Environment) -> None:
    """A wish and not a condition, as both must run where there is one node; and each version by itself."""
    for pod in environment.deployments:
        spread = [
            one for one in pod.spec["topologySpreadConstraints"] if one["topologyKey"] == "kubernetes.io/hostname"
        ]
        (wish,) = [one for one in spread if environment.selected(one["labelSelector"]) == [pod]]
        assert (wish["whenUnsatisfiable"], wish["maxSkew"]) == ("ScheduleAnyway", 1)
        assert "pod-template-hash" in wish["matchLabelKeys"]


def test_a_drain_takes_one_pod_and_leaves_another(followed_environment: Environment) -> None:
    for pod in followed_environment.deployments:
        budgets = followed_environment.of_kind("PodDisruptionBudget")
        (budget,) = [one["spec"] for one in budgets if selects(selector_of(one), pod.labels)]
        replicas = replicas_of(followed_environment, pod.manifest)
        assert 0 < (share(budget["maxUnavailable"], replicas, up=True) or 0) < replicas
        # A pod that is not ready serves nobody, and must keep no node from being drained.
        assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def replicas_of(environment: Environment, workload: Manifest) -> int:
    """Return how many pods there are at least."""
    for scaler in environment.of_kind("HorizontalPodAutoscaler"):
        if scaler["spec"]["scaleTargetRef"]["name"] == workload["metadata"]["name"]:
            return int(scaler["spec"]["minReplicas"])
    return int(workload["spec"]["replicas"])


def test_containers_open_the_ports_that_their_servers_take(environment: Environment) -> None:
    """The metrics have a port of their own, which is on no Service, so that no front reaches it by name."""
    dockerfile = (REPOSITORY / "src" / "front" / "Dockerfile").read_text()
    (front,) = re.findall(r"FRONT_LISTEN=(\d+)", dockerfile)
    opened = {
        name: {key: one.number for key, one in environment.container(name).ports.items()} for name in (API, FRONT)
    }
    assert opened == {API: {"http": Settings.api_port, "metrics": Settings.metrics_port}, FRONT: {"http": int(front)}}


def test_services_lead_to_one_workload_and_not_to_its_metrics(environment: Environment) -> None:
    reached: dict[str, str] = {}
    for service in environment.of_kind("Service"):
        if selector := selector_of(service):
            (pod,) = environment.selected(selector)
            reached[service["metadata"]["name"]] = pod.manifest["metadata"]["name"]
        assert all(one["name"] and one.get("targetPort") != "metrics" for one in service["spec"]["ports"])
    # By their own names: that of the API is in the front's configuration, that of the front in the smoke test's.
    assert {name: reached[name] for name in (API, FRONT)} == {API: API, FRONT: FRONT}


def test_only_a_service_with_a_way_in_has_node_ports(environment: Environment) -> None:
    """And it says which, of those that a cluster gives out: one that the cluster chooses is another each time."""
    for service in environment.of_kind("Service"):
        numbers = [port.get("nodePort") for port in service["spec"]["ports"]]
        if service["spec"].get("type") == "NodePort":
            assert all(30000 <= number < 32768 for number in numbers)
        else:
            assert not any(numbers)


def test_the_front_answers_where_its_name_alone_is_asked(environment: Environment) -> None:
    """As the smoke test does, and whoever forwards a port to it."""
    assert 80 in {port["port"] for port in environment.get("Service", FRONT)["spec"]["ports"]}


def test_a_selector_of_a_workload_selects_its_own_pods(environment: Environment) -> None:
    for pod in environment.deployments:
        assert environment.selected(selector_of(pod.manifest)) == [pod]


def test_the_front_asks_the_api_of_its_own_namespace(environment: Environment) -> None:
    """By the whole name, as NGINX knows no search domains, and again whenever its address changes."""
    (server,) = [one["value"] for _, one in environment.container(FRONT).items("env") if one["name"] == "API_SERVER"]
    ports = "|".join(str(port["port"]) for port in environment.get("Service", API)["spec"]["ports"])
    assert re.fullmatch(rf"{API}\.\$\(POD_NAMESPACE\)\.svc(\.[a-z]+)+:({ports}) resolve", server)
