"""Who reaches whom in recette, by real connections; first of all, that this cluster enforces policies at all."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.cluster.conftest import Cluster, Release

IMAGE = "python:3.14-slim"
PROBE_NAMESPACE = "datapress-e2e"
# Prints "open" when the connection is made; a dropped packet is a time-out, so this takes up to 3 s.
CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3).close()
    print("open")
except OSError as error:
    print("closed:", error)
"""
LISTEN = "import http.server; http.server.HTTPServer(('', 8080), http.server.SimpleHTTPRequestHandler).serve_forever()"
SLEEP = "import time; time.sleep(300)"


@dataclass(frozen=True)
class Client:
    """A pod from which to connect."""

    cluster: Cluster
    namespace: str
    name: str
    container: str

    def reaches(self, host: str, port: int) -> bool:
        return self.run(CONNECT, host, str(port)).startswith("open")

    def run(self, code: str, *arguments: str) -> str:
        """Run Python there and return what it prints."""
        within = ["exec", self.name, "-n", self.namespace, "-c", self.container]
        return self.cluster.kubectl(*within, "--", "python3", "-c", code, *arguments)


def _pod(namespace: str, name: str, labels: dict[str, str], code: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 10002, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "client",
                    "image": IMAGE,
                    "command": ["python3", "-c", code],
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }


@contextmanager
def running(cluster: Cluster, namespace: str, name: str, labels: dict[str, str], code: str = SLEEP) -> Iterator[Client]:
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(_pod(namespace, name, labels, code)))
    try:
        cluster.kubectl(
            "wait", f"pod/{name}", "-n", namespace, "--for=jsonpath={.status.phase}=Running", "--timeout=60s"
        )
        yield Client(cluster, namespace, name, "client")
    finally:
        cluster.kubectl("delete", "pod", name, "-n", namespace, "--ignore-not-found", "--now")


def inside(release: Release, pod: dict[str, Any]) -> Client:
    """Return a client in the network of a pod whose own image has no Python: an ephemeral container beside its own.

    https://kubernetes.io/docs/concepts/workloads/pods/ephemeral-containers/
    """
    client = Client(release.cluster, release.namespace, pod["metadata"]["name"], "e2e")
    where = [f"pod/{client.name}", "-n", client.namespace]
    debug = ["--image", IMAGE, "--profile=restricted", "--container", client.container]
    client.cluster.kubectl("debug", *where, *debug, "--", "python3", "-c", SLEEP)
    running = "jsonpath={.status.ephemeralContainerStatuses[0].state.running}"
    client.cluster.kubectl("wait", *where, f"--for={running}", "--timeout=60s")
    return client


@contextmanager
def namespace(cluster: Cluster, name: str) -> Iterator[None]:
    """A namespace; one that exists already is used and left."""
    created = cluster.try_kubectl("create", "namespace", name).returncode == 0
    try:
        yield
    finally:
        if created:
            cluster.kubectl("delete", "namespace", name, "--timeout=60s")


def address(pod: dict[str, Any]) -> str:
    found: str = pod["status"]["podIP"]
    return found


@pytest.fixture(scope="module")
def outsider(cluster: Cluster) -> Iterator[Client]:
    """A pod of another namespace, on a cluster that is shown to enforce NetworkPolicy."""
    with namespace(cluster, PROBE_NAMESPACE), running(cluster, PROBE_NAMESPACE, "client", {}) as client:
        with running(cluster, PROBE_NAMESPACE, "server", {"role": "server"}, LISTEN):
            _require_enforcement(client)
        yield client


def _require_enforcement(client: Client) -> None:
    server = json.loads(client.cluster.kubectl("get", "pod", "server", "-n", client.namespace, "-o", "json"))
    assert client.reaches(address(server), 8080), "no connection even without a policy: this probe proves nothing"
    deny = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "deny", "namespace": client.namespace},
        "spec": {"podSelector": {"matchLabels": {"role": "server"}}, "policyTypes": ["Ingress"]},
    }
    client.cluster.kubectl("create", "-f", "-", stdin=json.dumps(deny))
    if client.reaches(address(server), 8080):
        pytest.fail(
            "this cluster does not enforce NetworkPolicy: use a network plugin that does (Calico, Cilium, kindnet)"
        )


@pytest.fixture(scope="module")
def outside(cluster: Cluster, outsider: Client) -> Iterator[tuple[str, int]]:
    """Address and port of a server outside the cluster, on this machine, that a pod without policies reaches."""
    with socket.create_server((cluster.host_address, 0)) as server:
        port = server.getsockname()[1]
        assert outsider.reaches(cluster.host_address, port), "HOST_ADDRESS is not where pods reach this machine"
        yield cluster.host_address, port


def test_an_outsider_reaches_the_front_and_nothing_else(recette: Release, outsider: Client) -> None:
    recette.cluster.wait_for_rollout(recette.namespace)
    front, api = recette.pods("datapress-front")[0], recette.pods("datapress-api")[0]
    assert outsider.reaches(address(front), 8080)
    assert not outsider.reaches(address(api), 8000)
    assert not outsider.reaches(address(api), 9100)


def test_the_front_reaches_the_api_and_dns_and_nothing_else(
    recette: Release, outsider: Client, outside: tuple[str, int]
) -> None:
    api = recette.pods("datapress-api")[0]
    dns = recette.cluster.objects("services", "kube-system", "-l", "k8s-app=kube-dns")[0]["spec"]["clusterIP"]
    client_pod = json.loads(
        outsider.cluster.kubectl("get", "pod", outsider.name, "-n", outsider.namespace, "-o", "json")
    )
    front = inside(recette, recette.pods("datapress-front")[0])
    assert front.reaches("datapress-api", 80), "by name, so this is DNS too"
    assert front.reaches(address(api), 8000)
    assert front.reaches(dns, 53)
    assert not front.reaches(address(api), 9100)
    assert not front.reaches(_kubernetes_api(recette), 443)
    assert not front.reaches(address(client_pod), 8080)
    assert not front.reaches(*outside)


def test_a_pod_without_a_policy_reaches_nothing(recette: Release, outsider: Client) -> None:
    assert outsider.name
    front, api = recette.pods("datapress-front")[0], recette.pods("datapress-api")[0]
    with running(recette.cluster, recette.namespace, "unlabelled", {}) as client:
        for host, port in (
            (address(api), 8000),
            (address(api), 9100),
            (address(front), 8080),
            (_kubernetes_api(recette), 443),
        ):
            assert not client.reaches(host, port), (host, port)


def test_the_api_opens_no_connection(recette: Release, outside: tuple[str, int]) -> None:
    pod = recette.pods("datapress-api")[0]
    api = Client(recette.cluster, recette.namespace, pod["metadata"]["name"], "api")
    front = recette.pods("datapress-front")[0]
    assert api.reaches("127.0.0.1", 8000), "the probe itself works in this container"
    for host, port in ((address(front), 8080), (_kubernetes_api(recette), 443), ("datapress-front", 80), outside):
        assert not api.reaches(host, port), (host, port)


def test_metrics_are_scraped_from_the_monitoring_namespace_only(recette: Release, outsider: Client) -> None:
    pod = recette.pods("datapress-api")[0]
    assert not outsider.reaches(address(pod), 9100)
    url = f"http://{address(pod)}:9100/metrics"
    scrape = f"import urllib.request; print(urllib.request.urlopen('{url}', timeout=5).read().decode())"
    with (
        namespace(recette.cluster, "monitoring"),
        running(recette.cluster, "monitoring", "datapress-e2e", {}) as client,
    ):
        metrics = client.run(scrape)
        assert not client.reaches(address(pod), 8000)
    assert 'http_requests_total{method="GET",route="/health",status="200"}' in metrics
    assert "http_request_duration_seconds_bucket" in metrics


def _kubernetes_api(release: Release) -> str:
    return release.cluster.kubectl("get", "service", "kubernetes", "-n", "default", "-o", "jsonpath={.spec.clusterIP}")
