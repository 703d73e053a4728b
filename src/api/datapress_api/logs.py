"""Logs: one JSON object a line, whoever speaks — the API, Flask, gunicorn, or Python on its way down."""

import json
import logging
import os
import sys
import traceback
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType, TracebackType
from typing import Any

from gunicorn.glogging import Logger

REQUEST: ContextVar[Mapping[str, str]] = ContextVar("request", default=MappingProxyType({}))
"""The fields that tie a line to the request being answered (`request_id`, `method`, `path`); none between requests."""

# ASCII alone: a client's path could hold commands for the terminal that shows the line, and what some readers take for
# the end of it.
encode = json.JSONEncoder(separators=(",", ":"), default=str).encode


def timestamp() -> str:
    """Return the time, UTC, as RFC 3339 with microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object, with the fields of the request in the course of which it was logged."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        fields: dict[str, Any] = {
            "ts": timestamp(),
            "level": record.levelname.lower(),
            "msg": record.getMessage(),
            "logger": record.name,
            **REQUEST.get(),
        }
        if record.exc_info and record.exc_info[0]:
            fields["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        return encode(fields)


class GunicornLogger(Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's own logger, speaking JSON."""

    def setup(self, cfg: Any) -> None:
        """Set gunicorn's handlers up as it does, then exchange their format."""
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(JsonFormatter())


def configure(level: str) -> None:
    """Send every record of `level` and above, Python's warnings and uncaught exceptions to standard error, as JSON."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger(__name__).critical("uncaught exception", exc_info=(kind, error, trace))


def write_access(level: int, fields: Mapping[str, Any]) -> None:
    """Write the line of one answered request to standard output.

    It goes past `logging`, whose records cost more than all else that surrounds a request. A line is written by one
    call, so that lines of several threads cannot mix.

    Args:
        level: As in `logging`.
        fields: What the line says besides its time and level.
    """
    line = {"ts": timestamp(), "level": logging.getLevelName(level).lower(), "msg": "request", **fields}
    os.write(sys.stdout.fileno(), f"{encode(line)}\n".encode())
