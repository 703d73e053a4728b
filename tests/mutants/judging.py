"""Running tests/mutants/plugin.py on copies of the repository, and what must be caught."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import pytest

from tests.mutants.plugin import Verdict
from tools.repository import REPOSITORY

Count = Callable[[str, list[Verdict]], None]
PARTS = 2
NOT_COPIED = shutil.ignore_patterns(".git", ".venv", ".build", "__pycache__", ".*_cache")
# Failures are wanted and need no explanation; a hang is one. What a red test leaks must not turn the next one red.
OPTIONS = ["-q", "-rN", "--tb=no", "--assert=plain", "--timeout=20"]
PLUGINS = ["cacheprovider", "hypothesispytest", "playwright", "schemathesis", "threadexception", "unraisableexception"]


def judge(directory: Path, what: str, *arguments: str, plant: tuple[str, str, str] | None = None) -> list[Verdict]:
    """Ask the tests about the mutants that a module of this folder makes, in several processes.

    Args:
        directory: An empty one, for a copy of the repository for each process.
        what: The module.
        arguments: The tests, and options of the plugin.
        plant: A file of the repository, a text in it, and what to put there instead before the mutants are made.
    """

    def run(part: int) -> list[Verdict]:
        tree = directory / str(part)
        shutil.copytree(REPOSITORY, tree, ignore=NOT_COPIED)
        (tree / ".build").symlink_to(REPOSITORY / ".build")
        if plant:
            file, before, after = tree / plant[0], *plant[1:]
            assert file.read_text().count(before) == 1
            file.write_text(file.read_text().replace(before, after))
        verdicts = tree / "verdicts.json"
        command = [sys.executable, "-m", "pytest", *OPTIONS, *(f"-pno:{name}" for name in PLUGINS)]
        command += ["-p", "tests.mutants.plugin", "--mutate", what, "--part", str(part), "--parts", str(PARTS)]
        command += ["--verdicts", os.fspath(verdicts), *arguments]
        done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return [Verdict(**fields) for fields in json.loads(verdicts.read_text())]

    with ThreadPoolExecutor() as pool:
        return [verdict for verdicts in pool.map(run, range(PARTS)) for verdict in verdicts]


def require_all_caught(what: str, verdicts: list[Verdict]) -> None:
    """Fail for a mutant that no test saw and no entry explains, and for an entry that explains none or a caught one.

    What the module declares free, a test may see or not.
    """
    module = import_module(f"tests.mutants.{what}")
    table = f"EQUIVALENT of tests/mutants/{what}.py"
    uncaught = [verdict.name for verdict in verdicts if not verdict.caught_by and not is_free(what, verdict)]
    unexplained = [name for name in uncaught if not any(_matches(entry, name) for entry in module.EQUIVALENT)]
    if unexplained:
        told = "\n  ".join(sorted(unexplained))
        pytest.fail(f"make a test see these, or say in {table} why they are as good as the product:\n  {told}", False)
    caught = [verdict.name for verdict in verdicts if verdict.caught_by]
    for entry in module.EQUIVALENT:
        if not any(_matches(entry, name) for name in uncaught) or any(_matches(entry, name) for name in caught):
            pytest.fail(f"take this out of {table}, as it is gone or a test sees it: {entry}", False)


def is_free(what: str, verdict: Verdict) -> bool:
    """Tell whether a module declares what a mutant changes to be a choice that no test need hold."""
    free: Mapping[str, str] = getattr(import_module(f"tests.mutants.{what}"), "FREE", {})
    return any(re.fullmatch(pattern, verdict.name) for pattern in free)


def _matches(entry: str, name: str) -> bool:
    return re.fullmatch(re.escape(entry).replace(r"\*", ".*"), name) is not None
