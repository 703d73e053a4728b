"""What NGINX answers, without a browser."""

import contextlib
import json
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.support.front_server import CONFIGURATION, Front, ScriptedApi, arguments, running_front, scripted_server
from tests.support.waiting import eventually
from tools.local import front
from tools.local.ports import free_port
from tools.repository import REPOSITORY, VENV_BIN

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Resource-Policy": "same-origin",
}
FILES = {
    "/": "text/html; charset=utf-8",
    "/app.css": "text/css; charset=utf-8",
    "/app.js": "text/javascript; charset=utf-8",
    "/favicon.svg": "image/svg+xml",
}
PROBLEM = "application/problem+json"
BIG = {"data": b"x" * 70_000}
LONG_HEADER = {"headers": {"X-Long": "x" * 9_000}}
RANGE = {"headers": {"Range": "bytes=999999-", "Accept-Encoding": "identity"}}

# What to send, what must come back: status, media type, Cache-Control.
ANSWERS = {
    "page": ("GET", "/", {}, 200, "text/html; charset=utf-8", "no-cache"),
    "style": ("GET", "/app.css", {}, 200, "text/css; charset=utf-8", "no-cache"),
    "config": ("GET", "/config.json", {}, 200, "application/json", "no-store"),
    "health": ("GET", "/healthz", {}, 200, "text/plain", "no-store"),
    "API": ("GET", "/api/", {}, 200, "application/json", "no-store"),
    "API's 404": ("GET", "/api/unknown", {}, 404, PROBLEM, "no-store"),
    "API's 405": ("POST", "/api/version", {}, 405, PROBLEM, "no-store"),
    "API's dotfile": ("GET", "/api/.git/config", {}, 404, PROBLEM, "no-store"),
    "missing": ("GET", "/missing", {}, 404, "text/html; charset=utf-8", "no-cache"),
    "dotfile": ("GET", "/.git/config", {}, 404, "text/html; charset=utf-8", "no-cache"),
    "encoded dotfile": ("GET", "/%2egit/config", {}, 404, "text/html; charset=utf-8", "no-cache"),
    "health's neighbour": ("GET", "/healthz/x", {}, 404, "text/html; charset=utf-8", "no-cache"),
    "error's page": ("GET", "/404.html", {}, 404, "text/html; charset=utf-8", "no-cache"),
    "internal": ("GET", "/.problem", {}, 404, "text/html; charset=utf-8", "no-cache"),
    "POST to the page": ("POST", "/", {}, 405, PROBLEM, "no-store"),
    "DELETE of a file": ("DELETE", "/app.css", {}, 405, PROBLEM, "no-store"),
    "big body": ("POST", "/api/", BIG, 413, PROBLEM, "no-store"),
    "big body for the page": ("POST", "/", BIG, 413, PROBLEM, "no-store"),
    "long header": ("GET", "/", LONG_HEADER, 431, PROBLEM, "no-store"),
    "long URL": ("GET", "/" + "x" * 9_000, {}, 414, PROBLEM, "no-store"),
    "range": ("GET", "/app.css", RANGE, 200, "text/css; charset=utf-8", "no-cache"),
}


def assert_hardened(response: requests.Response) -> None:
    """Every answer must pass: the security headers, one well-formed request id, no version."""
    for name, value in SECURITY_HEADERS.items():
        assert response.headers.get(name) == value, name
    assert re.fullmatch("[0-9a-f]{32}", response.headers["X-Request-ID"])  # two headers would be joined by a comma
    assert response.headers["Server"] == "nginx"
    assert "nginx/" not in response.text


@pytest.mark.parametrize("case", ANSWERS)
def test_answer(site: Front, case: str) -> None:
    method, path, options, status, media_type, cache_control = ANSWERS[case]
    response = site.request(method, path, **options)  # type: ignore[arg-type]
    assert response.status_code == status
    assert response.headers["Content-Type"] == media_type
    assert response.headers["Cache-Control"] == cache_control
    assert_hardened(response)
    assert "<center>" not in response.text  # NGINX's built-in pages
    if media_type == PROBLEM:
        problem = response.json()
        assert (problem["type"], problem["status"]) == ("about:blank", status)
        assert problem["request_id"] == response.headers["X-Request-ID"]


# What NGINX can answer by itself with an error, and in which words.
REFUSED = "The front refused the request before it reached the page or the API."
UNREACHABLE = "The API cannot be reached. Try again in a few seconds."
PROBLEMS = {
    400: ("Bad Request", REFUSED),
    403: ("Forbidden", REFUSED),
    405: ("Method Not Allowed", REFUSED),
    411: ("Length Required", REFUSED),
    413: ("Content Too Large", "The request's body is larger than 64 KiB."),
    414: ("URI Too Long", REFUSED),
    431: ("Request Header Fields Too Large", REFUSED),
    500: ("Internal Server Error", REFUSED),
    501: ("Not Implemented", REFUSED),
    502: ("Bad Gateway", UNREACHABLE),
    503: ("Service Unavailable", "Too many requests with a body at once. Try again in a few seconds."),
    504: ("Gateway Timeout", "The API did not answer in time. Try again in a few seconds."),
    505: ("HTTP Version Not Supported", REFUSED),
}


def test_every_error_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locations of the test's own end with the errors that no request can provoke."""
    raised = {status: 494 if status == 431 else status for status in PROBLEMS}
    locations = "".join(f"location = /{status} {{ return {raised[status]}; }}" for status in PROBLEMS)
    before, server, after = front.TEMPLATE.read_text().partition("\nserver {")
    template = tmp_path / "template"
    template.write_text(f"{before}{server}{locations}{after}")
    monkeypatch.setattr(front, "TEMPLATE", template)
    with running_front(tmp_path, "127.0.0.1:1") as running:
        for status, (title, detail) in PROBLEMS.items():
            response = running.get(f"/{status}")
            problem = response.json()
            assert (response.status_code, problem["status"]) == (status, status)
            assert (problem["title"], problem["detail"]) == (title, detail)
            assert response.headers.get("Retry-After") == ("5" if status in {502, 503, 504} else None)
            assert response.headers.get("Allow") == ("GET, HEAD" if status == 405 else None)


def test_malformed_requests_are_answered_cleanly(site: Front) -> None:
    for data in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n",
    ):
        answer = site.send(data)
        assert answer.startswith(b"HTTP/1.1 400 "), data
        head, body = answer.split(b"\r\n\r\n")
        assert json.loads(body)["status"] == 400
        assert b"Content-Security-Policy: default-src 'none'" in head
        assert b"nginx/" not in answer


def test_405_names_the_allowed_methods_once(site: Front) -> None:
    assert site.request("POST", "/app.css").headers["Allow"] == "GET, HEAD"
    allowed_by_api = site.request("POST", "/api/version").headers["Allow"]
    assert sorted(allowed_by_api.split(", ")) == ["GET", "HEAD", "OPTIONS"]
    assert "Allow" not in site.get("/missing").headers


def test_head_has_the_headers_of_get(site: Front) -> None:
    response = site.request("HEAD", "/")
    assert response.status_code == 200
    assert response.content == b""
    assert_hardened(response)


def test_each_file_is_revalidated_not_downloaded_again(site: Front) -> None:
    for path, media_type in FILES.items():
        first = site.get(path)
        assert first.headers["Content-Type"] == media_type
        second = site.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert second.status_code == 304, path
        assert second.headers["Cache-Control"] == "no-cache"
        assert second.headers["Vary"] == first.headers["Vary"] == "Accept-Encoding"
        assert_hardened(second)


def test_replicas_give_the_same_etag(site: Front, lonely: Front) -> None:
    for path in FILES:
        assert site.get(path).headers["ETag"] == lonely.get(path).headers["ETag"]


def test_text_is_compressed_when_asked_for(site: Front) -> None:
    for path in ("/", "/app.css", "/app.js"):
        plain = site.get(path, headers={"Accept-Encoding": "identity"})
        packed = site.get(path, headers={"Accept-Encoding": "gzip"})
        assert "Content-Encoding" not in plain.headers
        assert packed.headers["Content-Encoding"] == "gzip"
        assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
        assert packed.content == plain.content


@pytest.mark.parametrize(
    "media_type", ["text/css", "text/javascript", "image/svg+xml", "application/json", "application/problem+json"]
)
def test_what_is_compressed(staged: Front, script: ScriptedApi, media_type: str) -> None:
    for kind, length, encoding in ((media_type, 255, None), (media_type, 256, "gzip"), ("image/png", 256, None)):
        script.answer(200, b"x" * length, kind)
        assert staged.get("/api/").headers.get("Content-Encoding") == encoding


def test_file_of_an_unknown_type_is_not_guessed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = shutil.copytree(front.SITE, tmp_path / "site")
    (site / "file.unknown").write_text("<script>")
    monkeypatch.setattr(front, "SITE", site)
    with running_front(tmp_path, "127.0.0.1:1") as running:
        assert running.get("/file.unknown").headers["Content-Type"] == "application/octet-stream"


def test_config_is_what_the_file_holds_now(staged: Front) -> None:
    assert staged.get("/config.json").json() == CONFIGURATION
    staged.config.write_text('{"version": "v2"}')
    staged.config.with_name("config.json.bak").write_text("not for the public")
    assert staged.get("/config.json.bak").status_code == 404
    assert staged.get("/config.json").json() == {"version": "v2"}


def test_api_paths_lose_their_prefix(staged: Front, script: ScriptedApi) -> None:
    staged.get("/api/version?a=b")
    staged.get("/api/")
    assert [received.path for received in script.requests] == ["/version?a=b", "/"]
    redirect = staged.get("/api")
    assert (redirect.status_code, redirect.headers["Location"]) == (301, "/api/")


def test_api_learns_who_asks_from_nginx_alone(staged: Front, script: ScriptedApi) -> None:
    claims = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "//me"}
    staged.get("/api/", headers=claims | {"Host": "datapress.example:30080"})
    received = script.requests[0].headers
    assert received["X-Forwarded-For"] == "127.0.0.1"
    assert received["X-Forwarded-Proto"] == "http"
    assert received["X-Forwarded-Prefix"] == "/api"
    assert received["Host"] == "datapress.example:30080"
    assert "Connection" not in received


@pytest.mark.parametrize("wanted", ["a", "Trace-1.2_3", "x" * 64])
def test_well_formed_request_id_is_kept(staged: Front, script: ScriptedApi, wanted: str) -> None:
    script.headers = {"X-Request-ID": "the-api-echoes-one-too"}
    response = staged.get("/api/", headers={"X-Request-ID": wanted})
    assert response.headers["X-Request-ID"] == wanted
    assert script.requests[0].headers["X-Request-ID"] == wanted
    assert staged.log_line(f'"{wanted}"')["request_id"] == wanted


@pytest.mark.parametrize("wanted", ["", "x" * 65, "a b", 'a"b', "é".encode("latin-1").decode("latin-1")])
def test_ill_formed_request_id_is_replaced(staged: Front, script: ScriptedApi, wanted: str) -> None:
    response = staged.get("/api/", headers={"X-Request-ID": wanted})
    given = response.headers["X-Request-ID"]
    assert re.fullmatch("[0-9a-f]{32}", given)
    assert script.requests[0].headers["X-Request-ID"] == given


def test_request_id_is_the_same_in_the_logs_of_both(site: Front, api: str) -> None:
    response = site.get("/api/unknown")
    assert response.json()["request_id"] == response.headers["X-Request-ID"]
    assert site.log_line(response.headers["X-Request-ID"])["upstream"] == api


@pytest.mark.parametrize("seconds", [0.15, 1.05])  # NGINX writes these as 0.150 and 1.050
def test_log_line(staged: Front, script: ScriptedApi, seconds: float) -> None:
    script.gate.clear()
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(staged.request, "POST", "/api/é?secret=1", headers={"X-Request-ID": "one"})
        while not script.requests:
            time.sleep(0.01)
        time.sleep(seconds)
        script.gate.set()
        response = answer.result()
    line = staged.log_line('"one"')
    assert abs(time.time() - time.mktime(time.strptime(line["ts"][:19], "%Y-%m-%dT%H:%M:%S")) + time.timezone) < 60
    assert re.fullmatch(r".{19}\.\d{3}\+00:00", line["ts"])
    assert (line["level"], line["msg"], line["method"], line["path"]) == ("info", "request", "POST", "/api/%C3%A9")
    assert line["status"] == response.status_code == 200
    assert -10 <= line["duration_ms"] - seconds * 1000 < 2000
    assert line["bytes"] > len(response.content)
    assert line["upstream_status"] == "200"
    assert abs(float(line["upstream_duration_s"]) * 1000 - line["duration_ms"]) < 500


def test_log_tells_the_method_that_was_sent(lonely: Front) -> None:
    refused = lonely.request("POST", "/app.css")
    line = lonely.log_line(refused.headers["X-Request-ID"])
    assert (line["method"], line["path"], line["status"], line["level"]) == ("POST", "/app.css", 405, "info")
    failed = lonely.get("/api/")
    assert lonely.log_line(failed.headers["X-Request-ID"])["level"] == "error"


def test_every_access_line_is_json_and_probes_leave_none(staged: Front) -> None:
    staged.get("/healthz")
    staged.send(b'GET /"\\ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    staged.send(b'\x16\x03\x01 "\\\xff\r\n\r\n')
    staged.get("/missing")
    expected = {('/"\\', 404), ("", 400), ("/missing", 404)}
    # Two workers write, each when it has answered.
    deadline = time.monotonic() + 5
    while len(lines := staged.log.read_text().splitlines()) < len(expected) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert sorted((line["path"], line["status"]) for line in map(json.loads, lines)) == sorted(expected)


def test_dotfile_that_exists_is_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = shutil.copytree(front.SITE, tmp_path / "site")
    (site / ".env").write_text("secret")
    monkeypatch.setattr(front, "SITE", site)
    with running_front(tmp_path, "127.0.0.1:1") as running:
        assert running.get("/app.css").status_code == 200
        assert running.get("/.env").status_code == 404


def test_page_is_served_without_an_api(lonely: Front) -> None:
    assert "DataPress – POC" in lonely.get("/").text
    assert lonely.get("/healthz").text == "ok\n"


def test_api_down_is_a_problem_document(lonely: Front) -> None:
    started = time.monotonic()
    response = lonely.get("/api/")
    assert time.monotonic() - started < 1
    assert (response.status_code, response.headers["Content-Type"]) == (502, PROBLEM)
    assert response.headers["Retry-After"] == "5"
    assert_hardened(response)


def test_api_answers_of_its_own_pass_unchanged(staged: Front, script: ScriptedApi) -> None:
    script.answer(503, b'{"detail": "mine"}', PROBLEM)
    response = staged.get("/api/")
    assert (response.status_code, response.content) == (503, b'{"detail": "mine"}')
    assert "Retry-After" not in response.headers
    assert_hardened(response)


def test_body_of_the_size_limit_passes(staged: Front, script: ScriptedApi) -> None:
    assert staged.request("POST", "/api/", data=b"x" * 65_536).status_code == 200
    assert staged.request("POST", "/api/", data=b"x" * 65_537).status_code == 413
    assert len(script.requests) == 1
    assert "temporary file" not in staged.log.read_text()


def test_big_answer_is_not_spooled_to_disk(staged: Front, script: ScriptedApi) -> None:
    """To a client that reads slowly; NGINX would log it."""
    size = 16 * 1024 * 1024
    script.answer(200, b"x" * size)
    with socket.create_connection(("127.0.0.1", staged.port), timeout=10) as connection:
        connection.sendall(b"GET /api/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        time.sleep(0.3)
        assert len(b"".join(iter(lambda: connection.recv(65536), b""))) > size
    assert "temporary file" not in staged.log.read_text()


def test_nginx_writes_under_its_prefix_alone(staged: Front) -> None:
    staged.get("/healthz")
    given = {"config", "conf.d", "html", "nginx.conf", "log"}
    written = {path.name for path in staged.log.parent.iterdir()} - given
    assert written == {"nginx.pid", "client_temp", "proxy_temp", "fastcgi_temp", "uwsgi_temp", "scgi_temp"}


# What no request of a test shows; the reasons stand beside the directives.
SETTINGS = {
    "error_log": [["stderr", "warn"]],
    "worker_processes": [["2"]],
    "worker_connections": [["1024"]],
    "worker_rlimit_nofile": [["2048"]],
    "sendfile": [["on"]],
    "tcp_nopush": [["on"]],
    "resolver": [["${NGINX_LOCAL_RESOLVERS}", "valid=5s"]],
    "resolver_timeout": [["2s"]],
    "zone": [["api", "64k"]],
    "keepalive": [["16"]],
    "client_header_timeout": [["5s"]],
    "client_body_timeout": [["5s"]],
    "send_timeout": [["5s"]],
    "lingering_time": [["5s"]],
    "large_client_header_buffers": [["2", "8k"]],
    "limit_conn_zone": [["$body", "zone=bodies:32k"]],
    "limit_conn_log_level": [["info"]],
    "proxy_connect_timeout": [["2s"]],
}


def test_settings() -> None:
    assert {name: arguments(name) for name in SETTINGS} == SETTINGS
    assert arguments("client_body_buffer_size") == arguments("client_max_body_size")
    assert arguments("proxy_send_timeout") == arguments("proxy_read_timeout")


def test_upstream_connections_are_kept(staged: Front, script: ScriptedApi) -> None:
    for _ in range(9):
        staged.get("/api/")
    assert len({received.peer for received in script.requests}) <= 2  # one for each of the two workers


def pod_of(name: str) -> dict[str, Any]:
    deployment = yaml.safe_load((REPOSITORY / "deploy" / "base" / name / "deployment.yaml").read_text())
    pod: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return pod


def seconds_before_the_end(pod: dict[str, Any]) -> int:
    """Return how long a pod serves on while it leaves the Service."""
    (container,) = pod["containers"]
    seconds: int = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    return seconds


def in_seconds(time: str) -> int:
    return int(time.removesuffix("s"))


def test_kept_connections_end_before_a_leaving_pod_does(site: Front) -> None:
    """Each kept connection lasts at most keepalive_time + keepalive_timeout, and must not outlast the preStop sleep."""
    longest = [in_seconds(longest) for (longest,) in arguments("keepalive_time")]
    idle = [in_seconds(idle) for idle, *_ in arguments("keepalive_timeout")]
    for name, whole in zip(("api", "front"), map(sum, zip(longest, idle, strict=True)), strict=True):
        assert whole < seconds_before_the_end(pod_of(name)), name
    assert site.get("/").headers["Keep-Alive"] == "timeout=4", "the client is to end an idle connection first"


def test_drain_fits_in_the_grace_period() -> None:
    """Both are counted from the pod's deletion."""
    ((longest,),) = arguments("worker_shutdown_timeout")
    pod = pod_of("front")
    assert seconds_before_the_end(pod) + in_seconds(longest) < pod["terminationGracePeriodSeconds"]


@contextlib.contextmanager
def front_before(directory: Path, script: ScriptedApi, servers: int) -> Iterator[Front]:
    """A front before several addresses of the API, the last of which has the template's own parameters."""
    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(scripted_server(script)) for _ in range(servers)]
        several = " max_fails=0; server ".join(f"127.0.0.1:{port}" for port in ports)
        yield stack.enter_context(running_front(directory, several))


@pytest.mark.parametrize("name", ["Host", "Referer", "path"])
def test_what_nginx_repeats_in_its_logs_is_printable(tmp_path: Path, name: str) -> None:
    put = {"Host": b"a", "Referer": b"b", "path": b""} | {name: b"\xc2\x9b31m\xff"}
    head = b"POST /api/%s HTTP/1.1\r\nHost: %s\r\nReferer: %s\r\nX-Request-ID: odd\r\nContent-Length: 99999\r\n\r\n"
    with running_front(tmp_path, f"127.0.0.1:{free_port()}") as running:
        assert running.send(head % (put["path"], put["Host"], put["Referer"])).startswith(b"HTTP/1.1 400 ")
        line = running.log_line("odd")
    assert (line["path"], line["status"]) == ("/api/", 400)
    assert re.fullmatch(rb"[ -~\n]+", running.log.read_bytes())


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "0"}])
def test_requests_without_a_body_are_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: ScriptedApi, headers: dict[str, str]
) -> None:
    template = tmp_path / "template"
    text, count = re.subn(r"limit_conn bodies \d+", "limit_conn bodies 1", front.TEMPLATE.read_text())
    assert count == 1
    template.write_text(text)
    monkeypatch.setattr(front, "TEMPLATE", template)
    script.gate.clear()
    with (
        scripted_server(script) as port,
        running_front(tmp_path, f"127.0.0.1:{port}") as running,
        ThreadPoolExecutor() as pool,
    ):
        answers = [pool.submit(running.get, "/api/", headers=headers) for _ in range(3)]
        eventually(lambda: len(script.requests) == 3)
        script.gate.set()
        assert [answer.result().status_code for answer in answers] == [200, 200, 200]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    ],
)
def test_what_a_client_cannot_ask_for_is_no_error_of_ours(site: Front, sent: bytes, status: int) -> None:
    (request_id,) = re.findall(rb"X-Request-ID: (\S+)", site.send(sent))
    line = site.log_line(request_id.decode())
    assert (line["status"], line["level"]) == (status, "info")


def test_bodies_that_never_end_leave_room_for_all_other_requests(site: Front) -> None:
    endless = b"POST /api/version HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n1"
    allowed = int(re.findall(r"limit_conn bodies (\d+);", front.TEMPLATE.read_text())[0])
    with contextlib.ExitStack() as stack:
        # Some more than are allowed: on a busy machine, one of them was seen not to count before its time was over.
        for _ in range(allowed + 8):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", site.port)))
            connection.sendall(endless)
        eventually(lambda: site.request("POST", "/api/version", data="1").status_code == 503)
        refused = site.request("POST", "/api/version", data="1")
        assert refused.headers["Retry-After"] == "5"
        assert refused.json()["detail"].startswith("Too many requests with a body")
        assert site.request("POST", "/api/version").status_code == 405
        assert site.get("/api/").status_code == 200
    eventually(lambda: site.request("POST", "/api/version", data="1").status_code == 405)


def test_what_all_connections_may_hold_fits_in_the_pod_s_memory() -> None:
    """As measured in docs/decisions/0013-clients-hostiles.md, NGINX needs this beside the buffers that we set."""
    own, of_a_connection = 10 * 1024, 13  # KiB
    settings = front.TEMPLATE.read_text() + (front.FRONT / "nginx.conf").read_text()

    def numbers(pattern: str) -> list[int]:
        return [int(number) for number in re.search(pattern, settings).groups()]  # type: ignore[union-attr]

    workers, connections = numbers(r"worker_processes (\d+);") + numbers(r"worker_connections (\d+);")
    heads, size = numbers(r"large_client_header_buffers (\d+) (\d+)k;")
    bodies, body = numbers(r"limit_conn bodies (\d+);") + numbers(r"client_body_buffer_size (\d+)k;")
    most = own + workers * connections * (of_a_connection + 1 + heads * size) + bodies * body
    deployment = yaml.safe_load((REPOSITORY / "deploy" / "base" / "front" / "deployment.yaml").read_text())
    limit = deployment["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"]
    assert most * 1.1 < int(limit.removesuffix("Mi")) * 1024


@pytest.mark.parametrize(("method", "tries"), [("GET", 2), ("POST", 1)])
def test_only_what_is_safe_to_repeat_is_repeated(tmp_path: Path, method: str, tries: int) -> None:
    script = ScriptedApi(hang_up=True)
    with front_before(tmp_path, script, servers=3) as running:
        assert running.request(method, "/api/").status_code == 502
    assert len(script.requests) == tries


def test_address_that_failed_is_tried_again(tmp_path: Path) -> None:
    script = ScriptedApi(hang_up=True)
    with front_before(tmp_path, script, servers=2) as running:
        for _ in range(3):
            assert running.get("/api/").status_code == 502
    assert len(script.requests) == 3 * 2


def test_a_slow_api_is_given_up_before_the_page_gives_up(tmp_path: Path) -> None:
    script = ScriptedApi()
    script.gate.clear()
    with front_before(tmp_path, script, servers=2) as running:
        started = time.monotonic()
        response = running.get("/api/")
        assert 4.4 < time.monotonic() - started < 5
    assert (response.status_code, response.headers["Content-Type"]) == (504, PROBLEM)
    assert len(script.requests) == 1


def test_stop_finishes_what_runs(tmp_path: Path) -> None:
    script = ScriptedApi()
    script.gate.clear()
    with (
        scripted_server(script) as port,
        running_front(tmp_path, f"127.0.0.1:{port}") as running,
        ThreadPoolExecutor() as pool,
    ):
        answer = pool.submit(running.get, "/api/")
        while not script.requests:
            time.sleep(0.01)
        running.process.send_signal(signal.SIGQUIT)
        wait_until_refused(running)
        script.gate.set()
        assert answer.result().status_code == 200
        assert running.process.wait(5) == 0


def wait_until_refused(running: Front) -> None:
    with contextlib.suppress(requests.ConnectionError):
        while True:
            running.get("/healthz")


def test_configuration_is_valid_and_lint_finds_nothing(tmp_path: Path) -> None:
    command = front.prepare(tmp_path, api_server="127.0.0.1:1", port=1)
    subprocess.run([*command, "-t", "-q"], cwd=tmp_path, check=True)
    # proxy_pass_normalized warns of encoded slashes in a path, which NGINX decodes: no path of the API holds one.
    gixy = [f"{VENV_BIN}/gixy", "--skips", "proxy_pass_normalized", f"{tmp_path}/nginx.conf"]
    lint = subprocess.run(gixy, capture_output=True, text=True, check=False)
    assert "No issues found" in lint.stdout, lint.stdout
