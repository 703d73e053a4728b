"""What surrounds every request: its id, its headers, its log line, its metrics."""

import logging
import os
import re
from collections.abc import Collection, Iterable
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING, Any

from datapress_api.logs import REQUEST, write_access
from datapress_api.metrics import Metrics

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_logger = logging.getLogger(__name__)
_well_formed = re.compile(r"[A-Za-z0-9._-]{1,64}").fullmatch


def request_id(given: str) -> str:
    """Return a request's id: what its client says if that is well-formed, else one that no other request has."""
    return given if _well_formed(given) else os.urandom(16).hex()


class Observer:
    """WSGI middleware that gives each request an id and, once it is answered, logs and counts it.

    A layer of its own rather than Flask's hooks, so that nothing that Flask does escapes it.
    """

    def __init__(self, app: "WSGIApplication", metrics: Metrics, quiet: Collection[str]) -> None:
        """Wrap an application.

        Args:
            app: The application; it leaves its request in the WSGI environment, as Werkzeug's do.
            metrics: Where the answers are counted.
            quiet: The routes that machines call every few seconds: an answer 200 of theirs is logged at `debug` only.
        """
        self._app = app
        self._metrics = metrics
        self._quiet = quiet

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request."""
        begin = perf_counter()
        own_id = request_id(environ.get("HTTP_X_REQUEST_ID", ""))
        fields = {"request_id": own_id, "method": environ["REQUEST_METHOD"], "path": environ["PATH_INFO"]}
        status = HTTPStatus.INTERNAL_SERVER_ERROR.value  # should the application raise
        route = None

        def start(line: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            nonlocal status, route
            status = int(line[:3])
            route = _matched_route(environ)
            return start_response(line, [*headers, ("Cache-Control", "no-store"), ("X-Request-ID", own_id)], exc_info)

        context = REQUEST.set(fields)
        try:
            return self._app(environ, start)
        finally:
            REQUEST.reset(context)
            self.record(fields, route, status, perf_counter() - begin)

    def record(self, fields: dict[str, str], route: str | None, status: int, seconds: float) -> None:
        """Log and count an answered request."""
        self._metrics.observe(fields["method"], route, status, seconds)
        level = logging.DEBUG if route in self._quiet and status == HTTPStatus.OK else logging.INFO
        if _logger.isEnabledFor(level):
            write_access(level, fields | {"status": status, "duration_ms": round(seconds * 1000, 3)})


def _matched_route(environ: "WSGIEnvironment") -> str | None:
    """Return the pattern that Flask matched; to be asked when the answer begins, as Flask forgets its request after."""
    rule = environ["werkzeug.request"].url_rule
    return rule.rule if rule else None
