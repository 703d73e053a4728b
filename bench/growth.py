"""How the API grows by its number of pods, on the cluster of the current context: `make bench-growth`.

Each pod is held to what it requests, the share that a full node leaves it: on a machine whose few processors the load
generator and the front share, six pods would otherwise have no more of them than two. What a request takes of the
processors is what carries over to other machines. The environment is put back afterwards as it was.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bench.recette import asked, kubernetes, url_on, vegeta
from documents.figures import record
from tools.command import FailedError, RefusedError, ask, overlay, run_program
from tools.images import deployment_of
from tools.local.context import Cluster, current_cluster
from tools.manifests import Manifest, autoscalers_of
from tools.render import render

# How many pods → the key of their figure.
PODS = {1: "growth-1", 2: "growth-2", 3: "growth-3", 4: "growth-4", 5: "growth-5", 6: "growth-6"}
CLIENTS, SECONDS, SETTLE_SECONDS = 64, 10, 120
TICKS = 1e4  # microseconds, in /proc/PID/stat: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
READ_STATS = "cat /proc/[0-9]*/stat"


@dataclass(frozen=True)
class Point:
    """What so many pods of the API do.

    Attributes:
        pods: How many.
        rate: The requests a second that were answered.
        api: The microseconds of processor time that the API's pods spent on a request.
        front: Those that the front's pods spent.
    """

    pods: int
    rate: float
    api: float
    front: float

    def __str__(self) -> str:
        return (
            f"{self.pods} pods: {self.rate:.0f} requests/s, {self.api:.0f} µs of the API, {self.front:.0f} of the front"
        )


@dataclass(frozen=True)
class Deployed:
    """The environment on its cluster.

    Attributes:
        cluster: where it is
        environment: its name
        url: where the API answers, through the front
        api: the Deployment of the API, as the overlay has it
        front: that of the front
    """

    cluster: Cluster
    environment: str
    url: str
    api: Manifest
    front: Manifest

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl in its namespace.

        Raises:
            FailedError: if that fails.
        """
        done = ask(*self.cluster.kubectl, "-n", self.api["metadata"]["namespace"], *arguments)
        if done.returncode:
            raise FailedError(f"kubectl {arguments[0]} failed: {done.stderr.strip()}")
        return done.stdout

    def patch(self, *operations: dict[str, Any]) -> None:
        """Change the API's Deployment, and wait until its pods are as it wants them.

        Raises:
            FailedError: if they are not in time, or something else sets their number.
        """
        name = f"deployment/{self.api['metadata']['name']}"
        self.kubectl("patch", name, "--type=json", f"--patch={json.dumps(operations)}")
        self.kubectl("rollout", "status", name, f"--timeout={SETTLE_SECONDS}s")

    def pods(self, deployment: Manifest) -> list[str]:
        """Return the names of a Deployment's pods that are not on their way out."""
        label = f"app.kubernetes.io/name={deployment['metadata']['name']}"
        items = json.loads(self.kubectl("get", "pods", "-l", label, "-o", "json"))["items"]
        return [one["metadata"]["name"] for one in items if "deletionTimestamp" not in one["metadata"]]

    def processor_time(self, pods: list[str]) -> float:
        """Return the microseconds of processor time that the processes of pods have spent so far."""
        stats = [self.kubectl("exec", pod, "--", "sh", "-c", READ_STATS).splitlines() for pod in pods]
        return sum(map(microseconds, (line for lines in stats for line in lines)))


def microseconds(stat: str) -> float:
    """Return the processor time in a line of /proc/PID/stat; the name of the process may hold spaces."""
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICKS


def measure(deployed: Deployed, pods: int) -> Point:
    """Load so many pods as far as they go.

    Raises:
        FailedError: if there are not so many pods, or a request failed.
    """
    deployed.patch({"op": "replace", "path": "/spec/replicas", "value": pods})
    api, front = deployed.pods(deployed.api), deployed.pods(deployed.front)
    if len(api) != pods:
        raise FailedError(
            f"{len(api)} pods of the API run in place of {pods}: where Argo CD follows {deployed.environment},"
            " it sets their number"
        )
    # Kept connections from the front stay with the pods that they know for some seconds.
    vegeta(deployed.url, 0, SECONDS, CLIENTS)
    before = deployed.processor_time(api), deployed.processor_time(front)
    report = vegeta(deployed.url, 0, SECONDS, CLIENTS)
    after = deployed.processor_time(api), deployed.processor_time(front)
    answered, failed = report["status_codes"].get("200", 0), report["errors"]
    if failed or answered < report["requests"]:
        raise FailedError(f"{report['requests'] - answered} of {report['requests']} requests failed: {failed}")
    spent = [(later - earlier) / answered for earlier, later in zip(before, after, strict=True)]
    return Point(pods, report["throughput"], *spent)


@contextmanager
def held_to_its_request(deployed: Deployed) -> Iterator[None]:
    """Have the API's pods use no more processor time than they request, while the block lasts."""
    live = json.loads(deployed.kubectl("get", f"deployment/{deployed.api['metadata']['name']}", "-o", "json"))["spec"]
    path = "/spec/template/spec/containers/0/resources/limits"
    limits = live["template"]["spec"]["containers"][0]["resources"]["limits"]
    request = live["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"]
    deployed.patch({"op": "replace", "path": path, "value": {**limits, "cpu": request}})
    try:
        yield
    finally:
        deployed.patch(
            {"op": "replace", "path": path, "value": limits},
            {"op": "replace", "path": "/spec/replicas", "value": live["replicas"]},
        )


def found(cluster: Cluster, environment: str) -> Deployed:
    """Return an environment as it is on a cluster.

    Raises:
        RefusedError: if it does not answer there, or something else sets the number of its pods.
    """
    manifests = render(overlay(environment))
    api, front = (deployment_of(manifests, name) for name in ("api", "front"))
    if autoscalers_of(api, manifests):
        raise RefusedError(
            f"{environment} has an autoscaler, which would set the number of pods: measure one that has none"
        )
    return Deployed(cluster, environment, f"{url_on(cluster, environment, manifests)}api/", api, front)


def main(arguments: list[str]) -> None:
    """Measure each number of pods, and print them.

    Raises:
        RefusedError: if there is no cluster, or the environment does not answer there.
        FailedError: if something could not be measured.
    """
    options = asked("bench-growth", arguments)
    cluster = current_cluster()
    deployed = found(cluster, options.environment)
    points: list[Point] = []
    with held_to_its_request(deployed):
        for pods in PODS:
            points.append(measure(deployed, pods))
            print(points[-1], flush=True)
    measured = {PODS[point.pods]: point.rate for point in points}
    # The least of each: what else a machine does makes none better.
    measured |= {"processor-api": min(one.api for one in points), "processor-front": min(one.front for one in points)}
    if options.record:
        record(measured, kubernetes(cluster))


if __name__ == "__main__":
    sys.exit(run_program("bench-growth", lambda: main(sys.argv[1:])))
