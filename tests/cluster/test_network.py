"""Every connection of deploy/flows.yaml, tried where policies are shown to be enforced."""

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import yaml

from tests.cluster.clients import LISTEN, Address, Client, Pod, pod_of
from tests.support.cluster import IMAGE, Cluster, Measure, Release, running, smoke_test
from tests.support.product import FOLLOWED, PREFIX
from tests.support.waiting import eventually
from tools.network.flows import (
    ELSEWHERE,
    FLOWS,
    OUTSIDE,
    Flows,
    deployed,
    disagreements,
    group,
    load,
    loose_edges,
    node_ports,
)
from tools.repository import environments

NAME = "app.kubernetes.io/name"
DNS = "elsewhere/dns"
KUBERNETES = "elsewhere/kubernetes"
STRANGER = "elsewhere/stranger"
SERVER = "elsewhere/dns-labels:any"
SOURCES = list(yaml.safe_load(FLOWS.read_text())["reaches"])
# How long a network plugin may take to learn of new pods.
SETTLING_SECONDS = 15


@dataclass(frozen=True)
class Attempt:
    """A connection: whether it should pass, and what went wrong, empty if nothing did."""

    wanted: bool
    error: str

    @property
    def passed(self) -> bool:
        return self.error == ""

    @property
    def right(self) -> bool:
        return self.passed == self.wanted


Attempts = dict[tuple[str, str], Attempt]


@contextmanager
def namespaces(cluster: Cluster, names: set[str]) -> Iterator[None]:
    """Namespaces; those that exist already are used and left."""
    created = [name for name in sorted(names) if cluster.try_kubectl("create", "namespace", name).returncode == 0]
    try:
        yield
    finally:
        if created:
            cluster.kubectl("delete", "namespace", *created, "--timeout=60s")


def inside(cluster: Cluster, pod: Pod) -> Client:
    """Return a client in the network of a pod whose own image has no Python: an ephemeral container beside its own.

    https://kubernetes.io/docs/concepts/workloads/pods/ephemeral-containers/
    """
    where = [f"pod/{pod['metadata']['name']}", "-n", pod["metadata"]["namespace"]]
    debug = ["--image", IMAGE, "--profile=restricted", "--container", "e2e"]
    cluster.kubectl("debug", *where, *debug, "--", "sleep", "300")
    running = "jsonpath={.status.ephemeralContainerStatuses[0].state.running}"
    cluster.kubectl("wait", *where, f"--for={running}", "--timeout=60s")
    return Client(cluster, pod, "e2e")


@pytest.fixture(scope="module")
def flows() -> Flows:
    return load(deployed())


@pytest.fixture(scope="module")
def pods(
    cluster: Cluster, scratch: str, followed: Release, by_hand: Release, flows: Flows
) -> Iterator[dict[str, list[Pod]]]:
    """The pods of each end that is some: the product's own ones, and one made here for each other end."""
    for release in (followed, by_hand):
        cluster.wait_for_rollout(release.namespace)
    ends = {name: end for name, end in flows.ends.items() if end.namespace and name != DNS}
    made = {name: pod_of(name, end) for name, end in ends.items() if group(name) == ELSEWHERE or NAME not in end.labels}
    smoke = ["python3", "-c", LISTEN, str(flows.targets[f"{FOLLOWED}/smoke:any"].number)]
    with (
        namespaces(cluster, {end.namespace for end in ends.values()} - {scratch}),
        smoke_test(followed, smoke),
        running(cluster, list(made.values())),
    ):
        yield {
            name: [cluster.get("pod", made[name]["metadata"]["name"], end.namespace)]
            if name in made
            else cluster.pods(end.namespace, end.labels[NAME])
            for name, end in ends.items()
        }


@pytest.fixture(scope="module")
def clients(cluster: Cluster, pods: dict[str, list[Pod]], addresses: dict[str, Address]) -> dict[str, Client]:
    """A client in the first pod of each end; on a cluster that is shown to enforce NetworkPolicy."""
    found = {}
    for name, (pod, *_) in pods.items():
        own = pod["spec"]["containers"][0]["name"]
        found[name] = inside(cluster, pod) if own == "front" else Client(cluster, pod, own)
    _require_enforcement(found[STRANGER], addresses[SERVER])
    return found


def _require_enforcement(client: Client, server: Address) -> None:
    """Between two pods of the client's namespace."""
    assert client.connect([server]) == [""], "no connection even without a policy: this probe proves nothing"
    deny = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "deny", "namespace": client.pod["metadata"]["namespace"]},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
    }
    client.cluster.kubectl("create", "-f", "-", stdin=json.dumps(deny))
    try:
        eventually(
            lambda: client.connect([server]) != [""],
            SETTLING_SECONDS,
            "the cluster enforces NetworkPolicy; use a network plugin that does (Calico, Cilium, kindnet)",
        )
    finally:
        client.cluster.kubectl("delete", "-f", "-", stdin=json.dumps(deny))


@pytest.fixture(scope="module")
def addresses(cluster: Cluster, flows: Flows, pods: dict[str, list[Pod]]) -> Iterator[dict[str, Address]]:
    """Where each target is: of an end's pods the last one, so that it is not its end's client where there are two."""
    dns = cluster.objects("services", "kube-system", "-l", "k8s-app=kube-dns")[0]["spec"]["clusterIP"]
    hosts = {DNS: dns, KUBERNETES: cluster.get("service", "kubernetes", "default")["spec"]["clusterIP"]}
    hosts |= {name: found[-1]["status"]["podIP"] for name, found in pods.items()}
    with socket.create_server((cluster.host_address, 0)) as server:
        hosts[OUTSIDE], listening = server.getsockname()
        found = {}
        for target, port in flows.targets.items():
            name = target.rpartition(":")[0]
            found[target] = (hosts[name], listening if name == OUTSIDE else port.number, port.protocol)
        yield found


@dataclass(frozen=True)
class Ground:
    """The ends of the flows as they are on the cluster."""

    cluster: Cluster
    flows: Flows
    clients: dict[str, Client]
    addresses: dict[str, Address]

    def wanted(self, source: str, target: str) -> bool:
        # No policy stops a pod from reaching itself.
        itself = source in self.clients and self.clients[source].address == self.addresses[target][0]
        return itself or self.flows.allowed(source, target)

    def attempt(self, source: str) -> Attempts:
        """Connect from a source to all that it may be tried with."""
        targets = self.flows.targets_of(source)
        if source == OUTSIDE:
            errors = [self.connect_by_node_port(target) for target in targets]
        else:
            errors = self.clients[source].connect([self.addresses[target] for target in targets])
        return {(source, t): Attempt(self.wanted(source, t), error) for t, error in zip(targets, errors, strict=True)}

    def connect_by_node_port(self, target: str) -> str:
        end, port = self.flows.ends[target.rpartition(":")[0]], self.flows.targets[target]
        error = "no node port leads there"
        for number in node_ports(self.cluster.objects("services", end.namespace), end, port):
            try:
                socket.create_connection((self.cluster.node_address, number), timeout=3).close()
            except OSError as failure:
                error = str(failure)
            else:
                return ""
        return error


@pytest.fixture(scope="module")
def ground(cluster: Cluster, flows: Flows, clients: dict[str, Client], addresses: dict[str, Address]) -> Ground:
    return Ground(cluster, flows, clients, addresses)


@pytest.fixture(scope="module")
def attempts(ground: Ground, measure: Measure) -> Attempts:
    """Every connection, tried from all sources at once; a source with a wrong outcome tries again for a while."""
    started = time.monotonic()
    found: Attempts = {}
    left = set(SOURCES)
    while left:
        with ThreadPoolExecutor(len(left)) as pool:
            for made in pool.map(ground.attempt, left):
                found |= made
        settling = time.monotonic() - started < SETTLING_SECONDS
        left = {source for (source, _), attempt in found.items() if settling and not attempt.right}
    passed = sum(attempt.passed for attempt in found.values())
    measure("connections-passed", passed)
    measure("connections-dropped", len(found) - passed)
    measure("  all of them took", f"{time.monotonic() - started:.1f} s")
    return found


@pytest.mark.parametrize("source", SOURCES)
def test_connections(attempts: Attempts, source: str) -> None:
    made = {target: attempt for (from_, target), attempt in attempts.items() if from_ == source}
    assert made
    assert {target: attempt for target, attempt in made.items() if not attempt.right} == {}


def test_every_target_takes_connections(flows: Flows, attempts: Attempts) -> None:
    """From somebody at least, be it itself: else those that were dropped would show nothing."""
    assert {target for (_, target), attempt in attempts.items() if attempt.passed} == flows.targets.keys()


@pytest.mark.usefixtures("pods")
def test_no_policy_on_the_cluster_is_wider_than_the_flows(cluster: Cluster, flows: Flows) -> None:
    """Also towards addresses and ports that no connection above was tried to."""
    policies = [policy for name in environments() for policy in cluster.objects("networkpolicies", f"{PREFIX}-{name}")]
    assert disagreements(flows, policies) == []
    assert loose_edges(flows, policies) == []


def test_metrics_are_scraped_from_the_monitoring_namespace(ground: Ground) -> None:
    host, port, _ = ground.addresses[f"{FOLLOWED}/api:metrics"]
    url = f"http://{host}:{port}/metrics"
    scrape = f"import urllib.request; print(urllib.request.urlopen('{url}', timeout=5).read().decode())"
    metrics = ground.clients["elsewhere/monitoring"].run(scrape)
    assert 'http_requests_total{method="GET",route="/health",status="200"}' in metrics
    assert "http_request_duration_seconds_bucket" in metrics
