"""A front before the real API, before one that a test plays, and before none.

Needs what `tools/setup.sh test` installs: NGINX, Chromium, and the packages of requirements/test.txt.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.front_server import Front, ScriptedApi, running_front, scripted_server
from tests.support.gunicorn_server import CONFIGURATION, Server
from tests.support.product import FOLLOWED
from tools.local.ports import free_port


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The product's API under gunicorn, as in its image; its address and port."""
    server = Server(tmp_path_factory.mktemp("api"), CONFIGURATION, APP_ENV=FOLLOWED)
    server.wait_until_ready()
    yield f"127.0.0.1:{server.port}"
    server.stop()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, api: str) -> Iterator[Front]:
    """The whole product: NGINX before the real API."""
    with running_front(tmp_path_factory.mktemp("site"), api) as running:
        yield running


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
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    return browser_context_args | {"locale": "fr-FR"}
