"""What tests of all kinds share: a browser, and a clone of this repository."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.clones import make_clone, make_origin


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    """The system's Chromium, without its own traffic to the outside; pytest-playwright reads this fixture."""
    return {
        "executable_path": shutil.which("chromium") or shutil.which("chromium-browser"),
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
