"""What the tests of tools/ share: a copy of the repository to edit, and programs that note how they are called."""

import shutil
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from shlex import quote

import pytest

from tools.manifests import Manifest
from tools.render import render
from tools.repository import OVERLAYS, REPOSITORY


@cache
def rendered(environment: str) -> list[Manifest]:
    """Return the manifests of an overlay; kubectl takes its time."""
    return render(OVERLAYS / environment)


class Fakes:
    """Programs that stand in for others at the front of PATH."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def add(self, name: str, answers: Mapping[str, tuple[int, str]] | None = None) -> None:
        """Make a program, or tell one what to answer: part of its command line → its exit status and what it says."""
        cases = "".join(
            f"*{quote(key)}*) echo {quote(said)} >&{2 if status else 1}; exit {status} ;;\n"
            for key, (status, said) in (answers or {}).items()
        )
        program = self.directory / name
        program.write_text(
            f'#!/bin/sh\nline="{name} $*"\necho "$line" >>{quote(str(self.directory / "calls"))}\n'
            f'case "$line" in\n{cases}esac\n'
        )
        program.chmod(0o755)

    def calls(self, start: str = "") -> list[str]:
        """Return the command lines so far that start with something."""
        noted = self.directory / "calls"
        return [line for line in noted.read_text().splitlines() if line.startswith(start)] if noted.exists() else []


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
