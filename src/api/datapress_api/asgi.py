"""Serves a Flask application by ASGI: quick views in the event loop, all others in threads.

What comes in: https://asgi.readthedocs.io/en/latest/specs/www.html. What Flask understands: PEP 3333.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import lru_cache, partial
from io import BytesIO
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

from flask import Flask
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge, RequestTimeout, ServiceUnavailable

Message = dict[str, Any]
Environ = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]
View = TypeVar("View", bound=Callable[..., Any])

LARGEST_BODY = 64 * 1024
# NGINX has a request whole before it sends it on: this is for whoever else reaches the API.
SECONDS_TO_READ = 10
SECONDS_OF_QUIET = 1

REFUSAL = "datapress.refusal"
"""The key of a WSGI environment under which there is the HTTPException to answer with before any view is called."""


ALWAYS: Environ = {"SCRIPT_NAME": "", "wsgi.version": (1, 0), "wsgi.errors": sys.stderr}
ALWAYS |= {"wsgi.multithread": True, "wsgi.multiprocess": False, "wsgi.run_once": False}


def quick(view: View) -> View:
    """Mark a view that never waits, neither for a database nor for anything else: the event loop may answer it."""
    view.quick = True  # type: ignore[attr-defined]
    return view


class Server:
    """ASGI application that has a Flask application answer each request, once its body has arrived whole."""

    def __init__(self, app: Flask, of_ports: Mapping[int, Application], threads: int, queue: int) -> None:
        """Take what answers on all ports but those of `of_ports`, how many of its views may wait, and for them.

        No client can choose the port: it is that of the listening socket.
        """
        self._app, self._of_ports = app, of_ports
        self._pool = ThreadPoolExecutor(threads)
        self._room = threads + queue
        self._waits = lru_cache(maxsize=256)(self._find_whether_it_waits)
        self._begun = self._running = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request. A WebSocket gets no answer, by which the server refuses it."""
        if scope["type"] != "http":
            return
        of_port = self._of_ports.get(scope["server"][1])
        if of_port:
            await of_port(scope, receive, send)
            return
        environ = _environ(scope)
        if "CONTENT_LENGTH" in environ or "HTTP_TRANSFER_ENCODING" in environ:
            try:
                await asyncio.wait_for(_read_body(environ, receive), SECONDS_TO_READ)
            except ConnectionError:
                return
            except TimeoutError:
                environ[REFUSAL] = RequestTimeout(f"The body did not arrive within {SECONDS_TO_READ} seconds.")
            except RequestEntityTooLarge as refusal:
                environ[REFUSAL] = refusal
        self._begun += 1
        self._running += 1
        try:
            await self._answer(environ, scope, send)
        finally:
            self._running -= 1

    def when_quiet(self, then: Callable[[], Any], begun: int = -1) -> None:
        """Call `then` once no request has been running for a second: within it the last answer reaches its client."""
        if self._running or begun != self._begun:
            asyncio.get_running_loop().call_later(SECONDS_OF_QUIET, self.when_quiet, then, self._begun)
        else:
            then()

    async def _answer(self, environ: Environ, scope: Message, send: Send) -> None:
        if REFUSAL not in environ and self._waits(scope["method"], scope["path"]):
            if self._room:
                await self._answer_in_threads(environ, send)
                return
            environ[REFUSAL] = ServiceUnavailable("Too many requests wait already.", retry_after=1)
        for message in self._messages(environ):
            await send(message)

    async def _answer_in_threads(self, environ: Environ, send: Send) -> None:
        """Make each message in a thread; should the client leave, gunicorn cancels this and none is made any more."""
        make = partial(copy_context().run, next, self._messages(environ), None)
        loop = asyncio.get_running_loop()
        self._room -= 1
        try:
            while message := await loop.run_in_executor(self._pool, make):
                await send(message)
        finally:
            self._room += 1

    def _messages(self, environ: Environ) -> Iterator[Message]:
        start: Message = {"type": "http.response.start"}

        def start_response(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Any:
            start["status"] = int(status[:3])
            start["headers"] = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]

        blocks = self._app.wsgi_app(environ, start_response)
        try:
            yield start
            for block in blocks:
                yield {"type": "http.response.body", "body": block, "more_body": True}
            yield {"type": "http.response.body"}
        finally:
            getattr(blocks, "close", lambda: None)()

    def _find_whether_it_waits(self, method: str, path: str) -> bool:
        try:
            endpoint, _ = self._app.url_map.bind("").match(path, method)
        except HTTPException:
            return False  # the answer to an unknown path, say
        return not hasattr(self._app.view_functions[endpoint], "quick")


async def _read_body(environ: Environ, receive: Receive) -> None:
    announced = int(environ.get("CONTENT_LENGTH", 0))
    body, more = b"", announced <= LARGEST_BODY
    while more and len(body) <= LARGEST_BODY:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        body, more = body + message["body"], message["more_body"]
    if max(announced, len(body)) > LARGEST_BODY:
        raise RequestEntityTooLarge
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    environ |= {"CONTENT_LENGTH": str(len(body)), "wsgi.input": BytesIO(body)}


@lru_cache(maxsize=256)
def _key(header: bytes) -> str:
    name = header.decode("latin-1").upper().replace("-", "_")
    return name if name in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{name}"


def _environ(scope: Message) -> Environ:
    path: bytes = scope["raw_path"]
    environ = ALWAYS | {
        "REQUEST_METHOD": scope["method"],
        "PATH_INFO": (unquote_to_bytes(path) if b"%" in path else path).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": scope["server"][0],
        "SERVER_PORT": str(scope["server"][1]),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": BytesIO(),
    }
    for header, value in scope["headers"]:
        key, text = _key(header), value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    return environ
