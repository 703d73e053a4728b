"""openapi.yaml and the API agree: all that it describes occurs, and nothing occurs that it does not describe."""

from typing import Any

import pytest
import schemathesis
import yaml
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import settings
from jsonschema import Draft202012Validator

from datapress_api.app import create_app
from datapress_api.metrics import Metrics
from datapress_api.settings import Settings
from tests.support.gunicorn_server import CONFIGURATION, Server

Case = schemathesis.Case[Any]
PATH = CONFIGURATION.with_name("openapi.yaml")
DESCRIPTION = yaml.safe_load(PATH.read_text())
PROBLEM = Draft202012Validator(DESCRIPTION["components"]["schemas"]["Problem"])

in_process = schemathesis.openapi.from_path(PATH)
in_process.app = create_app(Settings(environment="dev", db_password="demo-x"), Metrics())
served = schemathesis.openapi.from_path(PATH)


@in_process.parametrize()
@settings(max_examples=30, deadline=None)
def test_application_keeps_to_the_description(case: Case) -> None:
    case.call_and_validate()


@served.parametrize()
@settings(max_examples=10, deadline=None)
def test_server_keeps_to_the_description(case: Case, server: Server) -> None:
    case.call_and_validate(base_url=f"http://127.0.0.1:{server.port}")


def test_describes_every_operation_and_no_other(app: Flask) -> None:
    described = {(path, method.upper()) for path, item in DESCRIPTION["paths"].items() for method in item}
    answered = {(rule.rule, method) for rule in app.url_map.iter_rules() for method in rule.methods or ()}
    assert described - {(path, "PARAMETERS") for path in DESCRIPTION["paths"]} == answered


@pytest.mark.parametrize("path", DESCRIPTION["paths"])
@pytest.mark.parametrize("method", ["get", "head", "options"])
def test_described_answer_and_headers_occur(client: FlaskClient, path: str, method: str) -> None:
    operation = DESCRIPTION["paths"][path][method]
    query = {one["name"]: one["example"] for one in operation.get("parameters", []) if one.get("in") == "query"}
    answer = client.open(path, method=method.upper(), query_string=query)
    [status] = operation["responses"].keys() - {"default"}
    assert answer.status_code == int(status)
    assert set(answer.headers.keys()) >= operation["responses"][status]["headers"].keys()


def test_described_problem_occurs(client: FlaskClient, server: Server) -> None:
    PROBLEM.validate(client.get("/nothing").json)
    PROBLEM.validate(client.post("/").json)
    PROBLEM.validate(server.send(b"GET / HTTP/1.1\r\nHost: test\r\nContent-Length: 65537\r\n\r\n").json)
