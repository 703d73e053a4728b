"""What `make lint` refuses in a workflow: each file of refused/ names on its first line who must say what."""

import os
import subprocess
from pathlib import Path

import pytest

from tools.repository import REPOSITORY, VENV_BIN

REFUSED = sorted((REPOSITORY / "tests" / "cases" / "workflows").glob("*.yml"))
PATH = f"{VENV_BIN}:{REPOSITORY / '.build' / 'bin'}:{os.environ['PATH']}"


def command_of_make_lint(linter: str) -> list[str]:
    """Return how the Makefile calls a linter, without what it has it look at."""
    lines = (REPOSITORY / "Makefile").read_text().splitlines()
    (words,) = [line.split() for line in lines if line.startswith(f"\t{linter}")]
    return [word for word in words if word != ".github"]


@pytest.mark.parametrize("path", REFUSED, ids=[path.stem for path in REFUSED])
def test_what_is_wrong_is_refused(path: Path) -> None:
    linter, rule = path.read_text().splitlines()[0].removeprefix("# ").split(": ")
    done = subprocess.run(
        [*command_of_make_lint(linter), path],
        cwd=REPOSITORY,  # so that it finds the workflows that another calls
        env=os.environ | {"PATH": PATH},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode != 0
    assert f"[{rule}]" in done.stdout
