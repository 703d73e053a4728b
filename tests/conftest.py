"""What tests of all kinds share: a browser, a clone of this repository, and programs that stand in for others."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.clones import make_clone, make_origin
from tests.support.programs import Fakes
from tools.command import leave_callers_repository

# Before any module of tests is read: in a hook of Git, what a test does in a repository of its own would be done here.
leave_callers_repository()

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    """The system's Chromium, without its own traffic to the outside; pytest-playwright reads this fixture."""
    return {
        "executable_path": next(filter(None, map(shutil.which, BROWSERS)), None),
        "args": [
            "--no-sandbox",  # containers and CI run as root, where Chromium's sandbox refuses to start
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-quic",
        ],
    }


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A developer's clone, whose origin has what is committed here."""
    return make_clone(make_origin(tmp_path), tmp_path / "clone")


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fakes:
    """The only programs on PATH, besides Git."""
    directory = tmp_path / "bin"
    directory.mkdir()
    git = shutil.which("git")
    assert git
    (directory / "git").symlink_to(git)
    monkeypatch.setenv("PATH", str(directory))
    return Fakes(directory)
