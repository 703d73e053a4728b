"""The main job: `kubectl apply -k` brings up each environment, and the page's button shows the API's answer."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any

import pytest
import requests
from playwright.sync_api import Page, expect

from tests.support.cluster import MEBIBYTE, NGINX_ERROR, REQUESTS, Measure, Release, press_button
from tests.support.product import API, DEPLOYMENTS, FRONT, PREFIX, configuration
from tools.repository import OVERLAYS

CLIENTS = 8


def test_from_apply_to_the_button_s_answer(followed: Release, page: Page, measure: Measure) -> None:
    started = time.monotonic()
    answer = press_button(page, followed.url)
    seconds = followed.seconds_to_answer + time.monotonic() - started
    measure("apply-to-answer", seconds)
    assert set(answer) == {"service", "ts"}
    assert answer["service"] == "api"
    assert seconds <= 30
    expect(page).to_have_title("DataPress – POC")
    expect(page.get_by_text(configuration(followed.name)["banner"])).to_be_visible()


def test_every_pod_is_ready_without_a_restart_or_a_warning(followed: Release) -> None:
    followed.settle()
    running = set()
    for name in DEPLOYMENTS:
        pods = followed.pods(name)
        assert len(pods) == 2
        running |= {pod["metadata"]["name"] for pod in pods}
        for pod in pods:
            (status,) = pod["status"]["containerStatuses"]
            assert status["ready"]
            assert status["restartCount"] == 0
    events = followed.cluster.objects("events", followed.namespace, "--field-selector", "type=Warning")
    ours = [event for event in events if event["involvedObject"]["name"].startswith(f"{PREFIX}-")]
    # A pod that another test has replaced may have been probed while it stopped.
    about = [(event["involvedObject"], event["message"]) for event in ours]
    assert [told for one, told in about if one["kind"] != "Pod" or one["name"] in running] == []


def test_both_environments_live_side_by_side(followed: Release, by_hand: Release, page: Page) -> None:
    by_hand.cluster.wait_for_rollout(by_hand.namespace)
    for release in (followed, by_hand):
        press_button(page, release.url)
        version = requests.get(f"{release.url}/api/version", timeout=5).json()
        assert version["environment"] == release.name
        assert requests.get(f"{release.url}/config.json", timeout=5).json()["environment"] == release.name
    assert {name: len(by_hand.pods(name)) for name in DEPLOYMENTS} == dict.fromkeys(DEPLOYMENTS, 1)


def test_the_version_served_is_the_commit_in_the_overlay(followed: Release) -> None:
    (container,) = followed.pods(API)[0]["spec"]["containers"]
    revision = requests.get(f"{followed.url}/api/version", timeout=5).json()["revision"]
    assert re.search(r":sha-([0-9a-f]{40})", container["image"]).group(1) == revision  # type: ignore[union-attr]


@pytest.mark.parametrize("fixture", ["followed", "by_hand"])
@pytest.mark.parametrize(
    "way",
    # Under kubectl's own name, server-side apply warns that it cannot take over what kubectl applied client-side.
    [[], ["--server-side", "--force-conflicts", "--field-manager=argocd-controller"]],
    ids=["operator", "argo-cd"],
)
def test_the_api_server_accepts_the_overlay_without_a_warning(
    request: pytest.FixtureRequest, fixture: str, way: list[str]
) -> None:
    release: Release = request.getfixturevalue(fixture)
    done = release.cluster.try_kubectl("apply", "-k", OVERLAYS / release.name, "--dry-run=server", *way)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("fixture", ["followed", "by_hand"])
def test_namespace_refuses_a_root_pod(request: pytest.FixtureRequest, fixture: str) -> None:
    release: Release = request.getfixturevalue(fixture)
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "root", "namespace": release.namespace},
        "spec": {"containers": [{"name": "root", "image": "python:3.14-slim", "securityContext": {"runAsUser": 0}}]},
    }
    done = release.cluster.try_kubectl("create", "-f", "-", stdin=json.dumps(pod))
    assert done.returncode != 0
    assert 'violates PodSecurity "restricted:v1.34"' in done.stderr


def test_log_lines_are_json_with_the_request_s_id(followed: Release) -> None:
    request_id = f"e2e-{time.time_ns()}"
    assert requests.get(f"{followed.url}/api/version", headers={"X-Request-ID": request_id}, timeout=5).ok
    seen = {}
    for name in DEPLOYMENTS:
        lines = [line for pod in followed.pods(name) for line in _log(followed, pod) if not NGINX_ERROR.match(line)]
        entries = [json.loads(line) for line in lines]
        assert all({"ts", "level", "msg"} <= entry.keys() for entry in entries)
        seen[name] = [entry for entry in entries if entry.get("request_id") == request_id]
    assert [(e["method"], e["path"], e["status"]) for e in seen[FRONT]] == [("GET", "/api/version", 200)]
    assert [(e["method"], e["path"], e["status"]) for e in seen[API]] == [("GET", "/version", 200)]


def _log(release: Release, pod: dict[str, Any]) -> list[str]:
    return release.cluster.kubectl("logs", pod["metadata"]["name"], "-n", release.namespace).splitlines()


def test_memory_after_ten_thousand_requests(followed: Release, measure: Measure) -> None:
    with ThreadPoolExecutor(CLIENTS) as pool:
        statuses = [s for part in pool.map(_many_requests, [followed.url] * CLIENTS) for s in part]
    assert statuses == [200] * REQUESTS
    for name, key, limit in ((API, "memory-api", 80), (FRONT, "memory-front", 20)):
        resident = max(_resident_bytes(followed, pod) for pod in followed.pods(name)) / MEBIBYTE
        measure(key, resident)
        assert resident <= limit


def _many_requests(url: str) -> list[int]:
    """Send one client's share over kept-alive connections, half to the API, half to the page; return the statuses."""
    host = url.removeprefix("http://")
    connection = HTTPConnection(host, timeout=5)
    statuses = []
    for i in range(REQUESTS // CLIENTS):
        connection.request("GET", "/api/" if i % 2 else "/")
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    connection.close()
    return statuses


def _resident_bytes(release: Release, pod: dict[str, Any]) -> int:
    """Return what the kubelet counts for the pod's own container, in bytes: resident set, page cache and tmpfs."""
    path = f"/api/v1/nodes/{pod['spec']['nodeName']}/proxy/stats/summary"
    summary = json.loads(release.cluster.kubectl("get", "--raw", path))
    (found,) = [p for p in summary["pods"] if p["podRef"]["uid"] == pod["metadata"]["uid"]]
    (own,) = [c for c in found["containers"] if c["name"] == pod["spec"]["containers"][0]["name"]]
    used: int = own["memory"]["workingSetBytes"]
    return used
