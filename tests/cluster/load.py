"""Steady traffic through the front, as its users send it, while something else happens to it."""

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from itertools import pairwise
from urllib.parse import urlsplit

from documents.facts import promises

CLIENTS = 25
PERIOD_SECONDS = CLIENTS / promises()["requests-a-second"]  # of one client
TIMEOUT_SECONDS = 10
# NGINX never repeats a POST, so each of them shows what a GET may hide; the API takes none, and says so itself.
EXPECTED = {"GET": 200, "POST": 405}
REQUESTS = [("GET", "/api/"), ("POST", "/api/"), ("GET", "/"), ("POST", "/api/version")]


@dataclass(frozen=True)
class Answer:
    """What came of one request.

    Attributes:
        at: when it was due, by time.monotonic()
        until: when its answer was there
        request: method, path, and whether its connection was used before
        outcome: the status, or the exception's name
    """

    at: float
    until: float
    request: str
    outcome: str
    right: bool


@dataclass
class Load:
    """The answers of one stretch of traffic; complete once the context that made it has ended."""

    answers: list[Answer] = field(default_factory=list)

    @property
    def failed(self) -> list[Answer]:
        return sorted((answer for answer in self.answers if not answer.right), key=lambda answer: answer.at)

    def longest_gap(self) -> float:
        """Return the longest time, in seconds, in which no right answer came."""
        times = sorted(answer.until for answer in self.answers if answer.right)
        return max((later - earlier for earlier, later in pairwise(times)), default=0.0)

    def measure(self, key: str, measure: Callable[[str, float | str], None]) -> None:
        """Keep how many requests there were, and how many failed, beside the figure with that key."""
        measure(f"{key}-requests", len(self.answers))
        measure(f"{key}-failed", len(self.failed))

    def __str__(self) -> str:
        return f"{len(self.answers)} sent, {len(self.failed)} failed, longest gap {self.longest_gap():.1f} s"


@contextmanager
def load(url: str) -> Iterator[Load]:
    """Send requests to a front by its URL, while the context lasts."""
    with load_by(lambda: HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_SECONDS)) as seen:
        yield seen


@contextmanager
def load_by(connect: Callable[[], HTTPConnection]) -> Iterator[Load]:
    """Send requests, half of them each on a connection of its own, while the context lasts.

    Open loop: each client keeps its timetable, whatever the answers take, and makes up for what it missed. Nothing is
    sent twice.
    """
    seen = Load()
    stop = threading.Event()
    threads = [threading.Thread(target=_client, args=(connect, number, seen, stop)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _client(connect: Callable[[], HTTPConnection], number: int, seen: Load, stop: threading.Event) -> None:
    keeps = bool(number % 2)
    connection: HTTPConnection | None = None
    due = time.monotonic() + PERIOD_SECONDS * number / CLIENTS
    for method, path in _requests(number):
        if stop.wait(max(0.0, due - time.monotonic())):
            break
        used = connection is not None and connection.sock is not None
        connection = connection or connect()
        outcome = _send(connection, method, path, keeps)
        request = f"{method} {path} {'kept' if used else 'fresh'}"
        seen.answers.append(Answer(due, time.monotonic(), request, outcome, outcome == str(EXPECTED[method])))
        if not keeps or not outcome.isdecimal():
            connection.close()
            connection = None
        due += PERIOD_SECONDS
    if connection:
        connection.close()


def _requests(number: int) -> Iterator[tuple[str, str]]:
    while True:
        number += 1
        yield REQUESTS[number // 2 % len(REQUESTS)]


def _send(connection: HTTPConnection, method: str, path: str, keeps: bool) -> str:
    """Return the status that came, or the name of the error, or that the answer was to another's request."""
    request_id = f"load-{uuid.uuid4()}"
    headers = {"X-Request-ID": request_id} | ({} if keeps else {"Connection": "close"})
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, HTTPException) as error:
        return type(error).__name__
    if method == "POST" and answer.status == EXPECTED["POST"] and json.loads(body)["request_id"] != request_id:
        return "answer to another"
    return str(answer.status)
