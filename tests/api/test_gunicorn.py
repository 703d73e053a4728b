"""The API as it runs: gunicorn with our configuration, in a process of its own."""

import json
import os
import re
import select
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPResponse
from pathlib import Path
from typing import cast

import pytest

from tests.support.gunicorn_server import CONFIGURATION, GOOD_ENVIRON, PASSWORD, Server, read_answer
from tests.support.product import BY_HAND
from tests.support.waiting import eventually
from tools.local.ports import free_port

StartServer = Callable[..., Server]
VIEWS = """
def with_views(*arguments, create=app.create_app):
    api = create(*arguments)
    api.add_url_rule("/wait/<seconds>", view_func=wait)
    api.add_url_rule("/stream", "stream", lambda: stream())
    api.add_url_rule("/letters", "letters", lambda: stream_with_context(letters()))
    return api

def wait(seconds):
    time.sleep(float(seconds))
    return {}

def stream():
    try:
        for number in itertools.count():
            yield str(number)
            time.sleep(0.05)
    finally:
        logging.getLogger("tests").warning("stream closed")

def letters():
    for index in range(len(request.path)):
        yield request.path[index]
        time.sleep(0.01)

app.create_app = with_views
"""
MIB = 1024 * 1024
SLOW_REQUEST = b"POST /version HTTP/1.1\r\nHost: test\r\nX-Request-ID: slow\r\nContent-Length: 4\r\n\r\n"


@pytest.fixture
def start_changed(start_server: StartServer, tmp_path: Path) -> StartServer:
    """Start a gunicorn with a change to the package that it serves."""

    def start(change: str) -> Server:
        configuration = tmp_path / "gunicorn.conf.py"
        configuration.write_text(
            f"__file__ = {str(CONFIGURATION)!r}\nexec(open(__file__).read())\n"
            "import itertools, time\nfrom flask import request, stream_with_context\n"
            f"from datapress_api import app, asgi\n{change}\n"
        )
        return start_server(configuration)

    return start


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"DB_PASSWORD": PASSWORD}, "APP_ENV is not set: it must be a name such as dev, of a-z, 0-9 and '-'"),
        ({"APP_ENV": "dev"}, "DB_PASSWORD is not set: it must hold the database's password"),
        (
            {"APP_ENV": "production", "DB_PASSWORD": PASSWORD},
            "DB_PASSWORD holds a dummy (demo-…): in production it must hold a real password",
        ),
        (GOOD_ENVIRON | {"API_PORT": "eighty"}, "API_PORT holds 'eighty': it must be a port from 1 to 65535"),
    ],
)
def test_wrong_environment_ends_the_start_with_one_line(environ: dict[str, str], named: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gunicorn", "-c", CONFIGURATION],
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    assert done.returncode == 2
    assert not done.stdout
    [line] = done.stderr.splitlines()
    fields = json.loads(line)
    assert (fields["level"], fields["logger"], fields["msg"]) == ("critical", "datapress_api", named)
    assert PASSWORD not in line


def test_starts_in_its_directory_without_arguments() -> None:
    environ = GOOD_ENVIRON | {"API_PORT": str(free_port()), "METRICS_PORT": str(free_port())}
    command = [sys.executable, "-m", "gunicorn", "--check-config"]
    subprocess.run(command, env=environ, cwd=CONFIGURATION.parent, timeout=10, check=True)


def test_taken_port_is_named(server: Server, tmp_path: Path) -> None:
    process = Server(tmp_path, CONFIGURATION, API_PORT=str(server.port))
    eventually(lambda: "Connection in use" in process.output())
    process.process.kill()
    process.process.wait()
    assert any(str(server.port) in line["msg"] and line["level"] == "error" for line in process.lines())


def test_each_port_has_its_own(server: Server) -> None:
    assert server.request("/version").json == {"version": "1.2.3", "revision": "0a1b2c3", "environment": BY_HAND}
    assert server.request("/metrics").status == 404
    assert b"http_requests_total" in server.request("/metrics", port=server.metrics_port).body


def test_no_header_chooses_the_port(server: Server) -> None:
    for target in ["/metrics", f"http://localhost:{server.metrics_port}/metrics"]:
        forged = [
            f"Host: localhost:{server.metrics_port}",
            f"X-Forwarded-Port: {server.metrics_port}",
            f"Server-Port: {server.metrics_port}",
            f"Forwarded: host=localhost:{server.metrics_port}",
        ]
        request = "\r\n".join([f"GET {target} HTTP/1.1", *forged, "", ""])
        assert server.send(request.encode()).status == 404


def test_no_header_changes_the_path(server: Server) -> None:
    assert server.request("/health", "Script-Name: /health", "Path-Info: /version", "SCRIPT_NAME: /health").json == {
        "status": "ok"
    }


def test_a_request_leaves_one_line_without_personal_data(server: Server) -> None:
    server.request("/version?name=personal", "X-Request-ID: one-line")
    [line] = server.lines_of("one-line")
    assert line.keys() == {"ts", "level", "msg", "request_id", "method", "path", "status", "duration_ms"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["ts"])
    assert (line["level"], line["method"], line["path"], line["status"]) == ("info", "GET", "/version", 200)
    assert "127.0.0.1" not in json.dumps(line)
    assert "personal" not in server.output()


def test_probes_are_not_logged(server: Server) -> None:
    server.request("/health", "X-Request-ID: probe")
    server.request("/", "X-Request-ID: after-the-probe")
    server.lines_of("after-the-probe")
    assert '"probe"' not in server.output()


def test_at_debug_everything_is_logged_but_the_password(start_server: StartServer) -> None:
    server = start_server(LOG_LEVEL="debug")
    server.request("/health", "X-Request-ID: probe")
    assert server.lines_of("probe")[-1]["level"] == "debug"
    assert PASSWORD not in server.output()


HEAD = b"GET / HTTP/1.1\r\nHost: test\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
UNREADABLE = {
    "request line": (b"nonsense\r\n\r\n", 400),
    "HTTP version": (b"GET / HTTP/9.9\r\n\r\n", 400),
    "header name": (HEAD + b"Bad Header: x\r\n\r\n", 400),
    "header value": (HEAD + b"A: \x00\r\n\r\n", 400),
    "both lengths": (HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "long path": (b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\nHost: test\r\n\r\n", 414),
    "long header": (HEAD + b"A: " + b"x" * 9000 + b"\r\n\r\n", 431),
    "transfer coding": (HEAD + b"Transfer-Encoding: wonderful\r\n\r\n", 501),
    "chunk": (CHUNKED + b"no number\r\n", 400),
}


@pytest.mark.parametrize(("sent", "status"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_cannot_be_read_is_refused_in_short(server: Server, sent: bytes, status: int) -> None:
    with server.connect() as connection:
        connection.sendall(sent)
        answer = read_answer(connection)
        assert connection.recv(1) == b"", "nothing that follows is taken for a request"
    assert answer.status == status
    assert answer.headers["Content-Type"] == "text/plain"
    assert answer.headers["Connection"] == "close"


TOO_LARGE = {
    "announced": HEAD + b"Content-Length: 65537\r\n\r\n",
    "sent": HEAD + b"Content-Length: 65537\r\n\r\n" + b"x" * 65537,
    "in chunks": CHUNKED + 5 * (b"4000\r\n" + b"x" * 0x4000 + b"\r\n"),
}


@pytest.mark.parametrize("sent", TOO_LARGE.values(), ids=TOO_LARGE.keys())
def test_a_large_body_is_refused_with_a_problem_document(server: Server, sent: bytes) -> None:
    answer = server.send(sent)
    assert answer.status == 413
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["request_id"] == answer.headers["X-Request-ID"]
    assert [line["status"] for line in server.lines_of(answer.headers["X-Request-ID"])] == [413]


@pytest.mark.parametrize("head", [b"Content-Length: 65536\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n10000\r\n"])
def test_the_largest_body_is_taken(server: Server, head: bytes) -> None:
    assert server.send(HEAD + head + b"x" * 65536 + b"\r\n0\r\n\r\n" * (b"chunked" in head)).status == 200


def test_a_body_that_is_cut_off_is_not_taken_for_whole(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(SLOW_REQUEST.replace(b"slow", b"cut-off") + b"xx")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(4096) == b""
    server.request("/", "X-Request-ID: after-the-cut-off")
    server.lines_of("after-the-cut-off")
    assert '"cut-off"' not in server.output()


def test_a_path_cannot_command_the_terminal_that_shows_the_log(server: Server) -> None:
    server.request("/%1b[2J%c2%9b31m%0a%e2%80%a8", "X-Request-ID: terminal")
    server.lines_of("terminal")
    [line] = [line for line in server.output().split("\n") if "terminal" in line]
    assert line.isascii()
    assert line.isprintable()


def test_connection_is_kept(server: Server) -> None:
    with server.connect() as connection:
        for path in [b"/", b"/health", b"/nothing", b"/version"]:
            connection.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: test\r\n\r\n")
            assert read_answer(connection).headers["Connection"] is None


def test_requests_sent_at_once_are_all_answered(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n" * 3)
        received = b""
        while received.count(b'{"status":"ok"}') < 3:
            received += connection.recv(4096)


def test_a_request_that_comes_in_pieces_is_answered(server: Server) -> None:
    with server.connect() as connection:
        for piece in [b"GET /hea", b"lth HTTP/1.1\r\n", b"Host: test\r\n", b"\r\n"]:
            connection.sendall(piece)
            time.sleep(0.05)
        assert read_answer(connection).json == {"status": "ok"}


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: test\r\n", SLOW_REQUEST, b"\r\n\r\n"],
    ids=["silent", "line", "head", "body", "nothing"],
)
def test_slow_connections_do_not_delay_a_probe(start_server: StartServer, sent: bytes) -> None:
    server = start_server()
    with ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(server.connect()).sendall(sent)
        time.sleep(0.1)
        begin = time.monotonic()
        assert server.request("/health").status == 200
        assert time.monotonic() - begin < 2


def test_half_a_body_ends_in_time(start_changed: StartServer) -> None:
    server = start_changed("asgi.SECONDS_TO_READ = 0.5")
    with server.connect() as connection, server.connect() as kept:
        begin = time.monotonic()
        connection.sendall(SLOW_REQUEST)
        kept.sendall(SLOW_REQUEST + b"xx")
        time.sleep(0.1)
        kept.sendall(b"xx")
        assert read_answer(kept).status == 405
        assert read_answer(connection).status == 408
        assert connection.recv(1) == b"", "what comes late is not taken for a request"
        assert 0.5 < time.monotonic() - begin < 4
        kept.sendall(b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n")
        assert read_answer(kept).status == 200, "what was read in time is not ended later"


@contextmanager
def asking(server: Server, path: str, clients: int) -> Iterator[list[socket.socket]]:
    """Give clients that have asked for a path, each on a connection of its own."""
    with ExitStack() as stack:
        connected = [stack.enter_context(server.connect()) for _ in range(clients)]
        for client in connected:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        yield connected


def test_no_probe_is_behind_views_that_wait(start_changed: StartServer) -> None:
    server = start_changed(VIEWS)
    with asking(server, "/wait/60", clients=200) as clients:
        begin = time.monotonic()
        assert server.request("/health").status == 200
        assert time.monotonic() - begin < 5
        refused, _, _ = select.select(clients, [], [], 10)
        answers = [read_answer(client) for client in refused]
    assert 0 < len(refused) < len(clients)
    assert {(answer.status, answer.headers["Retry-After"]) for answer in answers} == {(503, "1")}
    assert {answer.headers["Content-Type"] for answer in answers} == {"application/problem+json"}


def test_a_thread_that_has_answered_is_free_for_the_next(start_changed: StartServer) -> None:
    with start_changed(VIEWS).connect() as connection:
        for _ in range(200):
            connection.sendall(b"GET /wait/0 HTTP/1.1\r\nHost: test\r\n\r\n")
            assert read_answer(connection).status == 200


def test_an_answer_is_sent_as_it_is_made(start_changed: StartServer) -> None:
    server = start_changed(VIEWS)
    with server.connect() as connection:
        connection.sendall(b"GET /stream HTTP/1.1\r\nHost: test\r\n\r\n")
        with HTTPResponse(connection) as answer:
            answer.begin()
            assert answer.read(1) == b"0", "its end never comes"
    eventually(lambda: "stream closed" in server.output(), 10, "the view learns that its client left")


def test_connections_that_wait_are_served_in_turn(start_server: StartServer) -> None:
    """Those that come while the worker is busy do not wait until those that it has send no more requests."""
    server = start_server()
    [worker] = server.workers()
    request = b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n"
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        os.kill(worker, signal.SIGSTOP)
        connections = [stack.enter_context(server.connect()) for _ in range(20)]
        for connection in connections:
            connection.sendall(request)
            selector.register(connection, selectors.EVENT_READ)
        os.kill(worker, signal.SIGCONT)
        answers = dict.fromkeys(connections, 0)
        while not all(answers.values()):
            for key, _ in selector.select(timeout=10):
                connection = cast("socket.socket", key.fileobj)
                read_answer(connection)
                answers[connection] += 1
                connection.sendall(request)
        assert max(answers.values()) <= 10


def test_a_request_keeps_its_context_from_thread_to_thread(start_changed: StartServer) -> None:
    server = start_changed(VIEWS)
    with asking(server, "/letters", clients=30) as clients:
        assert {read_answer(client).body for client in clients} == {b"/letters"}
    assert not [line for line in server.lines() if "traceback" in line]


def test_a_burst_of_connections_finds_room(start_server: StartServer) -> None:
    server = start_server()
    [worker] = server.workers()
    time.sleep(1.5)  # until gunicorn has its event loop listen, and the loop our number
    with ExitStack() as stack:
        os.kill(worker, signal.SIGSTOP)
        clients = [stack.enter_context(server.connect()) for _ in range(400)]
        clients[-1].sendall(b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n")
        os.kill(worker, signal.SIGCONT)
        assert read_answer(clients[-1]).status == 200


def test_sigterm_lets_what_runs_finish_and_ends_the_rest(start_changed: StartServer) -> None:
    server = start_changed(VIEWS)
    with ExitStack() as stack:
        running, kept, scraped, *halves = [
            stack.enter_context(server.connect(port))
            for port in (server.port, server.port, server.metrics_port, server.port, server.port)
        ]
        for connection in (kept, scraped):
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n")
            read_answer(connection)
        for connection, half in zip(halves, [b"GET / HT", SLOW_REQUEST], strict=True):
            connection.sendall(half)
        running.sendall(b"GET /wait/2.5 HTTP/1.1\r\nHost: test\r\n\r\n")
        time.sleep(0.2)
        begin = time.monotonic()
        server.process.terminate()
        answer = read_answer(running)
        assert (answer.status, answer.headers["Connection"]) == (200, "close")
        assert server.process.wait(timeout=10) == 0
    assert 2 < time.monotonic() - begin < 6
    assert not [line for line in server.lines() if line["level"] == "error"]


def test_ctrl_c_ends_at_once_whatever_waits(start_changed: StartServer) -> None:
    server = start_changed(VIEWS)
    with server.connect() as waiting:
        waiting.sendall(b"GET /wait/20 HTTP/1.1\r\nHost: test\r\n\r\n")
        time.sleep(0.2)
        begin = time.monotonic()
        for pid in (server.process.pid, *server.workers()):  # as a terminal sends it
            os.kill(pid, signal.SIGINT)
        assert server.process.wait(timeout=10) == 0
    assert time.monotonic() - begin < 2
    assert not [line for line in server.lines() if line["level"] == "error"]


def test_killed_worker_is_replaced(start_server: StartServer) -> None:
    server = start_server()
    [worker] = server.workers()
    os.kill(worker, signal.SIGKILL)
    eventually(lambda: server.workers() not in ([], [worker]))
    assert server.request("/health").status == 200  # the listening sockets are the arbiter's: nobody was refused
    assert b"http_requests_total" in server.request("/metrics", port=server.metrics_port).body


def test_memory_stays_small(start_server: StartServer) -> None:
    """The whole pod may take 80 MiB; this is the sum of both processes, shared pages counted once."""
    server = start_server()
    with server.connect() as connection:
        for _ in range(10_000):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            while not connection.recv(4096).endswith(b"}\n"):
                pass
    pids = [server.process.pid, *server.workers()]
    assert sum(resident_bytes(pid) for pid in pids) < 80 * MIB


def resident_bytes(pid: int) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss: +(\d+) kB", text, re.MULTILINE)[1]) * 1024  # type: ignore[index]


@pytest.mark.parametrize(("address", "host"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_listens_on_the_address_given(address: str, host: str) -> None:
    environ = GOOD_ENVIRON | {"BIND_ADDRESS": address, "API_PORT": "8000", "METRICS_PORT": "9100"}
    assert printed_configuration(environ)["bind"] == f"['{host}:8000', '{host}:9100']"


def test_configuration_suits_the_front_and_the_pod(server: Server) -> None:
    config = printed_configuration(server.environ | {"WEB_CONCURRENCY": "8", "LOG_LEVEL": "error"})
    assert config["keepalive"] == "75", "NGINX keeps idle connections for 5 s, and must be the one to end them"
    assert config["graceful_timeout"] == "25", "with the preStop sleep, 10 s, less than the pod's grace period, 45 s"
    assert config["workers"] == "1", "each worker would have its own counters"
    assert config["loglevel"] == "error"
    assert config["control_socket_disable"] == "True"
    assert config["worker_tmp_dir"] == "/dev/shm"
    assert config["preload_app"] == "True"


def test_loaded_application_is_kept_out_of_garbage_collection(server: Server) -> None:
    program = "import gc, runpy, sys; runpy.run_path(sys.argv[1])['when_ready'](None); assert gc.get_freeze_count()"
    subprocess.run([sys.executable, "-c", program, CONFIGURATION], env=server.environ, timeout=10, check=True)


def printed_configuration(environ: dict[str, str]) -> dict[str, str]:
    """Return gunicorn's settings as it prints them itself."""
    done = subprocess.run(
        [sys.executable, "-m", "gunicorn", "-c", CONFIGURATION, "--print-config"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=10,
        check=True,
    )
    return dict(re.findall(r"^(\w+) += (.*)$", done.stdout, re.MULTILINE))
