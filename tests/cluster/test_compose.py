"""Development mode: `docker compose up --build` gives both services, hardened, and the page's source live."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Page

from tests.support.cluster import press_button
from tests.support.product import BY_HAND, PREFIX
from tools.repository import REPOSITORY

API_URL = "http://127.0.0.1:8080"
FRONT_URL = "http://127.0.0.1:8081"


def _compose(project: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["docker", "compose", "--project-name", f"{PREFIX}-e2e", "--project-directory", project, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A fresh checkout's files, running; a copy, so that a test may edit the page."""
    copy = tmp_path_factory.mktemp("compose")
    copy.chmod(0o755)  # the containers' users read the mounted page
    listed = subprocess.run(
        [
            "git",
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
            "docker-compose.yml",
            "src",
            f"deploy/overlays/{BY_HAND}",
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((REPOSITORY / name).read_bytes())
    try:
        _compose(copy, "up", "--build", "--detach", "--wait", "--wait-timeout", "120")
        yield copy
    finally:
        _compose(copy, "down", "--timeout", "5", "--rmi", "local", "--volumes")


def test_api_and_page_answer(project: Path, page: Page) -> None:
    assert project.exists()
    assert requests.get(f"{API_URL}/health", timeout=5).json() == {"status": "ok"}
    assert press_button(page, FRONT_URL)["service"] == "api"
    assert requests.get(f"{FRONT_URL}/config.json", timeout=5).json()["environment"] == BY_HAND


@pytest.mark.parametrize("service", ["api", "front"])
def test_container_is_as_hardened_as_the_pod(project: Path, service: str) -> None:
    (container,) = _inspect(_compose(project, "ps", "--quiet", service).strip())
    host = container["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["Memory"] == {"api": 128, "front": 96}[service] * 2**20
    assert host["PidsLimit"] == 64
    assert container["State"]["Health"]["Status"] == "healthy"
    assert {b["HostIp"] for bindings in host["PortBindings"].values() for b in bindings} == {"127.0.0.1"}


def test_an_edit_of_the_page_shows_on_reload(project: Path, page: Page) -> None:
    page.goto(FRONT_URL)
    source = project / "src" / "front" / "site" / "index.html"
    source.write_text(source.read_text().replace("<title>DataPress – POC</title>", "<title>Titre modifié</title>"))
    page.reload()
    assert page.title() == "Titre modifié"


def test_a_mount_that_cannot_be_read_is_told(project: Path) -> None:
    page = project / "src" / "front" / "site" / "index.html"
    page.chmod(0o600)
    try:
        with pytest.raises(AssertionError, match="front"):
            _compose(project, "up", "--detach", "--force-recreate", "--wait", "--wait-timeout", "30", "front")
        assert "chmod -R go+rX src/front/site" in _compose(project, "logs", "front")
    finally:
        page.chmod(0o644)
        _compose(project, "up", "--detach", "--wait", "--wait-timeout", "60")


def _inspect(container: str) -> list[dict[str, Any]]:
    done = subprocess.run(["docker", "inspect", container], capture_output=True, text=True, check=True)
    inspected: list[dict[str, Any]] = json.loads(done.stdout)
    return inspected
