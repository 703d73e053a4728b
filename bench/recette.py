"""How many requests a second an environment holds on the cluster of the current context: `make bench-recette`.

The load is open-loop: each request is sent when it is due, however long those before it take, so that a queue shows as
latency. The same search is made for the page, which NGINX answers alone; compare the ratio, not the rates: the load
generator takes its share of the processors where the node is this machine.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

from documents.figures import add_record_option, record
from tools.command import FailedError, Parser, RefusedError, ask, overlay, run_program
from tools.local.context import Cluster, current_cluster
from tools.local.ports import answers
from tools.local.url import url_of
from tools.manifests import Manifest
from tools.render import render
from tools.repository import REPOSITORY, followed

VEGETA = REPOSITORY / ".build" / "bin" / "vegeta"
P99_MILLISECONDS = 100
LOWEST_RATE, HIGHEST_RATE = 50, 51_200  # requests a second
PRECISION, STEP_BACK = 1.05, 1.1
PROBE_SECONDS, HOLD_SECONDS, REST_SECONDS = 5, 60, 2


@dataclass(frozen=True)
class Attack:
    """What came of a constant rate.

    Attributes:
        rate: The requests a second that were asked for.
        sent: Those that the load generator sent; fewer mean that it did not keep up.
        requests: How many there were in all.
        failed: Those not answered by a success.
        p99: The milliseconds within which 99 of 100 answers came.
    """

    rate: int
    sent: float
    requests: int
    failed: int
    p99: float

    @property
    def held(self) -> bool:
        """Whether the rate was held."""
        return self.failed == 0 and self.p99 < P99_MILLISECONDS and self.sent > 0.99 * self.rate

    def __str__(self) -> str:
        held = "held" if self.held else "not held"
        return f"{self.rate} requests/s {held}: {self.requests} sent, {self.failed} failed, p99 {self.p99:.1f} ms"


def vegeta(url: str, rate: int, seconds: int, workers: int) -> dict[str, Any]:
    """Send requests at a rate, or as fast as the workers get answers if it is 0; return vegeta's report."""
    flags = [f"-rate={rate}", f"-duration={seconds}s", "-timeout=5s"]
    flags += [f"-max-workers={workers}", f"-connections={workers}"]
    sent = subprocess.run([VEGETA, "attack", *flags], input=f"GET {url}\n".encode(), capture_output=True, check=True)
    told = subprocess.run([VEGETA, "report", "-type=json"], input=sent.stdout, capture_output=True, check=True)
    report: dict[str, Any] = json.loads(told.stdout)
    return report


def attack(url: str, rate: int, seconds: int) -> Attack:
    """Send requests at a rate and return what came of them."""
    time.sleep(REST_SECONDS)  # what the attack before has left in the queues is not this one's
    # As many connections as it takes: the generator must never wait for an answer before it sends.
    report = vegeta(url, rate, seconds, 2000)
    succeeded = sum(count for status, count in report["status_codes"].items() if status.startswith("2"))
    return Attack(
        rate=rate,
        sent=report["rate"],
        requests=report["requests"],
        failed=report["requests"] - succeeded,
        p99=report["latencies"]["99th"] / 1e6,
    )


def told(attacked: Attack) -> Attack:
    """Show progress."""
    print(f"bench-recette:   {attacked}", file=sys.stderr)
    return attacked


def highest_rate(url: str) -> Attack:
    """Return the attack of 60 seconds at the highest rate that is held: found by short probes, then tried in full.

    Raises:
        FailedError: if not even the lowest rate is held.
    """
    print(f"bench-recette: {url}", file=sys.stderr)
    low, high = LOWEST_RATE, HIGHEST_RATE
    while high > low * PRECISION:
        middle = round((low * high) ** 0.5)
        if told(attack(url, middle, PROBE_SECONDS)).held:
            low = middle
        else:
            high = middle
    # What is held for five seconds need not be for sixty.
    while not (attacked := told(attack(url, low, HOLD_SECONDS))).held:
        low = round(low / STEP_BACK)
        if low < LOWEST_RATE:
            raise FailedError(f"{url} does not hold {LOWEST_RATE} requests a second: {attacked}")
    return attacked


def kubernetes(cluster: Cluster) -> str:
    """Return a cluster's version."""
    told = json.loads(ask(*cluster.kubectl, "get", "--raw", "/version").stdout)
    return str(told["gitVersion"]).removeprefix("v")


def url_on(cluster: Cluster, environment: str, manifests: list[Manifest]) -> str:
    """Return where the front of an environment answers, with its API behind it.

    Raises:
        RefusedError: if it does not.
    """
    url = url_of(cluster, manifests)
    if not url:
        raise RefusedError(
            f"{environment} has no URL on this cluster, and the load would measure a port-forward's speed:"
            " expose its front by a node port, a load balancer or an Ingress"
        )
    if not answers(f"{url}api/"):
        raise RefusedError(
            f"{url}api/ does not answer: bring {environment} to the cluster with 'make deploy ENV={environment}',"
            " and set NODE_ADDRESS to where this machine reaches its node ports"
        )
    return url


def asked(name: str, arguments: list[str]) -> argparse.Namespace:
    """Return the environment that is to be measured, and whether its figures are to be kept.

    Raises:
        RefusedError: if there is no such environment.
    """
    parser = Parser(prog=name)
    first = next(iter(followed()))
    parser.add_argument("environment", nargs="?", default=first, help=f"default: {first}, which Argo CD follows")
    add_record_option(parser)
    options = parser.parse_args(arguments)
    overlay(options.environment)
    return options


def main(arguments: list[str]) -> None:
    """Measure the API and the page, and print both.

    Raises:
        RefusedError: if there is no cluster, or the environment does not answer there.
        FailedError: if nothing could be measured.
    """
    options = asked("bench-recette", arguments)
    cluster = current_cluster()
    url = url_on(cluster, options.environment, render(overlay(options.environment)))
    api, page = highest_rate(f"{url}api/"), highest_rate(url)
    measured = {
        "rate-api": api.rate,
        "p99-api": api.p99,
        "rate-page": page.rate,
        "p99-page": page.p99,
        "rate-ratio": api.rate / page.rate,
    }
    print(f"API behind the front   {api}")
    print(f"page, by NGINX alone   {page}")
    print(f"ratio                  {api.rate / page.rate:.2f}")
    if options.record:
        record(measured, kubernetes(cluster))


if __name__ == "__main__":
    sys.exit(run_program("bench-recette", lambda: main(sys.argv[1:])))
