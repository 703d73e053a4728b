"""Faults made on purpose: each alert of the component reaches Alertmanager, and goes once the fault is mended.

With the platform's own operator, Prometheus and Alertmanager. Every window and wait is shorter by one factor, which the
result says; expressions and thresholds are those that are deployed.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.cases.changes import predict
from tests.support.clones import make_clone, make_origin
from tests.support.cluster import Cluster, Measure, Release
from tests.support.commands import commands, run, steps
from tests.support.durations import seconds
from tests.support.product import API, FOLLOWED, path
from tests.support.waiting import eventually
from tools.diff.rules import Effect
from tools.manifests import Manifest
from tools.render import render
from tools.repository import OVERLAYS, REPOSITORY

pytestmark = pytest.mark.timeout(420)

PLATFORM = "monitoring"
GROUP = "monitoring.coreos.com"
FACTOR = 20
EXPORTER = "prom/blackbox-exporter:v0.28.0"
LOADED_SECONDS = 120
FIRING_SECONDS = 90
DURATION = re.compile(r"\b(\d+)([smhd])\b(?=\])")
# What the API does wrong: the module is patched before gunicorn loads the application from it.
BROKEN = """
import sys, time
from datapress_api import app
create = app.create_app
def broken(settings, metrics):
    api = create(settings, metrics)
    right = api.view_functions["index"]
    def index():
        {fault}
        return right()
    api.view_functions["index"] = index
    return api
app.create_app = broken
from gunicorn.app.wsgiapp import run
sys.argv = ["gunicorn"]
run()
"""


def shorter(text: str) -> str:
    return f"{seconds(text) * 1000 // FACTOR}ms"


def shortened(manifest: Manifest) -> Manifest:
    """Return a monitor, a probe or rules with each time in them shorter."""
    spec = manifest["spec"]
    holders = [spec, *spec.get("podMetricsEndpoints", []), *spec.get("groups", [])]
    holders += [rule for group in spec.get("groups", []) for rule in group["rules"]]
    for holder in holders:
        for key in {"interval", "for"} & holder.keys():
            holder[key] = shorter(holder[key])
        if "expr" in holder:
            holder["expr"] = DURATION.sub(lambda found: shorter(found[0]), holder["expr"])
    # A probe may take as long as it does otherwise, but not longer than from one to the next.
    if "scrapeTimeout" in spec:
        spec["scrapeTimeout"] = spec["interval"]
    return manifest


@dataclass(frozen=True)
class Monitored:
    """An environment that is watched."""

    release: Release
    made: list[Manifest]

    def ask(self, service: str, path: str) -> Any:
        base = f"/api/v1/namespaces/{PLATFORM}/services/{service}:web/proxy"
        return json.loads(self.release.cluster.kubectl("get", "--raw", f"{base}{path}"))

    def query(self, expression: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("prometheus-operated", f"/api/v1/query?query={quote(expression)}")[
            "data"
        ]["result"]
        return found

    def firing(self) -> set[str]:
        """Return which alerts of this environment Alertmanager has now."""
        listed = self.ask("alertmanager-operated", "/api/v2/alerts?active=true")
        own = [one["labels"] for one in listed if self.release.namespace in one["labels"].values()]
        return {" ".join(filter(None, [one["alertname"], one.get("window", "")])) for one in own}

    def refresh(self) -> None:
        """Have the kubelet renew at once what Prometheus reads; it would take a minute by itself."""
        chosen = ("--selector", "app.kubernetes.io/name=prometheus")
        self.release.cluster.kubectl(
            "annotate", "pods", "-n", PLATFORM, *chosen, f"refreshed={time.time()}", "--overwrite"
        )

    def loaded(self) -> bool:
        self.refresh()
        time.sleep(2)
        groups = self.ask("prometheus-operated", "/api/v1/rules")["data"]["groups"]
        wanted = {group["name"] for one in self.made for group in one["spec"].get("groups", [])}
        return wanted <= {group["name"] for group in groups} and len(self.query(self.own("probe_success"))) == 2

    def own(self, metric: str) -> str:
        return f'{metric}{{namespace="{self.release.namespace}"}}'

    def comes_and_goes(self, wanted: set[str], mend: Callable[[], Any], measure: Measure, fault: str) -> None:
        """Wait for alerts, mend, and wait until they are gone."""
        seen = eventually(lambda: wanted <= self.firing(), FIRING_SECONDS, lambda: f"{wanted}, not {self.firing()}")
        mend()
        # That of three days goes when these are over.
        gone = eventually(
            lambda: not {one for one in self.firing() if not one.endswith("3d")} & wanted,
            FIRING_SECONDS * 2,
            lambda: f"they go: {self.firing()}",
        )
        measure(f"  {fault}: {', '.join(sorted(wanted))}", f"{seen:.0f} s, {gone:.0f} s")


@pytest.fixture(scope="module")
def overlay(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The overlay of the environment that takes the component, as the runbook says."""
    if f"prometheusrules.{GROUP}" not in cluster.kubectl("get", "customresourcedefinitions", "--output=name"):
        pytest.skip(f"the cluster has no PrometheusRule: {PLATFORM} is what the component's README asks for")
    directory = tmp_path_factory.mktemp("monitoring")
    clone = make_clone(make_origin(directory), directory / "clone")
    for step in steps("take-the-monitoring"):
        run(step, clone)
    return clone / path(FOLLOWED)


@pytest.fixture(scope="module")
def exporter(cluster: Cluster) -> Iterator[str]:
    """The platform's blackbox exporter, where it has none."""
    name, labels = "blackbox-exporter", {"app.kubernetes.io/name": "blackbox-exporter"}
    metadata = {"name": name, "namespace": PLATFORM, "labels": labels}
    # By default it takes half a second off each time limit, which is most of what is left of a shorter one.
    arguments = ["--config.file=/etc/blackbox_exporter/config.yml", "--timeout-offset=0"]
    container = {"name": "exporter", "image": f"{cluster.registry}/{EXPORTER}", "args": arguments}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}
    spec = {"selector": labels, "ports": [{"port": 9115}]}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
    if cluster.try_kubectl("get", "service", name, "-n", PLATFORM).returncode == 0:
        yield name
        return
    objects = json.dumps({"apiVersion": "v1", "kind": "List", "items": [pod, service]})
    cluster.kubectl("create", "-f", "-", stdin=objects)
    try:
        cluster.kubectl("wait", "pod", name, "-n", PLATFORM, "--for=condition=Ready", "--timeout=60s")
        yield name
    finally:
        cluster.kubectl("delete", "-f", "-", "--now", stdin=objects)


@pytest.fixture(scope="module")
def monitored(followed: Release, overlay: Path, exporter: str, measure: Measure) -> Iterator[Monitored]:
    assert exporter
    followed.cluster.wait_for_rollout(followed.namespace)
    made = [shortened(one) for one in render(overlay) if one["apiVersion"].startswith(GROUP)]
    found = Monitored(followed, made)
    objects = json.dumps({"apiVersion": "v1", "kind": "List", "items": made})
    followed.cluster.kubectl("create", "-f", "-", stdin=objects)
    try:
        measure(f"alerts, with windows and waits {FACTOR} times shorter", "fires, ends")
        eventually(found.loaded, LOADED_SECONDS, "Prometheus has the rules, and probes")
        yield found
    finally:
        followed.cluster.kubectl("delete", "-f", "-", stdin=objects)


def test_taking_it_restarts_nothing_as_predicted(overlay: Path) -> None:
    before, after = render(OVERLAYS / FOLLOWED), render(overlay)
    assert {one.effect for one in predict(before, after)} == {Effect.CREATED}


def test_the_api_s_own_metrics_are_there(monitored: Monitored) -> None:
    eventually(lambda: monitored.query(monitored.own("http_requests_total")), 30, "the API's metrics are scraped")


def test_ordinary_operations_alert_nobody(monitored: Monitored, measure: Measure) -> None:
    """A rollout, a pod that is deleted, one pod more and one less."""
    release, seen = monitored.release, set[str]()
    started = time.monotonic()
    release.kubectl("rollout", "restart", "deployment")
    release.kubectl("scale", f"deployment/{API}", "--replicas=3")
    release.kubectl("delete", "pod", release.pods(API)[0]["metadata"]["name"], "--wait=false")
    while time.monotonic() - started < 45:
        seen |= monitored.firing()
        time.sleep(1)
    release.kubectl("scale", f"deployment/{API}", "--replicas=2")
    release.cluster.wait_for_rollout(release.namespace)
    assert seen == set()
    measure("  ordinary operations, as long as a quarter of an hour", "no alert")


def test_a_hostile_client_makes_no_series(monitored: Monitored) -> None:
    release = monitored.release

    def series() -> int:
        return len(monitored.query(monitored.own("http_requests_total")))

    asked = 'for i in $(seq 40); do curl -s -o /dev/null -X M$i -H "X-Request-ID: $i" {}/api/no-$i?$i; done'
    run(asked.format(release.url), REPOSITORY)
    time.sleep(2)
    before = series()
    run(asked.replace("no-", "other-").format(release.url), REPOSITORY)
    time.sleep(2)
    assert 0 < series() <= before + 1


def test_nobody_answers(monitored: Monitored, measure: Measure) -> None:
    release = monitored.release
    release.kubectl("scale", f"deployment/{API}", "--replicas=0")
    wanted = {"PageUnanswered", "ApiUnmeasured", "AnswersFail 1h", "AnswersFail 6h"}
    monitored.comes_and_goes(
        wanted, lambda: release.kubectl("scale", f"deployment/{API}", "--replicas=2"), measure, "API scaled to 0"
    )
    release.cluster.wait_for_rollout(release.namespace)


def _break(release: Release, fault: str) -> None:
    command = ["python", "-c", BROKEN.format(fault=fault)]
    change = {"op": "add", "path": "/spec/template/spec/containers/0/command", "value": command}
    release.kubectl("patch", "deployment", API, "--type=json", "--patch", json.dumps([change]))


def _mend(release: Release) -> None:
    release.kubectl("rollout", "undo", f"deployment/{API}")
    release.cluster.wait_for_rollout(release.namespace, API)


def test_a_version_that_errs(monitored: Monitored, measure: Measure) -> None:
    release = monitored.release
    _break(release, "raise RuntimeError")

    def look_and_mend() -> None:
        assert '"status":500' in run(commands("alert-errors"), REPOSITORY, ESPACE=release.namespace)
        _mend(release)

    monitored.comes_and_goes({"ApiErrors 1h", "AnswersFail 1h"}, look_and_mend, measure, "a broken version")


def test_a_version_that_is_slow(monitored: Monitored, measure: Measure) -> None:
    release = monitored.release
    _break(release, "time.sleep(0.6)")
    monitored.comes_and_goes({"AnswersSlow 1h"}, lambda: _mend(release), measure, "a slow version")


def test_an_image_that_is_not_there(monitored: Monitored, measure: Measure) -> None:
    release = monitored.release
    release.kubectl("set", "image", f"deployment/{API}", f"*={release.cluster.registry}/absent:none")
    monitored.comes_and_goes({"RolloutStuck"}, lambda: _mend(release), measure, "an image that is not there")


@pytest.mark.parametrize("look", ["alert-look", "alert-unmeasured", "alert-load"])
def test_the_runbook_s_commands_answer(monitored: Monitored, look: str) -> None:
    assert run(commands(look), REPOSITORY, ESPACE=monitored.release.namespace)
