"""`make bench-growth`: what it changes on the cluster and takes back, and what it makes of the processors' time."""

import json
from itertools import count
from typing import Any

import pytest

from bench import growth
from bench.growth import Deployed, found, held_to_its_request, measure, microseconds
from tests.support.product import API, FOLLOWED, FRONT, container_of, manifest, rendered
from tools.command import FailedError, RefusedError
from tools.local.context import Cluster
from tools.manifests import Manifest

CLUSTER = Cluster("kind-dev", "https://127.0.0.1", [])
REPORT = {"requests": 1000, "throughput": 99.5, "status_codes": {"200": 1000}, "errors": []}
SCALER: Manifest = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "any"},
    "spec": {"scaleTargetRef": {"kind": "Deployment", "name": API}, "maxReplicas": 3},
}


def stat(user: int, system: int) -> str:
    return f"7 (a b) c) S 1 7 7 0 -1 4194560 100 0 0 0 {user} {system} 0 0 20 0 1 0"


@pytest.fixture
def patches(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the bench changes of an environment; each pod, two of a Deployment, takes 10 ms more at each look."""
    patched: list[dict[str, Any]] = []
    ticks = count()

    def kubectl(_deployed: Deployed, *arguments: str) -> str:
        match arguments:
            case ("patch", *_, patch):
                patched.extend(json.loads(patch.removeprefix("--patch=")))
            case ("get", "pods", *_):
                return json.dumps({"items": [{"metadata": {"name": name}} for name in ("one", "two")]})
            case ("get", *_):
                return json.dumps(manifest(FOLLOWED, "Deployment", API))
            case ("exec", *_):
                return f"{stat(next(ticks), 0)}\n{stat(0, 0)}\n"
        return ""

    monkeypatch.setattr(Deployed, "kubectl", kubectl)
    monkeypatch.setattr(growth, "vegeta", lambda *_: REPORT)
    return patched


@pytest.fixture
def deployed() -> Deployed:
    api, front = (manifest(FOLLOWED, "Deployment", name) for name in (API, FRONT))
    return Deployed(CLUSTER, FOLLOWED, "http://node/api/", api, front)


def test_time_is_that_of_the_program_and_of_the_kernel_for_it() -> None:
    assert microseconds(stat(3, 2)) == 50_000


def test_a_request_costs_what_all_pods_spent_meanwhile(patches: list[dict[str, Any]], deployed: Deployed) -> None:
    point = measure(deployed, 2)
    assert patches == [{"op": "replace", "path": "/spec/replicas", "value": 2}]
    # Two pods looked at twice, the other two between: each is four looks further, of 10 ms each.
    assert (point.rate, point.api, point.front) == (99.5, 2 * 4 * 10_000 / 1000, 2 * 4 * 10_000 / 1000)


@pytest.mark.usefixtures("patches")
def test_pods_that_somebody_else_counts_are_not_measured(deployed: Deployed) -> None:
    with pytest.raises(FailedError, match="2 pods of the API run in place of 5: where Argo CD follows"):
        measure(deployed, 5)


@pytest.mark.usefixtures("patches")
def test_requests_that_fail_are_no_measurement(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    report = {**REPORT, "status_codes": {"200": 990, "502": 10}, "errors": ["502 Bad Gateway"]}
    monkeypatch.setattr(growth, "vegeta", lambda *_: report)
    with pytest.raises(FailedError, match=r"10 of 1000 requests failed: .*502"):
        measure(deployed, 2)


def test_what_was_changed_is_put_back_whatever_happens(patches: list[dict[str, Any]], deployed: Deployed) -> None:
    own = container_of(FOLLOWED, API)["resources"]
    held: dict[str, Any] = {}

    def bench_that_fails() -> None:
        with held_to_its_request(deployed):
            held.update({one["path"]: one["value"] for one in patches})
            raise FailedError("any")

    with pytest.raises(FailedError, match="any"):
        bench_that_fails()
    left = {one["path"]: one["value"] for one in patches}
    (limits,) = held
    assert held[limits] == {**own["limits"], "cpu": own["requests"]["cpu"]}
    assert left == {limits: own["limits"], "/spec/replicas": deployed.api["spec"]["replicas"]}


def test_an_autoscaler_would_count_the_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "render", lambda _overlay: [*rendered(FOLLOWED), SCALER])
    with pytest.raises(RefusedError, match="has an autoscaler"):
        found(CLUSTER, FOLLOWED)
