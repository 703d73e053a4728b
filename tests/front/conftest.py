"""A real NGINX with the product's configuration, before a real API or before one that misbehaves on demand.

Needs what `tools/setup.sh test` installs: NGINX, Chromium, and the packages of requirements/test.txt.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import crossplane
import pytest
import requests

from tools.local import front
from tools.local.ports import free_port
from tools.repository import REPOSITORY, VENV_BIN

CONFIGURATION = {
    "version": "v1.0 – Environnement de démonstration",
    "environment": "essai",
    "banner": "Bannière d'essai.",
}
API_START_SECONDS = 20
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
        deadline = time.monotonic() + LOG_SECONDS
        while time.monotonic() < deadline:
            for line in self.log.read_text().splitlines():
                if request_id in line and line.startswith("{"):
                    fields: dict[str, Any] = json.loads(line)
                    return fields
            time.sleep(0.02)
        raise AssertionError(f"no line of the log has {request_id}")


@contextmanager
def running_front(directory: Path, api_server: str) -> Iterator[Front]:
    """Run a front of its own in a directory; its logs go to the file `log` there."""
    (directory / "config").mkdir()
    config = directory / "config" / "config.json"
    config.write_text(json.dumps(CONFIGURATION))
    port = free_port()
    command = front.prepare(directory, api_server=api_server, port=port, config_dir=config.parent)
    url = f"http://127.0.0.1:{port}"
    with (directory / "log").open("ab") as log, front.running(command, url, log) as process:
        yield Front(url, port, config, directory / "log", process)


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


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The product's API under gunicorn, as in its image; its address and port."""
    port = free_port()
    environment = os.environ | {
        "APP_ENV": "recette",
        "DB_PASSWORD": "demo-only",
        "API_PORT": str(port),
        "METRICS_PORT": str(free_port()),
    }
    log = tmp_path_factory.mktemp("api") / "log"
    command = [f"{VENV_BIN}/gunicorn", "-c", f"{REPOSITORY}/src/api/gunicorn.conf.py"]
    with log.open("ab") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        wait_for_port(port, process, log)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def wait_for_port(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + API_START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail(f"the API does not start:\n{log.read_text()}")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, api: str) -> Iterator[Front]:
    """The whole product: NGINX before the real API."""
    with running_front(tmp_path_factory.mktemp("site"), api) as running:
        yield running


GOOD = json.dumps({"service": "api", "ts": "2025-11-24T09:09:57.620150Z"}).encode()


@dataclass
class Received:
    """A request as it reached the API; `peer` tells one connection from another."""

    method: str
    path: str
    headers: dict[str, str]
    peer: tuple[str, int]


@dataclass
class ScriptedApi:
    """What plays the API answers: each test sets it as it likes. While `gate` is clear, no answer is given."""

    status: int = 200
    content_type: str = "application/json"
    body: bytes = GOOD
    headers: dict[str, str] = field(default_factory=dict)
    hang_up: bool = False
    gate: threading.Event = field(default_factory=threading.Event)
    requests: list[Received] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate.set()

    def answer(self, status: int, body: bytes, content_type: str = "application/json") -> None:
        self.status, self.body, self.content_type = status, body, content_type


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
        self.send_response(script.status)
        for name, value in ({"Content-Type": script.content_type} | script.headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(script.body)))
        self.end_headers()
        self.wfile.write(script.body)

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


@pytest.fixture
def script() -> ScriptedApi:
    return ScriptedApi()


@pytest.fixture
def staged(tmp_path: Path, script: ScriptedApi) -> Iterator[Front]:
    """NGINX before the API that `script` plays."""
    with scripted_server(script) as port, running_front(tmp_path, f"127.0.0.1:{port}") as running:
        yield running


@pytest.fixture(scope="session")
def lonely(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """NGINX with nothing behind it."""
    with running_front(tmp_path_factory.mktemp("lonely"), f"127.0.0.1:{free_port()}") as running:
        yield running


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Use the system's Chromium: without its sandbox, which root cannot have, and off the network."""
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"]
    return browser_type_launch_args | {
        "executable_path": shutil.which("chromium") or shutil.which("google-chrome"),
        "args": ["--no-sandbox", *quiet],
    }


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    return browser_context_args | {"locale": "fr-FR"}
