"""What `make run` prints of a log line."""

import json
import re
from datetime import datetime
from typing import Any

import pytest

from tools.local.log_lines import readable

REQUEST = {
    "ts": "2026-03-01T10:03:11.250000Z",
    "level": "info",
    "msg": "request",
    "request_id": "4e43",
    "method": "GET",
    "path": "/",
    "status": 200,
    "duration_ms": 1.234,
}
LOCAL_TIME = datetime.fromisoformat(REQUEST["ts"]).astimezone().strftime("%H:%M:%S")  # type: ignore[arg-type]


def line(**changes: Any) -> str:
    return json.dumps(REQUEST | changes)


def test_a_request_is_one_short_line() -> None:
    assert readable(line(), colour=False) == f"{LOCAL_TIME} INFO GET / 200 1.2 ms (4e43)"


def test_a_message_keeps_its_words() -> None:
    said = json.dumps(
        {"ts": REQUEST["ts"], "level": "info", "msg": "Listening at: http://0.0.0.0:8080", "logger": "gunicorn.error"}
    )
    assert readable(said, colour=False) == f"{LOCAL_TIME} INFO Listening at: http://0.0.0.0:8080"


def test_a_traceback_stands_below_its_message() -> None:
    said = json.dumps(
        {
            "ts": REQUEST["ts"],
            "level": "error",
            "msg": "failed",
            "request_id": "4e43",
            "traceback": "Traceback:\n  line 1\n",
        }
    )
    assert readable(said, colour=False) == f"{LOCAL_TIME} ERROR failed (4e43)\nTraceback:\n  line 1"


@pytest.mark.parametrize(
    "said",
    [
        "plain text",
        "",
        "[1]",
        "42",
        "null",
        "{",
        '{"level": "info"}',
        line(ts="noon"),
        line(duration_ms="fast"),
        line(level=None),
    ],
)
def test_what_is_not_ours_passes_as_it_is(said: str) -> None:
    assert readable(said, colour=True) == said


@pytest.mark.parametrize(
    ("level", "coloured"), [("info", False), ("warning", True), ("error", True), ("critical", True)]
)
def test_only_what_needs_attention_is_coloured(level: str, coloured: bool) -> None:
    assert readable(line(level=level), colour=True).startswith("\033[") is coloured
    assert not re.search("\033", readable(line(level=level), colour=False))
