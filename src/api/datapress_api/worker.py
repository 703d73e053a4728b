"""gunicorn's threaded worker, quicker with requests that need no waiting, and with problem documents for errors."""

import re
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from http import HTTPStatus
from types import FrameType
from typing import Any

from gunicorn import util
from gunicorn.http import errors
from gunicorn.workers import gthread

from datapress_api.logs import REQUEST
from datapress_api.observer import new_request_id
from datapress_api.problems import MEDIA_TYPE, problem

_LONGEST_LOOK = 8192
_announced_lengths = re.compile(rb"\r\n(?:content-length|transfer-encoding)[ \t]*:([^\r]*)", re.IGNORECASE).findall

# NGINX has a request whole before it sends it on: this is for whoever else reaches the API.
SECONDS_TO_READ = 10

_CLIENT_ERRORS: dict[type[Exception], HTTPStatus] = {
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    errors.UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
}
_SERVER_ERRORS = (errors.InvalidResponseHeader, errors.InvalidResponseHeaderName, errors.ConfigurationProblem)


class Worker(gthread.ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Answers a request that has arrived whole in the thread that saw it arrive; leaves every other to the threads.

    `gthread` hands each request to another thread and back, which costs more than Flask takes to answer it, and a
    connection on which nothing arrives keeps one of its threads for five seconds, one that sends half a request for
    ever. Here none of that happens: silent connections wait in the poller, requests that arrive piece by piece wait in
    the threads, `SECONDS_TO_READ` at most, and no number of them delays a probe. The price: a view that waits (for a
    database, say) would hold up all others. Such a view wants plain `gthread`; see
    docs/decisions/0002-gunicorn-worker.md.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._being_read: dict[gthread.TConn, float] = {}

    def accept(self, listener: Any) -> None:
        """Accept all connections that wait: gunicorn takes one, and then serves those it has before the next."""
        before = -1
        while before < self.nr_conns < self.worker_connections:
            before = self.nr_conns
            super().accept(listener)

    def enqueue_req(self, conn: gthread.TConn) -> None:
        """Find the right place for a connection that is new or became readable."""
        if not conn.initialized and not conn.data_ready:
            self.finish_request(conn, _done(gthread._DEFER))
        elif _holds_whole_request(conn):
            self.finish_request(conn, _done(self.handle(conn)))
        else:
            self._being_read[conn] = time.monotonic() + SECONDS_TO_READ
            super().enqueue_req(conn)

    def murder_pending(self) -> None:
        """End what has lasted too long, once a second: here the reading, whose thread then sees the client leave."""
        super().murder_pending()
        for conn, end in self._being_read.items():
            if end < time.monotonic():
                with suppress(OSError):  # the client may have left
                    conn.sock.shutdown(socket.SHUT_RD)

    def finish_request(self, conn: gthread.TConn, fs: "Future[Any]") -> None:
        """Go on with a connection after its request.

        Where gunicorn closes it, it waits up to two seconds for the client to close as well, and in the thread that
        serves all others. A client can have that as often as it likes, so the wait is left to the other threads.
        """
        self._being_read.pop(conn, None)
        if fs.cancelled() or fs.exception() or fs.result():
            super().finish_request(conn, fs)
            return
        self.nr_conns -= 1
        self.tpool.submit(conn.close, graceful=True)

    def handle_request(self, req: Any, conn: gthread.TConn) -> Any:
        """Answer a request, with head and body of the answer in one packet: gunicorn writes them one by one."""
        with _corked(conn.sock):
            return super().handle_request(req, conn)

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """Stop at once, on Ctrl-C.

        gunicorn's own version first shuts the pool of threads down. That takes a lock, which this thread may hold: the
        signal can come while it hands a request to the pool. It would then wait for itself.
        """
        super(gthread.ThreadWorker, self).handle_quit(sig, frame)

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:  # noqa: ARG002
        """Answer a request that gunicorn could not read, or that the application failed to answer.

        gunicorn's own version answers in HTML and logs the client's address, which is personal data.
        """
        request_id = new_request_id()
        context = REQUEST.set({"request_id": request_id})
        if isinstance(exc, errors.ParseException) and not isinstance(exc, _SERVER_ERRORS):
            status, detail = _CLIENT_ERRORS.get(type(exc), HTTPStatus.BAD_REQUEST), str(exc)
            # Its name alone: its text quotes what was sent, which may be personal.
            self.log.warning("unreadable request answered with %d: %s", status, type(exc).__name__)
        else:
            status, detail = HTTPStatus.INTERNAL_SERVER_ERROR, "The request failed."
            self.log.error("request failed", exc_info=exc)
        REQUEST.reset(context)
        try:
            util.write_nonblock(client, _answer(status, problem(status, detail, request_id), request_id))
        except OSError as error:
            self.log.debug("the client left before the answer: %s", error)


@contextmanager
def _corked(connection: socket.socket) -> Iterator[None]:
    if sys.platform != "linux":
        yield
        return
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    try:
        yield
    finally:
        with suppress(OSError):  # gunicorn may have closed it
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)


def _holds_whole_request(conn: gthread.TConn) -> bool:
    """Whether one request waits whole in the socket: then answering it cannot mean to wait for the client."""
    if conn.parser and conn.parser.unreader.buf.getvalue():
        return False  # begun in an earlier read: what is in the socket is not the beginning
    try:
        arrived = conn.sock.recv(_LONGEST_LOOK, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except OSError:
        return False
    head, end, body = arrived.partition(b"\r\n\r\n")
    lengths = [value.strip() for value in _announced_lengths(head)] or [b"0"]
    return bool(end) and lengths == [b"%d" % len(body)]


def _done(result: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(result)
    return future


def _answer(status: HTTPStatus, body: bytes, request_id: str) -> bytes:
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        f"Connection: close\r\n"
        f"Content-Type: {MEDIA_TYPE}\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"Cache-Control: no-store\r\n"
        f"X-Request-ID: {request_id}\r\n\r\n"
    )
    return head.encode("ascii") + body
