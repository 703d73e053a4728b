"""What a copy of this repository changes, and which of its own tests that turns red."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from zlib import crc32

import pytest

from tests.support.clones import shell_environment
from tests.support.git import git
from tools.repository import OVERLAYS


def replace(path: Path, *changes: tuple[str, str]) -> None:
    """Replace texts of a file that stand there once."""
    text = path.read_text()
    for old, new in changes:
        assert text.count(old) == 1, f"{path} has {text.count(old)} times: {old}"
        text = text.replace(old, new)
    path.write_text(text)


def write(clone: Path, files: Mapping[str, str]) -> None:
    """Add files to a clone, by their paths in it."""
    for name, text in files.items():
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).write_text(text)


def commit(clone: Path) -> None:
    """Commit everything, as the tests of `make diff` and of promotions ask for."""
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "--message=Change this copy")


def failing(clone: Path, *selection: str) -> list[str]:
    """Run tests of a clone on it, another sample in each, and return those that fail, with their reasons."""
    plugins = ("-p", "no:cacheprovider", "-p", "tests.support.sampling")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugins, "--tb=line", *selection],
        cwd=clone,
        env=shell_environment() | {"SAMPLE_FROM": str(crc32(clone.parent.name.encode()))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert re.search(r" passed.* in ", done.stdout), done.stdout[-5000:] + done.stderr[-2000:]
    return re.findall(r"^(?:FAILED|ERROR) tests/.*", done.stdout, re.MULTILINE)


# What the runbooks add, for which a test has no room where somebody has followed one for real.
ENVIRONMENT = "preprod"
COMPONENT = "client-addresses"


def unless_followed(made: Path) -> pytest.MarkDecorator:
    """Skip a test where somebody has followed a runbook for real: what it makes can't be made again."""
    return pytest.mark.skipif(made.exists(), reason=f"a runbook was followed: {made.name} is here")


unless_environment = unless_followed(OVERLAYS / ENVIRONMENT)
unless_component = unless_followed(OVERLAYS.parent / "components" / COMPONENT)
