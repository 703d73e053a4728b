"""What the tests of tools/ share: a copy of the repository to edit."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.repository import REPOSITORY


@pytest.fixture(scope="session")
def copy_repository() -> Callable[[Path], Path]:
    """A function that copies what `tools.run` reads, so that a test may edit it."""

    def copy(into: Path) -> Path:
        for name in ("src", "deploy", "tools"):
            shutil.copytree(REPOSITORY / name, into / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(REPOSITORY / "pyproject.toml", into)
        (into / ".build").mkdir()
        (into / ".build" / "bin").symlink_to(REPOSITORY / ".build" / "bin")
        return into

    return copy
