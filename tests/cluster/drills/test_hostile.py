"""Hostile clients against NGINX and gunicorn as deployed, while others use it and must notice nothing."""

import base64
import json
import re
import resource
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import schemathesis
from hypothesis import given, seed, settings

from datapress_api.asgi import SECONDS_TO_READ
from documents.facts import promises
from tests.cluster.load import load
from tests.support.cluster import MEBIBYTE, NGINX_ERROR, Measure, Release
from tests.support.hostile import wire
from tests.support.hostile.shapes import SEED, cases
from tests.support.hostile.verdict import CLIENT_HAD_LEFT, GUNICORN, OF_GUNICORN, answers_in, assert_harmless
from tests.support.hostile.wire import CLOSED, HALF_CLOSE, OPEN, Reply, Sending, exchange
from tests.support.product import DEPLOYMENTS
from tests.support.waiting import eventually
from tools.local import front
from tools.local.ports import answers
from tools.repository import REPOSITORY

pytestmark = pytest.mark.timeout(300)  # on a busy machine

API, FRONT = DEPLOYMENTS
OF_EACH_FAMILY = 220
AT_ONCE = 200
# What NGINX writes of clients, in its own format; a fault of its own would read otherwise.
ABOUT_CLIENTS = re.compile(
    NGINX_ERROR.pattern
    + r"\d+#\d+: (?:\*\d+ client (?:intended to send|sent) |\d+ worker_connections are not enough, reusing connections)"
)
SETTINGS = front.TEMPLATE.read_text() + (front.FRONT / "nginx.conf").read_text()


def _setting(name: str) -> int:
    """Return the number that a directive of NGINX has in the product."""
    return int(re.search(rf"^ *{name} (?:\w+ )?(\d+)", SETTINGS, re.MULTILINE)[1])  # type: ignore[index]


# What NGINX declares, twice as a request may be slow first in its head and then in its body, and a margin.
PATIENCE = 2 * (_setting("client_header_timeout") + _setting("client_body_timeout") + _setting("lingering_time"))
CAPACITY = _setting("worker_processes") * _setting("worker_connections")  # of one pod


@dataclass(frozen=True)
class Siege:
    """A stretch of time in which the product has hostile clients."""

    release: Release
    since: datetime

    def log(self, name: str) -> list[str]:
        """Return the lines that the pods of a Deployment have written."""
        since = f"--since-time={self.since:%Y-%m-%dT%H:%M:%SZ}"
        logs = [self.release.kubectl("logs", pod["metadata"]["name"], since) for pod in self.release.pods(name)]
        return [line for log in logs for line in log.split("\n") if line]

    def requests(self, name: str) -> list[dict[str, Any]]:
        """Return the access log of a Deployment."""
        lines = [json.loads(line) for line in self.log(name) if line.startswith("{")]
        return [line for line in lines if line["msg"] == "request"]


@contextmanager
def unharmed(release: Release, key: str, measure: Measure) -> Iterator[Siege]:
    """Let well-behaved clients use the release meanwhile, and show that neither they nor its pods were harmed."""
    release.cluster.wait_for_rollout(release.namespace)
    before = _restarts(release)
    siege = Siege(release, datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1))
    time.sleep(1)  # the log is asked for by the second
    with load(release.url) as seen:
        yield siege
    seen.measure(key, measure)
    assert seen.failed == [], seen
    time.sleep(1)  # until the last lines are in the log
    assert _restarts(release) == before, "a container was replaced or restarted"
    for name in DEPLOYMENTS:
        assert [line for line in siege.log(name) if not _is_orderly(line)] == []


def _address(release: Release) -> tuple[str, int]:
    host, _, port = urlsplit(release.url).netloc.partition(":")
    return host, int(port)


def _restarts(release: Release) -> dict[str, int]:
    """Return how often each pod's container was restarted."""
    pods = [pod for name in DEPLOYMENTS for pod in release.pods(name)]
    return {pod["metadata"]["name"]: pod["status"]["containerStatuses"][0]["restartCount"] for pod in pods}


def _is_orderly(line: str) -> bool:
    """Whether a line of a log is printable, and JSON that reports no fault of ours or NGINX's own word on clients."""
    if not re.fullmatch(r"[ -\x7f]+", line):
        return False
    if ABOUT_CLIENTS.match(line):
        return True
    try:
        fields = json.loads(line)
    except ValueError:
        return False
    if fields["msg"] == CLIENT_HAD_LEFT:
        return True
    refused = fields.get("status") == HTTPStatus.SERVICE_UNAVAILABLE  # by the front, for one body too many
    return (fields["level"] in {"info", "warning"} or refused) and "traceback" not in fields


def _peak_bytes(release: Release, pod: dict[str, Any]) -> int:
    """Return the most memory that a pod's container ever took; the kubelet tells what it takes, and seconds later."""
    files = ["/sys/fs/cgroup/memory.peak", "/sys/fs/cgroup/memory/memory.max_usage_in_bytes"]  # cgroup v2, v1
    script = f"cat {' '.join(files)} 2>/dev/null || true"
    return int(release.kubectl("exec", pod["metadata"]["name"], "--", "sh", "-c", script))


@pytest.fixture(scope="module", autouse=True)
def _enough_files() -> Iterator[None]:
    """Thousands of connections at once: many systems allow a process 1024 files unless it asks for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_no_hostile_request_does_harm(followed: Release, measure: Measure) -> None:
    tried = cases(OF_EACH_FAMILY)
    assert len(tried) >= promises()["hostile-requests"]
    with unharmed(followed, "hostile-front", measure) as siege:
        replies = exchange(_address(followed), [case.sending for case in tried], AT_ONCE, PATIENCE)
    measure("hostile-front", len(tried))
    assert_harmless(tried, replies)
    _assert_the_api_answered_what_the_front_passed_on(siege)


def _assert_the_api_answered_what_the_front_passed_on(siege: Siege) -> None:
    """Request by request: one more at the API would be smuggled past the front, one less would be lost."""
    lines = siege.requests(FRONT)
    passed = Counter(line["request_id"] for line in lines for _ in re.findall(r"[^ ,]+:\d+", line["upstream"]))
    answered = Counter(line["request_id"] for line in siege.requests(API))
    assert passed.total() > 1000
    assert answered - passed == Counter(), "the API answered what the front had not passed on"
    missing = Counter(line["upstream_status"] for line in lines if line["request_id"] in passed - answered)
    missing.pop("-", 0)  # the client left before the answer
    missing.pop("200", 0)  # /api/health, which the API does not log
    assert missing.keys() <= set(map(str, OF_GUNICORN)), "gunicorn does not log what it refuses itself"


def test_the_description_holds_through_the_front(followed: Release, measure: Measure) -> None:
    description = schemathesis.openapi.from_path(REPOSITORY / "src" / "api" / "openapi.yaml")
    tried: list[schemathesis.Case[Any]] = []
    with unharmed(followed, "described-requests", measure):
        for operation in description.get_all_operations():

            @seed(SEED)
            @settings(max_examples=15, deadline=None, database=None)
            @given(operation.ok().as_strategy())  # type: ignore[union-attr]
            def check(case: schemathesis.Case[Any]) -> None:
                tried.append(case)
                case.call_and_validate(base_url=f"{followed.url}/api")

            check()
    measure("described-requests", len(tried))


# gunicorn waits for the rest of a head until its client leaves: here, once any body would have been given up.
HALF_HEAD = Sending((b"GET / HT", b""), HALF_CLOSE, pause=SECONDS_TO_READ + 2)
HALF_BODY = Sending((b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n1",))


def test_gunicorn_withstands_what_the_front_keeps_away(followed: Release, measure: Measure) -> None:
    """From inside the pod, as the network policies let nobody but the front connect."""
    slow = [HALF_HEAD, HALF_BODY] * 50
    tried = cases(of_each=40)
    with unharmed(followed, "hostile-gunicorn", measure):
        replies = _exchange_inside(followed, slow + [case.cut_short for case in tried], at_once=len(slow) + 20)
    measure("hostile-gunicorn", len(replies))
    assert not [reply for reply in replies[: len(slow)] if reply.ended == OPEN or reply.seconds > SECONDS_TO_READ + 5]
    assert_harmless(tried, replies[len(slow) :], GUNICORN)


def _exchange_inside(release: Release, sendings: list[Sending], at_once: int) -> list[Reply]:
    """As `exchange`, from within an API pod to gunicorn there."""
    encoded = [[[base64.b64encode(piece).decode() for piece in one.pieces], one.ending, one.pause] for one in sendings]
    asked = {"host": "127.0.0.1", "port": 8000, "at_once": at_once, "patience": PATIENCE, "sendings": encoded}
    pod = release.pods(API)[0]["metadata"]["name"]
    run = ["exec", "-i", pod, "--", "python3", "-c", Path(wire.__file__).read_text()]
    told = release.kubectl(*run, stdin=json.dumps(asked))
    return [Reply(base64.b64decode(received), ended, seconds) for received, ended, seconds in json.loads(told)]


PER_SECOND = 1500
FIELD = b"\r\nA: " + b"a" * 7900
HEAD = b"GET /api/ HTTP/1.1\r\nHost: datapress" + 2 * FIELD
BODY = b"POST /api/version HTTP/1.1\r\nHost: datapress\r\nContent-Length: 65536\r\n\r\n" + b"a" * 65000
PIPELINED = 500
PIPELINE = b"GET /app.js HTTP/1.1\r\nHost: datapress\r\n\r\n" * PIPELINED
# Of all connections that the front can hold, each kind has this share: two thirds in all.
SLOW = {
    "head": (0.35, Sending((HEAD,))),
    "dripping head": (0.1, Sending((HEAD, *[b"a"] * 60), pause=0.5)),
    "body": (0.1, Sending((BODY,))),
    "dripping body": (0.05, Sending((BODY, *[b"a"] * 8), pause=1)),
    "reader": (0.1, Sending((PIPELINE,), unread=2.0 * _setting("send_timeout"))),
}


def _crowd(release: Release, per_place: float, sending: Sending) -> list[Sending]:
    """Return so many clients for each connection that the front can hold, coming one after the other."""
    count = int(per_place * CAPACITY * len(release.pods(FRONT)))
    return [replace(sending, after=index / PER_SECOND) for index in range(count)]


def test_slow_clients_take_nothing_from_the_others(followed: Release, measure: Measure) -> None:
    """Each has as much in NGINX's memory as it lets in; with bodies, more come than it lets send them."""
    slow = [(kind, sending) for kind, (share, one) in SLOW.items() for sending in _crowd(followed, share, one)]
    with unharmed(followed, "slow-clients", measure):
        replies = exchange(_address(followed), [sending for _, sending in slow], len(slow), PATIENCE)
        peak = max(_peak_bytes(followed, pod) for pod in followed.pods(FRONT)) / MEBIBYTE
    measure("slow-clients", len(slow))
    measure("memory-front-peak", peak)
    got: dict[str, list[Reply]] = {kind: [] for kind in SLOW}
    for (kind, _), reply in zip(slow, replies, strict=True):
        got[kind].append(reply)
    assert not [reply for reply in replies if reply.ended == OPEN]
    heads = got["head"] + got["dripping head"]
    assert not [reply for reply in heads if reply.received or reply.seconds > _setting("client_header_timeout") + 5]
    bodies = [answers_in(reply.received)[0] for reply in got["body"] + got["dripping body"]]
    assert {tuple(answer.status for answer in found) for found in bodies} == {(), (503,)}
    assert max(reply.received.count(b"HTTP/1.1 200 ") for reply in got["reader"]) < PIPELINED


def test_silent_clients_give_way_to_those_who_speak(followed: Release, measure: Measure) -> None:
    """Half as many again as the front can hold: NGINX ends those who have been silent longest."""
    silent = _crowd(followed, 1.5, Sending(()))
    with unharmed(followed, "silent-clients", measure):
        replies = exchange(_address(followed), silent, len(silent), PATIENCE)
    measure("silent-clients", len(silent))
    assert Counter(reply.ended for reply in replies) == {CLOSED: len(silent)}


def test_beyond_its_capacity_the_front_refuses_and_recovers(followed: Release, measure: Measure) -> None:
    """What no setting prevents: clients that hold every connection, each with half a request, keep the others out."""
    followed.cluster.wait_for_rollout(followed.namespace)
    before = _restarts(followed)
    crowd = _crowd(followed, 1.5, Sending((HEAD[:100],)))
    began = time.monotonic()
    with load(followed.url) as seen:
        replies = exchange(_address(followed), crowd, len(crowd), PATIENCE)
        eventually(lambda: answers(f"{followed.url}/api/"), 30, "the front answers again")
        recovered = time.monotonic()
        time.sleep(2)
    assert not [reply for reply in replies if reply.ended == OPEN]
    assert not [answer for answer in seen.failed if answer.at > recovered]
    seen.measure("saturated", measure)
    measure("saturated", max((answer.until for answer in seen.failed), default=began) - began)
    assert _restarts(followed) == before
    followed.cluster.wait_for_rollout(followed.namespace)
