"""A cluster with the product on it, as its tests see it."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from documents import figures
from documents.facts import promises
from tests.support.browsing import live
from tests.support.clones import change_banner
from tests.support.product import DEPLOYMENTS, FRONT, PREFIX, namespace
from tests.support.waiting import eventually
from tools.render import kubectl, render, render_deployed
from tools.repository import OVERLAYS, REPOSITORY

ROLLOUT_SECONDS = 180
IMAGE = "python:3.14-slim"  # of pods that are not the product's
SCRATCH = f"{PREFIX}-e2e"  # the namespace of most of them
EXPOSED = f"{FRONT}-e2e"  # a Service that the tests make where an environment has no node port
MEBIBYTE = 2**20
REQUESTS = promises()["requests-for-memory"]  # after which the memory of the pods is measured
# What NGINX itself reports, an API that is away for example: in its own format, which cannot be changed.
NGINX_ERROR = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[(?:warn|error|crit|alert|emerg)\] ")
# Keeps a number under its key of documents/figures.yaml, or shows a text in the table that closes the run.
Measure = Callable[[str, float | str], None]
DIAGNOSE = REPOSITORY / "tests" / "cluster" / "diagnose.sh"
DIAGNOSIS = REPOSITORY / ".build" / "diagnosis"  # e2e.yml keeps it as an artifact


@dataclass(frozen=True)
class Cluster:
    """What a user has: kubectl, a registry to push to, and the addresses of a node and of this machine."""

    registry: str
    node_address: str
    host_address: str

    def kubectl(self, *arguments: str | Path, stdin: str | None = None) -> str:
        """Run kubectl and return what it prints; an error of its own fails the test with its words."""
        done = self.try_kubectl(*arguments, stdin=stdin)
        assert done.returncode == 0, f"kubectl {' '.join(map(str, arguments))}: {done.stderr.strip()}"
        return done.stdout

    def try_kubectl(self, *arguments: str | Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        # The log of a front under attack may have bytes of a request that are no UTF-8.
        return subprocess.run(
            [kubectl(), *arguments],
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            errors="backslashreplace",
            check=False,
        )

    def objects(self, kind: str, namespace: str, *arguments: str) -> list[dict[str, Any]]:
        listed = json.loads(self.kubectl("get", kind, "-n", namespace, "-o", "json", *arguments))
        items: list[dict[str, Any]] = listed["items"]
        return items

    def get(self, kind: str, name: str, namespace: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "-n", namespace, "-o", "json"))
        return found

    def pods(self, namespace: str, name: str) -> list[dict[str, Any]]:
        """Return the pods of a Deployment that are not on their way out."""
        pods = self.objects("pods", namespace, "-l", f"app.kubernetes.io/name={name}")
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def evict(self, namespace: str, pod: str) -> subprocess.CompletedProcess[str]:
        """Ask for an eviction; https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/."""
        metadata = {"name": pod, "namespace": namespace}
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction"
        return self.try_kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))

    def remove(self, *namespaces: str, wait: bool = True) -> None:
        """Delete namespaces; first their pods, without the grace that connections are given and nobody is left for."""
        for name in namespaces:
            # What would make others of them, by itself and at once.
            makers = "deployments,replicasets,jobs"
            self.try_kubectl("delete", makers, "--all", "-n", name, "--cascade=orphan", "--timeout=30s")
            self.try_kubectl("delete", "pods", "--all", "-n", name, "--now", "--wait=false")
        names = [f"namespace/{name}" for name in namespaces]
        waiting = [f"--timeout={ROLLOUT_SECONDS}s"] if wait else ["--wait=false"]
        self.kubectl("delete", *names, "--ignore-not-found", *waiting)

    def wait_for_rollout(self, namespace: str, *names: str) -> None:
        for name in names or DEPLOYMENTS:
            self.kubectl("rollout", "status", f"deployment/{name}", "-n", namespace, f"--timeout={ROLLOUT_SECONDS}s")

    def url(self, namespace: str) -> str:
        """Return where the front of a namespace answers: by its own node port, or by one that the tests give it."""
        (port,) = self.get("service", FRONT, namespace)["spec"]["ports"]
        if "nodePort" not in port:
            ports = (f"--port={port['port']}", f"--target-port={port['targetPort']}")
            # Refused from the second time on: it is there.
            self.try_kubectl("expose", "service", FRONT, "-n", namespace, "--name", EXPOSED, "--type=NodePort", *ports)
            (port,) = self.get("service", EXPOSED, namespace)["spec"]["ports"]
        return f"http://{self.node_address}:{port['nodePort']}"


@dataclass(frozen=True)
class Release:
    """One overlay on the cluster."""

    cluster: Cluster
    name: str
    seconds_to_answer: float  # from the start of `kubectl apply -k` to the API's first answer through the front

    @property
    def namespace(self) -> str:
        return namespace(self.name)

    @property
    def url(self) -> str:
        return self.cluster.url(self.namespace)

    def pods(self, name: str) -> list[dict[str, Any]]:
        return self.cluster.pods(self.namespace, name)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.cluster.kubectl("-n", self.namespace, *arguments, stdin=stdin)

    def endpoints(self, service: str) -> list[str]:
        """Return the addresses to which a Service sends new connections."""
        slices = self.cluster.objects("endpointslices", self.namespace, "-l", f"kubernetes.io/service-name={service}")
        ready = [item for found in slices for item in found["endpoints"] or [] if item["conditions"]["ready"]]
        return [address for endpoint in ready for address in endpoint["addresses"]]

    def settle(self) -> None:
        """Wait until every pod is ready and none is on its way out."""
        self.cluster.wait_for_rollout(self.namespace)
        eventually(self._at_rest, ROLLOUT_SECONDS, f"{self.namespace} is at rest")

    def _at_rest(self) -> bool:
        pods = self.cluster.objects("pods", self.namespace)
        return all("deletionTimestamp" not in pod["metadata"] and is_ready(pod) for pod in pods)


def is_ready(pod: dict[str, Any]) -> bool:
    return any(
        condition["type"] == "Ready" and condition["status"] == "True" for condition in pod["status"]["conditions"]
    )


def overlay_with_banner(environment: str, banner: str, scratch: Path) -> Path:
    """Return the overlay of a copy of deploy/ whose page says something else."""
    copy = scratch / "deploy"
    shutil.copytree(OVERLAYS.parent, copy)
    return change_banner(copy / OVERLAYS.name / environment, banner)


def press_button(page: Page, url: str) -> dict[str, Any]:
    """Open the page as a user does, press its button, and return the JSON that it shows."""
    page.goto(url)
    page.get_by_role("button", name="Tester l'API").click()
    shown = page.locator("#answer")
    expect(shown).to_contain_text('"service"')
    answer: dict[str, Any] = json.loads(shown.inner_text())
    return answer


def turn_on_live(page: Page) -> None:
    """Have an open page ask again and again, and wait for the first answer."""
    live(page).click()
    expect(page.locator("#sent")).to_have_text("1")


@contextmanager
def running(cluster: Cluster, manifests: list[dict[str, Any]]) -> Iterator[None]:
    """Objects, of which the pods are ready."""
    objects = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
    pods = json.dumps({"apiVersion": "v1", "kind": "List", "items": [m for m in manifests if m["kind"] == "Pod"]})
    cluster.kubectl("create", "-f", "-", stdin=objects)
    try:
        cluster.kubectl("wait", "-f", "-", "--for=condition=Ready", "--timeout=60s", stdin=pods)
        yield
    finally:
        cluster.kubectl("delete", "-f", "-", "--ignore-not-found", "--now", stdin=objects)


@contextmanager
def smoke_test(release: Release, command: list[str]) -> Iterator[dict[str, Any]]:
    """The Job that Argo CD runs after a sync, and what it needs, with another command and no time limit; its pod."""
    overlay = render(OVERLAYS / release.name)
    added = [manifest for manifest in render_deployed(release.name) if manifest not in overlay]
    (job,) = [manifest for manifest in added if manifest["kind"] == "Job"]
    del job["spec"]["activeDeadlineSeconds"]
    pod = job["spec"]["template"]["spec"]
    pod["containers"][0]["command"] = command
    pod["terminationGracePeriodSeconds"] = 0
    manifests = json.dumps({"apiVersion": "v1", "kind": "List", "items": added})
    kubectl = release.cluster.kubectl
    kubectl("create", "-f", "-", stdin=manifests)
    try:
        name, status = f"job/{job['metadata']['name']}", "--for=jsonpath={.status.ready}=1"
        kubectl("wait", name, "-n", release.namespace, status, "--timeout=60s")
        (found,) = release.pods(job["metadata"]["name"])
        yield found
    finally:
        kubectl("delete", "-f", "-", "--cascade=foreground", stdin=manifests)


@dataclass
class Measures:
    """What is measured in a run.

    Attributes:
        told: all of it, as texts
        pending: the figures of the test under way
        passed: the figures of the tests that passed
    """

    told: list[tuple[str, str]] = field(default_factory=list)
    pending: dict[str, float] = field(default_factory=dict)
    passed: dict[str, float] = field(default_factory=dict)

    def keep(self, what: str, figure: float | str) -> None:
        if isinstance(figure, str):
            self.told.append((what, figure))
            return
        self.told.append((figures.MEASURED[what].label_en, figures.in_english(figure, figures.MEASURED[what].unit)))
        self.pending[what] = figure

    def end_test(self, passed: bool) -> None:
        self.passed |= self.pending if passed else {}
        self.pending.clear()


def diagnose(what: str) -> None:
    """Keep what the cluster knows, under a name that is made of a test's."""
    name = re.sub(r"[^\w.-]+", "-", what)
    try:
        subprocess.run([DIAGNOSE, DIAGNOSIS / name], check=False, timeout=60)
    except subprocess.TimeoutExpired:  # a cluster that hangs; raised from here, it would end the whole run
        print(f"the cluster did not tell all of what it knows: {DIAGNOSIS / name}", file=sys.stderr)
