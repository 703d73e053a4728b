"""The API: its application factory and its routes."""

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, current_app, request
from gunicorn.http.errors import ParseException
from werkzeug import Response as WerkzeugResponse
from werkzeug.exceptions import BadRequest, HTTPException, MethodNotAllowed, NotFound, RequestEntityTooLarge

from datapress_api.logs import REQUEST, timestamp
from datapress_api.metrics import Metrics
from datapress_api.observer import Observer
from datapress_api.problems import MEDIA_TYPE, problem
from datapress_api.settings import Settings, read_settings

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

LARGEST_BODY = 64 * 1024


class JsonResponse(Response):
    """An answer that is JSON unless it says otherwise."""

    default_mimetype = "application/json"


class JsonApp(Flask):
    """Flask for an API whose views are plain functions."""

    response_class = JsonResponse

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Take every view as it is: none is async, and Flask would inspect it for that anew in each request."""
        return func


class ByPort:
    """WSGI application that passes a request on by the port on which it came in.

    gunicorn takes `SERVER_PORT` from the listening socket: unlike the Host header, a client cannot choose it.
    """

    def __init__(self, app: "WSGIApplication", others: "dict[int, WSGIApplication]") -> None:
        """Serve `app` on all ports but those of `others`."""
        self._app = app
        self._others = {str(port): other for port, other in others.items()}

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request."""
        return self._others.get(environ["SERVER_PORT"], self._app)(environ, start_response)


def create_app(settings: Settings) -> Flask:
    """Return the API; on the metrics' port it answers `/metrics` and nothing else."""
    api = _new_app(__name__)
    metrics = Metrics()
    ports = ByPort(api.wsgi_app, {settings.metrics_port: _create_metrics_app(metrics).wsgi_app})
    api.wsgi_app = Observer(ports, metrics, quiet={"/health", "/metrics"})  # type: ignore[method-assign]

    @api.get("/")
    def index() -> dict[str, str]:
        return {"service": "api", "ts": timestamp()}

    @api.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @api.get("/version")
    def version() -> dict[str, str]:
        return {"version": settings.version, "revision": settings.revision, "environment": settings.environment}

    return api


def create_app_from_environ() -> Flask:
    """Return the API as the environment variables want it: what gunicorn calls."""
    return create_app(read_settings(os.environ))


def _create_metrics_app(metrics: Metrics) -> Flask:
    app = _new_app(f"{__name__}.metrics")

    @app.get("/metrics")
    def exposition() -> Response:
        body, media_type = metrics.exposition(request.headers.get("Accept"))
        return Response(body, content_type=media_type)

    return app


def _new_app(name: str) -> Flask:
    """Return a Flask application without routes that answers every error with a problem document."""
    app = JsonApp(name, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY
    app.before_request(_refuse_bad_body)
    app.register_error_handler(HTTPException, _answer_with_problem)
    return app


def _refuse_bad_body() -> None:
    """Read the body, though no route takes one: only so is one refused that is too large, malformed or cut off."""
    chunked = "HTTP_TRANSFER_ENCODING" in request.environ
    if not chunked and "CONTENT_LENGTH" not in request.environ:
        return
    try:
        body = request.get_data(cache=False)
        if chunked:
            request.stream.read(1)  # Werkzeug read up to the limit without a word; reading on makes it complain
    except ParseException as error:  # gunicorn's, of a chunk
        raise BadRequest("The body's chunks are malformed.") from error
    if len(body) < (request.content_length or 0):
        raise BadRequest("The body ends before its announced length.")


def _answer_with_problem(error: HTTPException) -> WerkzeugResponse:
    """Turn Werkzeug's answer, with headers such as Allow, into a problem document."""
    answer = error.get_response()
    answer.set_data(problem(answer.status_code, _detail(error), REQUEST.get()["request_id"]))
    answer.content_type = MEDIA_TYPE
    return answer


def _detail(error: HTTPException) -> str | None:
    match error:
        case NotFound():
            paths = sorted(rule.rule for rule in current_app.url_map.iter_rules())
            return f"There is nothing at this path. There is something at: {', '.join(paths)}"
        case MethodNotAllowed():
            return f"This path does not take this method. It takes: {', '.join(sorted(error.valid_methods or ()))}"
        case RequestEntityTooLarge():
            return f"The body is too large: {LARGEST_BODY} bytes are accepted."
        case _:
            return error.description
