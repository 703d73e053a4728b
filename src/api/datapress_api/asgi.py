"""Serves a Flask application by ASGI: quick views in the event loop, all others in threads.

What comes in: https://asgi.readthedocs.io/en/latest/specs/www.html. What Flask understands: PEP 3333.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from io import BytesIO
from threading import BoundedSemaphore, Event
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote_to_bytes

from flask import Flask
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge, RequestTimeout, ServiceUnavailable

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Coroutine[Any, Any, None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]
View = TypeVar("View", bound=Callable[..., Any])

LARGEST_BODY = 64 * 1024
# NGINX has a request whole before it sends it on: this is for whoever else reaches the API.
SECONDS_TO_READ = 10
SECONDS_TO_RETRY = 1
SECONDS_OF_QUIET = 1

REFUSAL = "datapress.refusal"
"""The key of a WSGI environment under which there is the HTTPException to answer with before any view is called."""


def quick(view: View) -> View:
    """Mark a view that never waits, neither for a database nor for anything else: the event loop may answer it."""
    view.quick = True  # type: ignore[attr-defined]
    return view


class Server:
    """ASGI application that answers by a Flask application, which it calls once it has a request's body whole.

    A view that waits has a thread. So only others that wait can be behind it, and no slow client takes a thread.
    """

    def __init__(self, app: Flask, of_ports: Mapping[int, Application], threads: int, queue: int) -> None:
        """Serve an application.

        Args:
            app: The application.
            of_ports: What answers instead on certain ports. A client cannot choose the port: it is the listening
                socket's.
            threads: How many views may wait at once.
            queue: How many requests may wait for one of those threads; one more is refused (503).
        """
        self._app = app
        self._of_ports = of_ports
        self._pool = ThreadPoolExecutor(threads)
        self._room = BoundedSemaphore(threads + queue)
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
                await _read_body(environ, receive)
            except ConnectionError:
                return
            except HTTPException as refusal:
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

    async def _answer(self, environ: "WSGIEnvironment", scope: Message, send: Send) -> None:
        if REFUSAL not in environ and self._waits(scope["method"], scope["path"]):
            if self._room.acquire(blocking=False):
                await self._answer_in_thread(environ, send)
                return
            environ[REFUSAL] = ServiceUnavailable("Too many requests wait already.", retry_after=SECONDS_TO_RETRY)
        for message in self._messages(environ):
            await send(message)

    async def _answer_in_thread(self, environ: "WSGIEnvironment", send: Send) -> None:
        loop = asyncio.get_running_loop()
        client_left = Event()

        def answer() -> None:
            for message in self._messages(environ):
                if client_left.is_set():
                    break
                asyncio.run_coroutine_threadsafe(send(message), loop).result()

        answered = self._pool.submit(answer)
        answered.add_done_callback(lambda _: self._room.release())
        try:
            await asyncio.wrap_future(answered)
        except asyncio.CancelledError:
            client_left.set()
            raise

    def _messages(self, environ: "WSGIEnvironment") -> Iterator[Message]:
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


async def _read_body(environ: "WSGIEnvironment", receive: Receive) -> None:
    """Put a request's body into its environment.

    Raises:
        HTTPException: if it is too large, or does not come.
        ConnectionError: if the client leaves.
    """
    body, more = b"", True
    if int(environ.get("CONTENT_LENGTH", 0)) > LARGEST_BODY:
        raise RequestEntityTooLarge
    try:
        async with asyncio.timeout(SECONDS_TO_READ):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ConnectionError
                body += message["body"]
                more = message["more_body"]
                if len(body) > LARGEST_BODY:
                    raise RequestEntityTooLarge
    except TimeoutError as error:
        raise RequestTimeout(f"The body did not arrive within {SECONDS_TO_READ} seconds.") from error
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    environ["CONTENT_LENGTH"] = str(len(body))
    environ["wsgi.input"] = BytesIO(body)


@lru_cache(maxsize=256)
def _key(header: bytes) -> str:
    name = header.decode("latin-1").upper().replace("-", "_")
    return name if name in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{name}"


def _environ(scope: Message) -> "WSGIEnvironment":
    path: bytes = scope["raw_path"]
    host, port = scope["server"]
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": (unquote_to_bytes(path) if b"%" in path else path).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for header, value in scope["headers"]:
        key, text = _key(header), value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    return environ
