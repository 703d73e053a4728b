"""What docs/runbooks/diagnostiquer.md has one look at shows what it says, of things that are really broken."""

import json
import re
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.cluster import Release
from tests.support.commands import commands, run
from tests.support.product import API, FOLLOWED, FRONT, PREFIX, image
from tests.support.waiting import eventually
from tools.manifests import Manifest
from tools.render import render
from tools.repository import OVERLAYS, REPOSITORY

Look = Callable[..., str]
CRASHING = rf"{API}-\S+ +false +CrashLoopBackOff +Error +2"
# Its workers: the first process of a container ignores this signal.
STOP = "for process in /proc/[0-9]*; do [ ${process#/proc/} = $$ ] || kill -STOP ${process#/proc/}; done"
HUNGRY = ["python", "-c", "hoard = b'x' * 2**30"]


@dataclass(frozen=True)
class Fault:
    """A way to break a Deployment.

    Attributes:
        patch: what is changed in its pods, and in their one container
        shown: what the commands on pods then show, as patterns
    """

    pod: dict[str, Any]
    container: dict[str, Any]
    shown: tuple[str, ...]


# What the page's table on pods has, besides what the tests below break in the product itself.
FAULTS = {
    "oom": Fault({}, {"command": HUNGRY}, (rf"{PREFIX}-oom-\S+ +false +CrashLoopBackOff +OOMKilled +137",)),
    "unready": Fault(
        {},
        {"readinessProbe": {"httpGet": {"path": "/absent", "port": "http"}, "periodSeconds": 1}},
        (rf"{PREFIX}-unready-\S+ +false +<none> +<none> +<none>", "Unhealthy .*Readiness probe failed: .* 404"),
    ),
    "pending": Fault(
        {},
        {"resources": {"requests": {"cpu": "1000"}}},
        (rf"{PREFIX}-pending-\S+ +0/1 +Pending", "FailedScheduling .*Insufficient cpu"),
    ),
    "refused": Fault(
        {"hostNetwork": True},
        {},
        (rf"deployment.apps/{PREFIX}-refused +0/1 +0 ", 'FailedCreate .*violates PodSecurity "restricted:v1.34"'),
    ),
}


@pytest.fixture
def look(restored: Release) -> Look:
    """Run commands of the runbook on an environment, by the variables that its first commands set."""
    chosen = commands("an-environment-to-diagnose").replace(FOLLOWED, restored.name)
    space, address = run(f'{chosen}\necho "$ESPACE $ADRESSE"', REPOSITORY).split()

    def look(name: str, **variables: str) -> str:
        return run(commands(name), REPOSITORY, ESPACE=space, ADRESSE=address, **variables)

    return look


def broken(deployment: Manifest, name: str, fault: Fault) -> Manifest:
    """Return a Deployment of another name that has a fault."""
    copied = json.loads(json.dumps(deployment).replace(API, f"{PREFIX}-{name}"))
    pod = copied["spec"]["template"]["spec"]
    pod["serviceAccountName"] = API
    pod |= fault.pod
    pod["containers"][0] |= fault.container
    found: Manifest = copied
    return found


def missing(patterns: Sequence[str], shown: str) -> list[str]:
    return [pattern for pattern in patterns if not re.search(pattern, shown)]


@pytest.mark.timeout(180)
def test_each_state_of_a_pod_that_the_page_names(restored: Release, look: Look) -> None:
    (api,) = [
        one for one in render(OVERLAYS / restored.name) if (one["kind"], one["metadata"]["name"]) == ("Deployment", API)
    ]
    items = [broken(api, name, fault) for name, fault in FAULTS.items()]
    manifests = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    restored.kubectl("create", "-f", "-", stdin=manifests)
    try:
        expected = [pattern for fault in FAULTS.values() for pattern in fault.shown]
        # Together: an event of a minute ago is no longer among the last.
        eventually(lambda: not missing(expected, look("look-at-pods")), 90, "each state shows")
    finally:
        restored.kubectl("delete", "-f", "-", "--cascade=foreground", "--wait=false", stdin=manifests)


@pytest.mark.timeout(240)
def test_pods_that_do_not_start(restored: Release, look: Look) -> None:
    restored.kubectl("set", "env", f"deployment/{API}", "LOG_LEVEL=loud")
    restored.kubectl("set", "image", f"deployment/{FRONT}", f"front={image(FRONT).name}:absente")
    try:
        # The states of a pod follow one another, so all is read of one look; the API is between two lives now and then.
        expected = [CRASHING, rf"{FRONT}-\S+ +false +ImagePullBackOff ", "Failed to pull image"]
        looks: list[str] = []

        def all_shows() -> bool:
            looks.append(look("look-at-pods"))
            return not missing(expected, looks[-1])

        eventually(all_shows, 90, "each pod shows its state")
        eventually(lambda: "LOG_LEVEL holds 'loud'" in look("look-at-logs"), 60, "the pod that is not ready says why")
        # The former pods serve on, as the page says.
        assert "/api/ 200" in look("look-as-a-user")
    finally:
        restored.kubectl("set", "env", f"deployment/{API}", "LOG_LEVEL-")


@pytest.mark.timeout(120)
def test_an_api_without_pods(restored: Release, look: Look) -> None:
    restored.kubectl("scale", f"deployment/{API}", "--replicas=0")
    try:
        eventually(lambda: not restored.pods(API), 60, "the API is gone")
        eventually(lambda: "/api/ 50" in look("look-as-a-user"), 60, "the front says that it has no API")
        assert "/ 200" in look("look-as-a-user")
        shown = look("look-at-pods")
        assert re.search(rf"deployment.apps/{API} +0/0 ", shown)
        assert restored.endpoints(API) == []
    finally:
        # The overlay leaves this number to its default, so applying it does not bring the pod back.
        restored.kubectl("scale", f"deployment/{API}", "--replicas=1")


def test_a_request_is_found_by_its_id(restored: Release, look: Look) -> None:
    """The page shows it to users; here an address that the API does not have stands for what they met."""
    wrong = f"{restored.url}/api/absent"
    identifier = requests.get(wrong, timeout=5).headers["X-Request-ID"]
    lines: list[str] = []

    def found() -> bool:
        lines[:] = look("find-a-request", IDENTIFIANT=identifier).splitlines()
        return len(lines) == 2

    eventually(found, 30, "front and API have each a line of it")
    assert sorted(name for name in (FRONT, API) for line in lines if f"/{name}-" in line) == sorted((FRONT, API))


@pytest.mark.timeout(180)
def test_an_api_that_is_too_slow(restored: Release, look: Look) -> None:
    """Stopped, as one that has more to do than it can: the front gives up, and its log says so."""
    identifier = str(uuid.uuid4())
    pod = restored.pods(API)[0]["metadata"]["name"]
    eventually(lambda: f"{pod} " in look("look-at-the-load"), 90, "the pod is measured")
    restored.kubectl("exec", pod, "--", "sh", "-c", STOP)
    try:
        answer = requests.get(f"{restored.url}/api/", headers={"X-Request-ID": identifier}, timeout=30)
        assert answer.status_code == 504
        eventually(lambda: identifier in look("look-at-the-load"), 30, "the front's log says so")
    finally:
        restored.kubectl("delete", "pod", pod, "--now")


def test_the_network_from_within(followed: Release) -> None:
    shown = run(commands("look-at-the-network"), Path(), ESPACE=followed.namespace)
    assert '{"status":"ok"}' in shown
    assert all(f"Name:         {name}" in shown for name in ("default-deny", API, FRONT))
    assert followed.pods(FRONT)
