"""What docs/runbooks/diagnostiquer.md has one look at shows what it says, of things that are really broken."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Release
from tests.support.commands import commands, run
from tests.support.product import API, FRONT, PREFIX, image
from tests.support.waiting import eventually
from tools.manifests import Manifest
from tools.render import render
from tools.repository import OVERLAYS, REPOSITORY

Look = Callable[..., str]
CRASHING = rf"({API}-\S+) +false +CrashLoopBackOff +Error +2"
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
    """Run commands of the runbook on an environment."""

    def look(name: str, **variables: str) -> str:
        return run(commands(name), REPOSITORY, ESPACE=restored.namespace, ADRESSE=restored.url, **variables)

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
        (crashing,) = re.findall(CRASHING, looks[-1])
        said = look("look-at-logs", POD=crashing)
        assert "LOG_LEVEL holds 'loud'" in said
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


def test_the_network_from_within(followed: Release) -> None:
    shown = run(commands("look-at-the-network"), Path())
    assert '{"status":"ok"}' in shown
    assert all(f"Name:         {name}" in shown for name in ("default-deny", API, FRONT))
    assert followed.pods(FRONT)
