"""What the programs of tools/ share."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.git import git
from tools import promote
from tools.command import FailedError, RefusedError, run_program
from tools.diff import find_reference
from tools.images import revision
from tools.render import RenderError
from tools.repository import REPOSITORY
from tools.texts import UnreadableError


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (RefusedError("no such port"), 2, "test: error: no such port\n"),
        (FailedError("it ended"), 1, "test: error: it ended\n"),
        (RenderError("no such base"), 1, "test: error: no such base\n"),
        (UnreadableError("a.yaml", 3, "this is no YAML"), 2, "test: error: a.yaml:3: this is no YAML: correct it"),
        (PermissionError(13, "Permission denied", "a.yaml"), 74, "test: error: [Errno 13] Permission denied: 'a.yaml'"),
        (KeyError("spec"), 70, "test: error: a fault of this command, KeyError in "),
        (KeyboardInterrupt(), 130, "test: interrupted\n"),
    ],
)
def test_each_end_has_its_status_and_one_line(
    capsys: pytest.CaptureFixture[str], error: BaseException, status: int, said: str
) -> None:
    def program() -> None:
        raise error

    assert run_program("test", program) == status
    (line,) = capsys.readouterr().err.splitlines(keepends=True)
    assert line.startswith(said)


def test_a_command_that_looks_does_not_wait_for_an_input() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "from tools.command import ask; print(ask('cat').returncode)"],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as program:
        assert program.stdout
        try:
            assert program.wait(10) == 0
            assert program.stdout.read() == b"0\n"
        finally:
            program.kill()


def test_a_reader_that_goes_ends_a_program_without_a_word() -> None:
    # More than a pipe holds, and then a rest that Python would write at its end.
    call = "sys.exit(run_program('test', lambda: print('x\\n' * 99999)))"
    with subprocess.Popen(
        [sys.executable, "-c", f"import sys; from tools.command import run_program; {call}"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as program:
        assert program.stdout
        assert program.stderr
        program.stdout.readline()
        program.stdout.close()
        assert program.stderr.read() == b""
        assert program.wait(10) == 141


@pytest.mark.parametrize(
    "asks",
    [revision, promote.check_repository, lambda path: find_reference(path, "HEAD")],
    ids=["images", "promote", "diff"],
)
def test_what_git_refuses_is_told_in_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asks: Callable[[Path], Any]
) -> None:
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message=first")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(RefusedError, match=r"dubious ownership.*safe\.directory"):
        asks(tmp_path)
