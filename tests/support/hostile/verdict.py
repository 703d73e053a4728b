"""What a server may answer to a hostile case, and what of it is wrong."""

import gzip
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from io import BytesIO
from typing import Any, cast

from tests.support.front_server import CONFIGURATION
from tests.support.hostile.shapes import SEED, Case
from tests.support.hostile.wire import OPEN, REFUSED, Reply
from tests.support.product import FOLLOWED, configuration
from tools.local.front import SITE

# What gunicorn says of a client that left before the event loop came to it, and uvloop of its address.
CLIENT_HAD_LEFT = "Error handling connection: negative file descriptor"
PAGES = {path.read_bytes() for path in SITE.iterdir()} | {b"ok\n", b""}
FRONT, GUNICORN = "front", "gunicorn"
OF_GUNICORN = {400, 403, 414, 426, 431, 501}
JSON_KEYS = [
    {"service", "ts"},
    {"status"},
    {"version", "revision", "environment"},
    *(one.keys() for one in (CONFIGURATION, configuration(FOLLOWED))),
]


@dataclass(frozen=True)
class Answer:
    """One answer among those of a connection."""

    status: int
    request_id: str
    body: bytes

    @property
    def is_of_gunicorn(self) -> bool:
        """Whether gunicorn refused the request by itself: then nobody has given it an id."""
        return self.status in OF_GUNICORN and not self.request_id


class _Wire(BytesIO):
    """Received bytes, for http.client to read one answer after the other from."""

    def makefile(self, _mode: str) -> "_Wire":
        return self

    def close(self) -> None:
        """Stay open: the next answer is still to be read."""


def answers_in(received: bytes) -> tuple[list[Answer], bytes]:
    """Return the answers of a connection, and what follows them that is not a whole one."""
    wire = _Wire(received)
    found: list[Answer] = []
    while (begin := wire.tell()) < len(received):
        answer = HTTPResponse(cast("Any", wire))
        try:
            answer.begin()
            found.append(Answer(answer.status, answer.headers.get("X-Request-ID", ""), answer.read()))
        except HTTPException:
            return found, received[begin:]
    return found, b""


def assert_harmless(cases: Sequence[Case], replies: Sequence[Reply], of: str = FRONT) -> None:
    """Fail if a reply of the front or of gunicorn is not what its case may get, with the first that are not."""
    found = [
        f"{fault}\n    {case}"
        for case, reply in zip(cases, replies, strict=True)
        for fault in _faults_of(case, reply, of)
    ]
    assert not found, "\n".join([f"{len(found)} faults in {len(cases)} cases, seed {SEED}:", *found[:5]])


def _faults_of(case: Case, reply: Reply, of: str) -> Iterator[str]:
    shape = case.shape
    if reply.ended in {OPEN, REFUSED}:
        yield f"{reply.ended} after {reply.seconds:.1f} s"
    answers, rest = answers_in(reply.received)
    if rest and not shape.bare:
        yield f"not a whole answer: {rest[:300]!r}"
    if not shape.least <= len(answers) <= shape.most:
        yield f"{len(answers)} answers: {answers}"
    for answer in answers:
        if not (of == GUNICORN and answer.is_of_gunicorn):
            yield from _faults_in(answer, shape.statuses)


def _faults_in(answer: Answer, statuses: frozenset[int]) -> Iterator[str]:
    if answer.status not in statuses:
        yield f"answered with {answer.status} {answer.body[:300]!r}"
    if not re.fullmatch(r"[\w.-]{1,64}", answer.request_id, re.ASCII) or "smuggled" in answer.request_id:
        yield f"answered as request {answer.request_id!r}"
    if answer.status == HTTPStatus.OK and not _is_ours(answer.body):
        yield f"answered with {answer.body[:300]!r}"


def _is_ours(body: bytes) -> bool:
    """Whether the product serves this: nothing outside of it may ever come out."""
    plain = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
    if plain in PAGES:
        return True
    try:
        return json.loads(plain).keys() in JSON_KEYS
    except (ValueError, AttributeError):
        return False
