"""What operators do, and what breaks: one table, and what users may see of each row."""

import os
import shlex
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import requests

from tests.cluster.load import Answer
from tests.support.cluster import Release, is_ready, overlay_with_banner
from tests.support.product import DEPLOYMENTS
from tests.support.waiting import eventually
from tools.repository import OVERLAYS

API, FRONT = DEPLOYMENTS
# The front's own limits for the API: 2 s to connect, 4.5 s to answer (src/front/templates).
FRONT_GIVES_UP = 4.5
RECOVERY = 2.0
DOWN, DNS_DOWN = 30.0, 20.0
# Signals every child of the container's first process: gunicorn's worker, NGINX's workers. Any shell can.
EACH_CHILD = """
for stat in /proc/[0-9]*/stat; do
  read -r pid name state parent rest <"$stat" || continue
  [ "$parent" = 1 ] && {command}
done; true
"""
SIGNAL_CHILDREN = EACH_CHILD.format(command='kill -"$0" "$pid"')
LIST_CHILDREN = EACH_CHILD.format(command='echo "$pid"')
FILL_TMP = "dd if=/dev/zero of=/tmp/fill bs=1M count=64 2>&1; true"
EMPTY_TMP = "rm /tmp/fill"


@dataclass(frozen=True)
class Seen:
    """What users may see of an operation besides right answers.

    Attributes:
        outcomes: the statuses, or the names of the errors
        seconds: for how long: from the first wrong answer, when it was due, to the last
        below: to which paths; the page itself is served throughout unless this is /
    """

    outcomes: frozenset[str] = frozenset()
    seconds: float = 0
    below: str = "/api/"

    def allows(self, answers: list[Answer]) -> bool:
        """Whether these wrong answers, in the order in which they were due, are no more than that."""
        if not answers:
            return True
        expected = all(answer.outcome in self.outcomes and f" {self.below}" in answer.request for answer in answers)
        return expected and answers[-1].at - answers[0].at <= self.seconds

    def __str__(self) -> str:
        if not self.outcomes:
            return "aucun échec"
        outcomes = " ou ".join(OUTCOMES.get(outcome, outcome) for outcome in sorted(self.outcomes))
        return f"`{self.below}` : {outcomes}, pendant {self.seconds:.0f} s au plus"


NOTHING = Seen()
OUTCOMES = {"TimeoutError": "pas de réponse"}


def roll(name: str) -> Callable[[Release], None]:
    def run(release: Release) -> None:
        release.kubectl("rollout", "restart", f"deployment/{name}")
        release.settle()

    return run


def change_configuration(release: Release) -> None:
    """Another banner, as an operator without Argo CD applies it; then the former one."""
    with TemporaryDirectory() as scratch:
        changed = overlay_with_banner(release.name, "Une autre bannière", Path(scratch))
        for overlay in (changed, OVERLAYS / release.name):
            release.cluster.kubectl("apply", "-k", overlay)
            release.settle()


def delete_pods(name: str, count: int) -> Callable[[Release], None]:
    """Delete so many pods, each when the one before it is replaced."""

    def run(release: Release) -> None:
        for pod in release.pods(name)[:count]:
            release.kubectl("delete", "pod", pod["metadata"]["name"])
            release.settle()

    return run


def scale(release: Release) -> None:
    for replicas in (4, 2):
        release.kubectl("scale", f"deployment/{API}", f"--replicas={replicas}")
        release.settle()


def evict(release: Release) -> None:
    """Evict both pods at once, as a drain does: the budget lets one go, and the other when that one is replaced."""
    for name in DEPLOYMENTS:
        first, second = (pod["metadata"]["name"] for pod in release.pods(name))
        assert evicted(release, first)
        assert not evicted(release, second)
    release.settle()


def evicted(release: Release, pod: str) -> bool:
    done = release.cluster.evict(release.namespace, pod)
    assert done.returncode == 0 or "disruption budget" in done.stderr, done.stderr
    return done.returncode == 0


def in_a_pod(name: str, script: str, *arguments: str, restarts: int) -> Callable[[Release], None]:
    """Run a script in one pod of a Deployment, and wait until it has recovered, by so many restarts."""

    def run(release: Release) -> None:
        pod = release.pods(name)[0]
        release.kubectl("exec", pod["metadata"]["name"], "--", "sh", "-c", script, *arguments)
        eventually(lambda: pod["metadata"]["name"] not in ready_pods(release, name), 30, "the pod is not ready")
        release.settle()
        (after,) = [found for found in release.pods(name) if found["metadata"]["uid"] == pod["metadata"]["uid"]]
        assert container_restarts(after) == container_restarts(pod) + restarts

    return run


def ready_pods(release: Release, name: str) -> set[str]:
    return {pod["metadata"]["name"] for pod in release.pods(name) if is_ready(pod)}


def container_restarts(pod: dict[str, Any]) -> int:
    (status,) = pod["status"]["containerStatuses"]
    count: int = status["restartCount"]
    return count


def kill_worker(release: Release) -> None:
    """Its master replaces it at once, so no probe notices."""
    pod = release.pods(API)[0]["metadata"]["name"]

    def run(script: str, *arguments: str) -> str:
        return release.kubectl("exec", pod, "--", "sh", "-c", script, *arguments)

    before = run(LIST_CHILDREN)
    run(SIGNAL_CHILDREN, "KILL")
    eventually(lambda: run(LIST_CHILDREN) not in {before, ""}, 10, "there is another worker")


def stop_api(release: Release) -> None:
    """Have no API for a while; what the front says meanwhile, and how soon it recovers, is asserted here."""
    release.kubectl("scale", f"deployment/{API}", "--replicas=0")
    # Pods on their way out serve to their end.
    named = ["pods", release.namespace, "-l", f"app.kubernetes.io/name={API}"]
    eventually(lambda: not release.cluster.objects(*named), 60, "the last pod of the API is gone")
    ends = time.monotonic() + DOWN
    while time.monotonic() < ends:
        asked = time.monotonic()
        answer = requests.get(f"{release.url}/api/", timeout=10)
        assert time.monotonic() - asked <= FRONT_GIVES_UP + 1
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert "Try again in a few seconds" in answer.json()["detail"]
        time.sleep(1)
    release.kubectl("scale", f"deployment/{API}", "--replicas=2")
    eventually(lambda: release.endpoints(API), 60, "the API is back")
    seconds = eventually(lambda: requests.get(f"{release.url}/api/", timeout=10).ok, 30, "the front has found it")
    assert seconds <= RECOVERY
    release.settle()


def stop_dns(release: Release) -> None:
    kubectl = release.cluster.kubectl
    (dns,) = release.cluster.objects("deployments", "kube-system", "-l", "k8s-app=kube-dns")
    target = ["-n", "kube-system", f"deployment/{dns['metadata']['name']}"]
    kubectl("scale", *target, "--replicas=0")
    try:
        time.sleep(DNS_DOWN)
    finally:
        kubectl("scale", *target, f"--replicas={dns['spec']['replicas']}")
        kubectl("rollout", "status", *target, "--timeout=60s")


def restart_runtime(release: Release) -> None:
    command = os.environ.get("RESTART_RUNTIME")
    if not command:
        pytest.skip("RESTART_RUNTIME does not say how to restart the node's container runtime: see docs/preuves.md")
    subprocess.run(shlex.split(command), check=True, timeout=60)
    time.sleep(10)
    release.settle()


def fill_tmp(release: Release) -> None:
    pods = [(pod["metadata"]["name"], name) for name in DEPLOYMENTS for pod in release.pods(name)]
    for pod, _ in pods:
        assert "No space left" in release.kubectl("exec", pod, "--", "sh", "-c", FILL_TMP)
    time.sleep(10)
    for pod, _ in pods:
        release.kubectl("exec", pod, "--", "sh", "-c", EMPTY_TMP)
    release.settle()


@dataclass(frozen=True)
class Operation:
    """One row: what is done, and what users may see of it."""

    do: Callable[[Release], None]
    seen: Seen = NOTHING


OPERATIONS = {
    "nouvelle version de l'API": Operation(roll(API)),
    "nouvelle version du front": Operation(roll(FRONT)),
    "changement d'une valeur": Operation(change_configuration),
    "un pod de l'API supprimé": Operation(delete_pods(API, 1)),
    "un pod du front supprimé": Operation(delete_pods(FRONT, 1)),
    "tous les pods de l'API, l'un après l'autre": Operation(delete_pods(API, 2)),
    "API de 2 à 4 réplicas, puis 2": Operation(scale),
    "éviction : le budget tient": Operation(evict),
    "worker de gunicorn tué": Operation(kill_worker, Seen(frozenset({"502"}), 2)),
    "worker de gunicorn figé": Operation(
        in_a_pod(API, SIGNAL_CHILDREN, "STOP", restarts=0), Seen(frozenset({"504"}), 15)
    ),
    "gunicorn arrêté net": Operation(in_a_pod(API, "kill -QUIT 1", restarts=1), Seen(frozenset({"502"}), 5)),
    "front figé, redémarré par sa sonde": Operation(
        in_a_pod(FRONT, SIGNAL_CHILDREN, "STOP", restarts=1), Seen(frozenset({"TimeoutError"}), 10, below="/")
    ),
    "API absente 30 s": Operation(stop_api, Seen(frozenset({"502", "504"}), DOWN + 40)),
    "DNS absent 20 s": Operation(stop_dns),
    "runtime de conteneurs redémarré": Operation(restart_runtime),
    "/tmp plein dans chaque pod": Operation(fill_tmp),
}
