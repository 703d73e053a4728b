"""`python -m tools`: one command, one help, one way to report."""

import io
import subprocess
import sys
from importlib import import_module

import pytest

from tools.__main__ import COMMANDS, main
from tools.command import RefusedError
from tools.repository import REPOSITORY
from tools.terminal import paint


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_its_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: python -m tools {name} ")
    assert COMMANDS[name][1][1:] in " ".join(said.split())
    assert callable(import_module(COMMANDS[name][0]).main)


def test_the_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    assert all(f"\n    {name}" in said for name in COMMANDS)


@pytest.mark.parametrize("arguments", [[], ["chekc"], ["check", "--fast"], ["compare", "dev"]])
def test_a_wrong_command_line_is_refused(arguments: list[str]) -> None:
    with pytest.raises(RefusedError, match="usage: python -m tools"):
        main(arguments)


def test_a_refusal_is_one_line_and_status_2() -> None:
    command = [sys.executable, "-m", "tools", "check", "--fast"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("check: error: unrecognized arguments: --fast")


def test_a_python_without_the_packages_is_told() -> None:
    command = [sys.executable, "-S", "-m", "tools", "check"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "commands of make" in line


class Terminal(io.StringIO):
    """An output that somebody looks at."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environ", "painted"),
    [
        (Terminal(), {}, True),
        (io.StringIO(), {}, False),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
    ],
)
def test_colour_is_for_terminals(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, environ: dict[str, str], painted: bool
) -> None:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", stream)
    assert paint("text", "red") == ("\033[31mtext\033[0m" if painted else "text")
