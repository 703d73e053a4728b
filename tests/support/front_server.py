"""A real NGINX with the product's configuration, and an API behind it that misbehaves on demand."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import crossplane
import requests

from tests.support.servers import running
from tests.support.waiting import eventually
from tools.local import front
from tools.local.ports import answers, free_port

CONFIGURATION = {
    "version": "v1.0 – Environnement de démonstration",
    "environment": "ailleurs",
    "banner": "Bannière d’ailleurs.",
    "colour": "#0b6b63",
    "mark": "■",
}
READY_SECONDS = 10
LOG_SECONDS = 5


@dataclass
class Front:
    """An NGINX that runs: its address, and what can be changed or read while it does."""

    url: str
    port: int
    config: Path
    log: Path
    process: "subprocess.Popen[bytes]"

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.request("GET", path, **options)

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send one request on a connection of its own."""
        return requests.request(method, self.url + path, timeout=10, allow_redirects=False, **options)

    def send(self, data: bytes) -> bytes:
        """Send bytes as they are, and return all that comes until the connection ends."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def log_line(self, request_id: str) -> dict[str, Any]:
        """Return the access log's line of a request; NGINX writes it just after the answer."""

        def found() -> list[str]:
            lines = self.log.read_text().splitlines()
            return [line for line in lines if request_id in line and line.startswith("{")]

        eventually(found, LOG_SECONDS, f"a line of the log has {request_id}")
        fields: dict[str, Any] = json.loads(found()[0])
        return fields


@contextmanager
def running_front(directory: Path, api_server: str) -> Iterator[Front]:
    """Run a front of its own in a directory; its logs go to the file `log` there."""
    (directory / "config").mkdir()
    config = directory / "config" / "config.json"
    config.write_text(json.dumps(CONFIGURATION))
    port = free_port()
    command = front.prepare(directory, api_server=api_server, port=port)
    url = f"http://127.0.0.1:{port}"
    with running(command, directory / "log", directory=directory) as nginx:
        nginx.wait_until(lambda: answers(f"{url}/healthz"), READY_SECONDS)
        yield Front(url, port, config, directory / "log", nginx.process)


def arguments(name: str) -> list[list[str]]:
    """Return the arguments of each directive of a name, in the order of NGINX's two files."""
    return [directive["args"] for file in (front.MAIN, front.TEMPLATE) for directive in _directives(file, name)]


def _directives(file: Path, name: str) -> list[dict[str, Any]]:
    def among(block: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for directive in block:
            yield directive
            yield from among(directive.get("block", []))

    parsed = crossplane.parse(os.fspath(file), single=True, check_ctx=False)
    assert parsed["status"] == "ok", parsed["errors"]
    return [directive for directive in among(parsed["config"][0]["parsed"]) if directive["directive"] == name]


GOOD = json.dumps({"service": "api", "ts": "2025-11-24T09:09:57.620150Z"}).encode()
FORMER, NEWER = "1a2b3c4d" * 5, "9f8e7d6c" * 5


def version_of(revision: str) -> bytes:
    """Return what the API answers for its version, when it was built from a revision."""
    return json.dumps({"version": "1.0", "revision": revision, "environment": CONFIGURATION["environment"]}).encode()


@dataclass
class Received:
    """A request as it reached the API; `peer` tells one connection from another."""

    method: str
    path: str
    headers: dict[str, str]
    peer: tuple[str, int]


@dataclass
class ScriptedApi:
    """What plays the API answers: each test sets it as it likes. While `gate` is clear, no answer is given.

    While its status is 200, it has an answer of its own for its version.
    """

    status: int = 200
    content_type: str = "application/json"
    body: bytes = GOOD
    version: bytes = version_of(FORMER)
    headers: dict[str, str] = field(default_factory=dict)
    hang_up: bool = False
    gate: threading.Event = field(default_factory=threading.Event)
    requests: list[Received] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate.set()

    def answer(self, status: int, body: bytes, content_type: str = "application/json") -> None:
        self.status, self.body, self.content_type = status, body, content_type

    def asked(self, path: str = "/") -> int:
        """Return how often it was asked for a path."""
        return sum(received.path == path for received in self.requests)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    script: ScriptedApi

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pass over what tests provoke on purpose: NGINX that hangs up on a slow answer."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        script = self.server.script
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        script.requests.append(Received(self.command, self.path, dict(self.headers), self.client_address))
        script.gate.wait(20)
        if script.hang_up:
            self.close_connection = True
            return
        body = script.version if (script.status, self.path) == (200, "/version") else script.body
        self.send_response(script.status)
        for name, value in ({"Content-Type": script.content_type} | script.headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 # the name is http.server's

    def log_message(self, *_: object) -> None:
        """Say nothing: NGINX logs each request."""


@contextmanager
def scripted_server(script: ScriptedApi, port: int = 0) -> Iterator[int]:
    """Serve what a script says, on a port that is the context's value."""
    server = _Server(("127.0.0.1", port), _Handler)
    server.script = script
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        script.gate.set()
        server.shutdown()
        thread.join()
        server.server_close()
