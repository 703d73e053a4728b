"""The API: its application factory and its routes."""

import os
from collections.abc import Callable
from typing import Any

from flask import Flask, Request, Response, current_app, request
from flask.json.provider import DefaultJSONProvider
from prometheus_client import make_asgi_app
from werkzeug import Response as WerkzeugResponse
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, RequestEntityTooLarge
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import MapAdapter

from datapress_api.asgi import LARGEST_BODY, REFUSAL, Server, quick
from datapress_api.logs import REQUEST, encode, timestamp
from datapress_api.metrics import Metrics
from datapress_api.observer import Observer
from datapress_api.problems import MEDIA_TYPE, problem
from datapress_api.settings import Settings, read_settings


class JsonResponse(Response):
    """An answer that is JSON unless it says otherwise."""

    default_mimetype = "application/json"


class CompactJson(DefaultJSONProvider):
    """Writes JSON by one encoder, rather than by a new one for each answer."""

    def dumps(self, obj: Any, **_: Any) -> str:
        """Write it, without regard to how Flask would lay it out."""
        return encode(obj)


class JsonApp(Flask):
    """Flask for an API of plain functions and JSON, without what costs time in each request and is of no use to it."""

    response_class = JsonResponse
    json_provider_class = CompactJson

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Bind the routes to a request, whose host is known already: none depends on a domain."""
        if request is None:
            return super().create_url_adapter(request)
        where = request.host, request.root_path, None, request.scheme
        return self.url_map.bind(*where, request.method, request.path, request.query_string.decode("latin-1"))

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Take every view as it is: none is async, and Flask would inspect it for that anew in each request."""
        return func


def create_server_from_environ(threads: int, queue: int) -> Server:
    """Return the API as the environment variables want it, as ASGI application: what gunicorn calls."""
    settings, metrics = read_settings(os.environ), Metrics()
    of_ports = {settings.metrics_port: make_asgi_app(metrics.registry)}
    return Server(create_app(settings, metrics), of_ports, threads, queue)


def create_app(settings: Settings, metrics: Metrics) -> Flask:
    """Return the API, which counts its answers."""
    api = JsonApp(__name__, static_folder=None)
    # The front says under which path clients find the API, and drops what they say of it themselves.
    prefixed = ProxyFix(api.wsgi_app, x_for=0, x_proto=0, x_prefix=1)
    api.wsgi_app = Observer(prefixed, metrics, quiet={"/health"})  # type: ignore[method-assign]
    api.before_request(_refuse)
    api.register_error_handler(HTTPException, _answer_with_problem)

    @api.get("/")
    @quick
    def index() -> dict[str, str]:
        return {"service": "api", "ts": timestamp()}

    @api.get("/health")
    @quick
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @api.get("/version")
    @quick
    def version() -> dict[str, str]:
        return {"version": settings.version, "revision": settings.revision, "environment": settings.environment}

    return api


def _refuse() -> None:
    refusal = request.environ.get(REFUSAL)
    if refusal:
        raise refusal


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
