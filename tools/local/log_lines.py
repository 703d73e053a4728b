"""The JSON log lines of the API and the front, for people."""

import json
from datetime import datetime
from typing import Any

_COLOURS = {"warning": "\033[33m", "error": "\033[31m", "critical": "\033[31m"}
_END = "\033[0m"


def readable(line: str, colour: bool) -> str:
    """Return a log line as a person reads it; a line that is not one of ours as it is.

    An answered request: 10:03:11 INFO GET / 200 1.2 ms (its id). Any other: 10:03:11 WARNING what it says (the id of
    the request, if it is about one), and its traceback below.

    Args:
        line: the line, without its end.
        colour: whether warnings and errors are coloured, by the codes of a terminal.
    """
    try:
        record = json.loads(line)
        text = _format(record)
    except (ValueError, TypeError, KeyError, AttributeError):
        return line
    start = _COLOURS.get(record["level"], "") if colour else ""
    return f"{start}{text}{_END}" if start else text


def _format(record: dict[str, Any]) -> str:
    time = datetime.fromisoformat(record["ts"]).astimezone().strftime("%H:%M:%S")
    said = _request(record) if "status" in record else record["msg"]
    about = f" ({record['request_id']})" if record.get("request_id") else ""
    trace = f"\n{record['traceback'].rstrip()}" if "traceback" in record else ""
    return f"{time} {record['level'].upper()} {said}{about}{trace}"


def _request(record: dict[str, Any]) -> str:
    return f"{record['method']} {record['path']} {record['status']} {record['duration_ms']:.1f} ms"
