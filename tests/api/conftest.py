"""Fixtures: the application by itself, and the one that gunicorn serves."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from datapress_api.app import create_app
from datapress_api.metrics import Metrics
from datapress_api.settings import Settings
from tests.support.gunicorn_server import CONFIGURATION, Server

StartServer = Callable[..., Server]


@pytest.fixture
def settings() -> Settings:
    return Settings(environment="recette", db_password="demo-x", version="1.2.3", revision="0a1b2c3")


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def app(settings: Settings, metrics: Metrics) -> Flask:
    return create_app(settings, metrics)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Start a gunicorn for one test: keywords are environment variables."""
    servers: list[Server] = []

    def start(configuration: Path = CONFIGURATION, **environ: str) -> Server:
        servers.append(Server(tmp_path, configuration, **environ))
        servers[-1].wait_until_ready()
        return servers[-1]

    yield start
    for server in servers:
        server.process.kill()
        server.process.wait()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The gunicorn of the tests that leave it as they found it."""
    server = Server(tmp_path_factory.mktemp("api"), CONFIGURATION, APP_VERSION="1.2.3", APP_REVISION="0a1b2c3")
    server.wait_until_ready()
    yield server
    assert server.stop() == 0
    assert server.lines(), "every line that it printed was JSON"
