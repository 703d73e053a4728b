"""Clones of this repository, in which a test does what a developer would."""

import os
import subprocess
from pathlib import Path

from tools.render import REPOSITORY, VENV_BIN

# Who commits in them.
IDENTITY = {f"GIT_{role}_{what}": "test" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}

STAMPS = {".installed", ".built"}
PRODUCTS = {"rendered", "diagnosis"}  # of .build; a clone makes its own
# What the packages of requirements/dev.txt, which the tests run with, contain as well.
OF_DEV = {".venv": {"run.installed", "check.installed"}, ".build": set[str]()}


def make_origin(directory: Path) -> Path:
    """Make a bare repository whose main is what is committed here."""
    origin = directory / "origin.git"
    subprocess.run(["git", "clone", "--quiet", "--bare", REPOSITORY, origin], check=True)
    head = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=REPOSITORY, text=True).strip()
    subprocess.run(["git", "update-ref", "refs/heads/main", head], cwd=origin, check=True)
    subprocess.run(["git", "symbolic-ref", "HEAD", "refs/heads/main"], cwd=origin, check=True)
    return origin


def make_clone(origin: Path, path: Path) -> Path:
    """Clone a repository, and lend the clone what `make` has installed here: a test installs nothing."""
    subprocess.run(["git", "clone", "--quiet", origin, path], check=True)
    lend_packages(path)
    return path


def lend_packages(clone: Path) -> None:
    """Give a clone what tools/setup.sh has installed and built here."""
    for directory in (VENV_BIN.parent, REPOSITORY / ".build"):
        own = clone / directory.name
        own.mkdir()
        for lent in directory.iterdir():
            if lent.suffix in STAMPS or lent.name in PRODUCTS:
                continue
            (own / lent.name).symlink_to(lent)
        for stamp in {lent.name for lent in directory.iterdir() if lent.suffix in STAMPS} | OF_DEV[directory.name]:
            path = own / stamp
            path.touch()
            # Newer than what it is compared with, in whatever order a copy writes its files.
            later = path.stat().st_mtime + 3600
            os.utime(path, (later, later))


def git(directory: Path, *arguments: str | Path) -> str:
    """Run Git, and return what it says."""
    environ = os.environ | IDENTITY
    return subprocess.check_output(["git", *arguments], cwd=directory, env=environ, text=True).strip()
