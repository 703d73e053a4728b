"""What the programs of tools/ share."""

import subprocess
import sys

import pytest

from tools.command import FailedError, RefusedError, run_program
from tools.render import REPOSITORY, RenderError


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (RefusedError("no such port"), 2, "test: error: no such port\n"),
        (FailedError("it ended"), 1, "test: error: it ended\n"),
        (RenderError("no such base"), 1, "test: error: no such base\n"),
        (KeyboardInterrupt(), 130, "test: interrupted\n"),
    ],
)
def test_each_end_has_its_status_and_one_line(
    capsys: pytest.CaptureFixture[str], error: BaseException, status: int, said: str
) -> None:
    def program() -> None:
        raise error

    assert run_program("test", program) == status
    assert capsys.readouterr().err == said


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
