"""Clones of this repository, in which a test does what a developer would."""

import json
import os
from pathlib import Path

from tests.support.git import git
from tools.repository import REPOSITORY, VENV_BIN

STAMPS = {".installed"}
INSTALLED = {"bin", "nginx", "mermaid"}  # of .build; what else is there, a clone makes for itself
# What the packages of requirements/test.txt, which the tests run with, contain as well.
OF_TEST = {".venv": {"run.installed", "go.installed", "seal.installed"}, ".build": set[str]()}


def shell_environment() -> dict[str, str]:
    """Return what a shell has, without what the make that runs the tests tells its own children and tests."""
    told = ("MAKE", "MFLAGS", "PYTEST_", "CURRENT_DOCUMENTS")
    return {name: value for name, value in os.environ.items() if not name.startswith(told)}


def make_origin(directory: Path) -> Path:
    """Make a bare repository whose main is what is committed here."""
    origin = directory / "origin.git"
    git(directory, "clone", "--quiet", "--bare", REPOSITORY, origin)
    git(origin, "update-ref", "refs/heads/main", git(REPOSITORY, "rev-parse", "HEAD"))
    git(origin, "symbolic-ref", "HEAD", "refs/heads/main")
    return origin


def make_clone(origin: Path, path: Path) -> Path:
    """Clone a repository, and lend the clone what `make` has installed here: a test installs nothing."""
    git(origin, "clone", "--quiet", origin, path)
    lend_packages(path)
    return path


def lend_packages(clone: Path) -> None:
    """Give a clone what tools/setup.sh has installed and built here."""
    for name, directory in {".venv": VENV_BIN.parent, ".build": REPOSITORY / ".build"}.items():
        own = clone / name
        own.mkdir()
        for lent in directory.iterdir():
            if lent.suffix not in STAMPS and (name == ".venv" or lent.name in INSTALLED):
                (own / lent.name).symlink_to(lent)
        for stamp in {lent.name for lent in directory.iterdir() if lent.suffix in STAMPS} | OF_TEST[name]:
            path = own / stamp
            path.touch()
            # Newer than what it is compared with, in whatever order a copy writes its files.
            later = path.stat().st_mtime + 3600
            os.utime(path, (later, later))


def change_banner(overlay: Path, banner: str) -> Path:
    """Have an overlay's page say something else; return the overlay."""
    config = overlay / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "banner": banner}, ensure_ascii=False))
    return overlay
