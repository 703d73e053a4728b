"""What the API is measured against: FastAPI, bare, and with the duties that the API has; see bench/workers.py."""

from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any

from fastapi import FastAPI

from datapress_api.logs import REQUEST, timestamp
from datapress_api.metrics import Metrics
from datapress_api.observer import Observer, request_id

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Duties:
    """ASGI middleware that does what the API's `Observer` does: request id, log line, metrics."""

    def __init__(self, app: Callable[[Message, Receive, Send], Awaitable[None]]) -> None:
        """Wrap an application."""
        self._app = app
        self._observer = Observer(app, Metrics(), quiet=())  # type: ignore[arg-type]  # to record, not to call it

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin = perf_counter()
        own_id = request_id(dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1"))
        fields = {"request_id": own_id, "method": scope["method"], "path": scope["path"]}
        status = 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] += [(b"cache-control", b"no-store"), (b"x-request-id", own_id.encode())]
            await send(message)

        context = REQUEST.set(fields)
        try:
            await self._app(scope, receive, send_with_id)
        finally:
            REQUEST.reset(context)
            self._observer.record(fields, scope["route"].path, status, perf_counter() - begin)


bare = FastAPI()


@bare.get("/")
async def index() -> dict[str, str]:
    """Answer as the API does."""
    return {"service": "api", "ts": timestamp()}


dutiful = Duties(bare)
