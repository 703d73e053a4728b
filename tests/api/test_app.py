"""The application by itself: answers, problem documents, request ids, log lines, metrics."""

import json
import logging
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from wsgiref.simple_server import make_server

import pytest
import yaml
from flask import Flask, request
from flask.testing import FlaskClient

from datapress_api import logs
from datapress_api.app import create_app
from datapress_api.metrics import Metrics
from datapress_api.settings import Settings
from tests.support.front_server import running_front
from tests.support.gunicorn_server import CONFIGURATION


def samples_of(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Return the samples by name and label values."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
    }


def test_a_redirect_leads_back_through_the_front(app: Flask, tmp_path: Path) -> None:
    app.add_url_rule("/items/", "items", lambda: {"asked": request.full_path})
    with make_server("127.0.0.1", 0, app) as server, ThreadPoolExecutor(1) as pool:
        pool.submit(server.serve_forever)
        try:
            with running_front(tmp_path, f"127.0.0.1:{server.server_port}") as front:
                redirect = front.get("/api/items?a=b")
                assert (redirect.status_code, redirect.headers["Location"]) == (308, "/api/items/?a=b")
                assert front.get(redirect.headers["Location"]).json() == {"asked": "/items/?a=b"}
        finally:
            server.shutdown()


def test_index_tells_who_and_when(client: FlaskClient) -> None:
    answer = client.get("/")
    assert answer.content_type == "application/json"
    assert answer.json is not None
    assert answer.json.keys() == {"service", "ts"}
    assert answer.json["service"] == "api"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", answer.json["ts"])
    assert abs(datetime.now(UTC) - datetime.fromisoformat(answer.json["ts"])) < timedelta(seconds=5)


def test_health(client: FlaskClient) -> None:
    assert client.get("/health").json == {"status": "ok"}


def test_version_comes_from_the_settings(client: FlaskClient) -> None:
    assert client.get("/version").json == {"version": "1.2.3", "revision": "0a1b2c3", "environment": "recette"}


@pytest.mark.parametrize("path", ["/", "/nothing"])
def test_no_answer_may_be_cached(client: FlaskClient, path: str) -> None:
    assert client.get(path).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("method", "path", "status", "title", "detail"),
    [
        ("GET", "/nothing", 404, "Not Found", "There is nothing at this path. There is something at: {paths}"),
        ("GET", "/health/", 404, "Not Found", "There is nothing at this path. There is something at: {paths}"),
        ("GET", "/metrics", 404, "Not Found", "There is nothing at this path. There is something at: {paths}"),
        (
            "POST",
            "/version",
            405,
            "Method Not Allowed",
            "This path does not take this method. It takes: GET, HEAD, OPTIONS",
        ),
    ],
)
def test_errors_are_problem_documents(
    client: FlaskClient, method: str, path: str, status: int, title: str, detail: str
) -> None:
    paths = sorted(yaml.safe_load(CONFIGURATION.with_name("openapi.yaml").read_text())["paths"])
    answer = client.open(path, method=method, headers={"X-Request-ID": "abc"})
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    assert json.loads(answer.data) == {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail.format(paths=", ".join(paths)),
        "request_id": "abc",
    }


def test_wrong_method_is_told_the_right_ones(client: FlaskClient) -> None:
    assert set(client.delete("/").headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


def test_fault_of_ours_is_logged_and_not_told(app: Flask, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> str:
        raise RuntimeError("internal matter")

    app.add_url_rule("/fail", view_func=fail)
    handler = logging.StreamHandler()  # made now, so that it writes to what capsys reads
    handler.setFormatter(logs.JsonFormatter())
    app.logger.addHandler(handler)
    try:
        answer = app.test_client().get("/fail", headers={"X-Request-ID": "abc"})
    finally:
        app.logger.removeHandler(handler)
    assert answer.status_code == 500
    assert answer.content_type == "application/problem+json"
    assert "internal matter" not in answer.text
    line = json.loads(capsys.readouterr().err)
    assert (line["level"], line["request_id"], line["path"]) == ("error", "abc", "/fail")
    assert "RuntimeError: internal matter" in line["traceback"]


@pytest.mark.parametrize("given", ["a", "0123-abc_DEF.9", "x" * 64])
def test_well_formed_request_id_is_taken_over(client: FlaskClient, given: str) -> None:
    assert client.get("/", headers={"X-Request-ID": given}).headers["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "é", '"}', "a,b"])
def test_other_request_ids_are_replaced(client: FlaskClient, given: str) -> None:
    made = {client.get("/", headers={"X-Request-ID": given}).headers["X-Request-ID"] for _ in range(3)}
    assert len(made) == 3
    assert all(re.fullmatch("[0-9a-f]{32}", request_id) for request_id in made)


@pytest.fixture
def access_lines(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, dict[str, Any]]]:
    lines: list[tuple[int, dict[str, Any]]] = []
    monkeypatch.setattr("datapress_api.observer.write_access", lambda level, fields: lines.append((level, fields)))
    monkeypatch.setattr(logging.getLogger("datapress_api.observer"), "isEnabledFor", lambda _level: True)
    return lines


def test_each_request_is_logged(client: FlaskClient, access_lines: list[tuple[int, dict[str, Any]]]) -> None:
    client.post("/nothing?name=personal", headers={"X-Request-ID": "abc"})
    [(level, fields)] = access_lines
    duration = fields.pop("duration_ms")
    assert 0 < duration < 5000
    assert level == logging.INFO
    assert fields == {"request_id": "abc", "method": "POST", "path": "/nothing", "status": 404}


@pytest.mark.parametrize(("method", "level"), [("GET", logging.DEBUG), ("DELETE", logging.INFO)])
def test_probes_that_succeed_are_logged_for_debugging_only(
    client: FlaskClient, access_lines: list[tuple[int, dict[str, Any]]], method: str, level: int
) -> None:
    client.open("/health", method=method)
    assert [line[0] for line in access_lines] == [level]


def test_requests_are_counted_by_method_route_and_status(client: FlaskClient, metrics: Metrics) -> None:
    for _ in range(3):
        client.get("/version")
    client.delete("/version")
    samples = samples_of(metrics)
    assert samples["http_requests_total", "GET", "/version", "200"] == 3
    assert samples["http_requests_total", "DELETE", "unmatched", "405"] == 1
    assert samples["http_request_duration_seconds_count", "GET", "/version"] == 3
    assert 0 < samples["http_request_duration_seconds_sum", "GET", "/version"] < 5


def test_a_client_cannot_make_time_series(client: FlaskClient, metrics: Metrics) -> None:
    for number in range(5):
        client.open(f"/{number}", method=f"M{number}")
    counts = {key: value for key, value in samples_of(metrics).items() if key[0] == "http_requests_total"}
    assert counts == {("http_requests_total", "OTHER", "unmatched", "404"): 5}


def test_applications_do_not_share_counters(client: FlaskClient, metrics: Metrics, settings: Settings) -> None:
    other = Metrics()
    create_app(settings, other)
    client.get("/")
    counted = "http_requests_total", "GET", "/", "200"
    assert counted in samples_of(metrics)
    assert counted not in samples_of(other)
