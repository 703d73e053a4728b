"""The commands of the documents that need no cluster, run as they stand there."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.clones import git, lend_packages, make_clone, make_origin
from tests.docs.commands import commands, run
from tools.render import OVERLAYS, REPOSITORY

CONFIG = OVERLAYS.relative_to(REPOSITORY) / "recette" / "config.json"
PUBLIC = "https://github.com/datapress/datapress.git"
PATIENCE = 30  # seconds


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def running(text: str, directory: Path, **variables: str) -> Iterator[None]:
    """Commands that go on until somebody types Ctrl-C."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    process = subprocess.Popen(
        ["bash", "-c", text], cwd=directory, env=environ | variables, start_new_session=True, stdout=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(PATIENCE)


def answer(url: str) -> str:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return str(response.read().decode())
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def test_two_commands_to_the_page(tmp_path: Path) -> None:
    first, second = commands("README.md", "Run it").splitlines()
    # What Git is told, so that the address of the README leads here.
    here = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{make_origin(tmp_path)}.insteadOf",
        "GIT_CONFIG_VALUE_0": PUBLIC,
    }
    home = tmp_path / "home"
    home.mkdir()
    clone = Path(run(f"{first}\npwd", home, **here).splitlines()[-1])
    lend_packages(clone)
    api, front, metrics = free_ports(3)
    with running(second, clone, API_PORT=str(api), FRONT_PORT=str(front), METRICS_PORT=str(metrics)):
        assert "<title>DataPress – POC</title>" in answer(f"http://127.0.0.1:{front}/")
        assert json.loads(answer(f"http://127.0.0.1:{front}/api/"))["service"] == "api"
        assert json.loads(answer(f"http://127.0.0.1:{api}/health")) == {"status": "ok"}


def test_preview_shows_what_a_merge_would_change(tmp_path: Path) -> None:
    clone = make_clone(make_origin(tmp_path), tmp_path / "clone")
    preview = commands("docs/runbooks/previsualiser.md", "Sans cluster")
    assert "recette: nothing changes" in run(preview, clone)
    config = clone / CONFIG
    config.write_text(config.read_text().replace("Environnement de recette", "Autre bannière"))
    git(clone, "commit", "--quiet", "--all", "--message=not merged")
    lines = [line.strip() for line in run(preview, clone).splitlines()]
    assert lines[0].startswith("The files here, against origin/main (")
    assert any(line.startswith("- Environnement de recette") for line in lines)
    assert any(line.startswith("+ Autre bannière") for line in lines)
    (restarts,) = [line for line in lines if line.startswith("restarts")]
    assert "Deployment datapress-api, Deployment datapress-front: 2 pods, 1 at a time" in restarts


def test_three_questions_before_a_change(tmp_path: Path) -> None:
    clone = make_clone(make_origin(tmp_path), tmp_path / "clone")
    asked = commands("docs/documentation-technique.md", "5.2 Avant de proposer une modification")
    said = run(asked, clone)
    assert "recette: nothing changes" in said
    assert "namespace\n  dev      datapress-dev\n  recette  datapress-recette\n" in said
