"""The API as it runs: gunicorn with its configuration file, a process of its own, on free ports of the loopback."""

import ast
import http.client
import json
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.product import BY_HAND
from tests.support.servers import Program
from tools.local.ports import free_port
from tools.repository import REPOSITORY

CONFIGURATION = REPOSITORY / "src" / "api" / "gunicorn.conf.py"
PASSWORD = "demo-secret-of-the-tests"
GOOD_ENVIRON = {"APP_ENV": BY_HAND, "DB_PASSWORD": PASSWORD}


def constant(name: str) -> int:
    """Return a number of gunicorn's configuration."""
    statements = ast.parse(CONFIGURATION.read_text()).body
    (found,) = [one.value for one in statements if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == name]
    number: int = ast.literal_eval(found)
    return number


@dataclass
class Answer:
    """An HTTP answer, read to its end."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def read_answer(connection: socket.socket) -> Answer:
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return Answer(answer.status, answer.headers, answer.read())


class Server(Program):
    """A gunicorn that runs; the process is its arbiter.

    Attributes:
        port: The API's port.
        metrics_port: The metrics' port.
    """

    def __init__(self, directory: Path, configuration: Path, **environ: str) -> None:
        self.port, self.metrics_port = free_port(), free_port()
        self.environ = {**GOOD_ENVIRON, "API_PORT": str(self.port), "METRICS_PORT": str(self.metrics_port), **environ}
        # Nothing is inherited, so there is no HOME, as in the container; and the package is not where it starts.
        command = [sys.executable, "-m", "gunicorn", "-c"]
        super().__init__([*command, configuration], directory / "output", environ=self.environ, directory=directory)

    def wait_until_ready(self) -> None:
        self.wait_until(self._is_ready)

    def _is_ready(self) -> bool:
        try:
            return self.request("/health").status == http.client.OK
        except OSError:
            return False

    def connect(self, port: int | None = None) -> socket.socket:
        return socket.create_connection(("127.0.0.1", port or self.port), timeout=10)

    def send(self, data: bytes, port: int | None = None) -> Answer:
        """Send bytes, which need not be HTTP, on a new connection."""
        with self.connect(port) as connection:
            connection.sendall(data)
            return read_answer(connection)

    def request(self, path: str, *headers: str, port: int | None = None) -> Answer:
        """GET a path."""
        lines = [f"GET {path} HTTP/1.1", "Host: test", *headers, "", ""]
        return self.send("\r\n".join(lines).encode(), port)

    def workers(self) -> list[int]:
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def lines(self) -> list[dict[str, Any]]:
        """Return what it printed; fails if a line is not JSON."""
        return [json.loads(line) for line in self.output().splitlines()]

    def lines_of(self, request_id: str) -> list[dict[str, Any]]:
        """Return the lines about one request, once there are any."""
        self.wait_until(lambda: f'"{request_id}"' in self.output())
        return [line for line in self.lines() if line.get("request_id") == request_id]
