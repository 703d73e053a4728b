"""What the programs of this package share: how they refuse, how they fail, and how they ask."""

import argparse
import os
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from tools.render import RenderError
from tools.repository import OVERLAYS, environments
from tools.texts import UnreadableError

# What a shell says of a program that SIGPIPE ended.
READER_GONE = 128 + 13


class RefusedError(Exception):
    """What was asked for cannot be begun; the message says what is wrong, where, and what to do next."""


class FailedError(Exception):
    """What was begun did not succeed; the message says what, and where to look."""


class Parser(argparse.ArgumentParser):
    """Reads a command line; a wrong one gets one line, as everything that is refused here does."""

    def error(self, message: str) -> NoReturn:
        """Refuse."""
        raise RefusedError(f"{message} ({one_line(self.format_usage())})")


def run_program(name: str, program: Callable[[], int | None]) -> int:
    """Run a program and return its exit status.

    Its own, 1 if it failed, 2 if it was refused, 70 if it has a fault of its own, 74 if this machine failed it (a full
    disk), 130 on Ctrl-C, 141 if nobody reads on (`| head`). 70 and 74 are those of sysexits.h.
    """
    leave_callers_repository()
    try:
        status = program() or 0
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # What is still in the buffer would be written, and fail again, when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    except (RefusedError, FailedError, RenderError, UnreadableError) as error:
        print(f"{name}: error: {one_line(str(error))}", file=sys.stderr)
        return 2 if isinstance(error, RefusedError | UnreadableError) else 1
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"{name}: error: {one_line(str(error))}: put that right, then run this again", file=sys.stderr)
        return os.EX_IOERR
    except Exception as error:
        _tell_fault(name, error)
        return os.EX_SOFTWARE


def _tell_fault(name: str, error: Exception) -> None:
    *_, last = traceback.extract_tb(error.__traceback__)
    if os.environ.get("TRACEBACK"):
        traceback.print_exception(error)
    told = f"{type(error).__name__} in {last.filename}:{last.lineno}: {one_line(str(error))}"
    print(f"{name}: error: a fault of this command, {told}; report it with what TRACEBACK=1 adds", file=sys.stderr)


def overlay(environment: str) -> Path:
    """Return the directory of an environment's overlay.

    Raises:
        RefusedError: if there is none; the message lists those there are.
    """
    known = environments()
    if environment not in known:
        raise RefusedError(
            f"there is no environment '{environment}'; choose one of {', '.join(known)}, as in ENV={known[0]}"
        )
    return OVERLAYS / environment


def require(command: str, how: str) -> None:
    """Make sure that a command is there; `how` says how to install it.

    Raises:
        RefusedError: if it is missing.
    """
    if shutil.which(command) is None:
        raise RefusedError(f"the command '{command}' is missing: {how}")


def require_docker() -> None:
    """Make sure that images can be built.

    Raises:
        RefusedError: if the command is missing or its daemon does not answer.
    """
    require("docker", "install it (https://docs.docker.com/engine/install/)")
    if ask("docker", "version", "--format", "{{.Server.Version}}").returncode:
        raise RefusedError(
            "the Docker daemon does not answer: start it ('sudo systemctl start docker', or Docker Desktop)"
        )


# Git itself exports these to no hook: who sets them means every command, as the workflow does that promotes.
_SETTINGS_OF_GIT = "GIT_CONFIG_COUNT"


def leave_callers_repository() -> None:
    """Drop from this process's variables, and so from its children's, those that say where Git works.

    Git exports them to a hook, and a linked worktree's GIT_DIR then takes the place of whatever directory is named.
    """
    if git := shutil.which("git"):
        told = subprocess.run([git, "rev-parse", "--local-env-vars"], capture_output=True, text=True, check=False)
        for name in set(told.stdout.split()) - {_SETTINGS_OF_GIT}:
            os.environ.pop(name, None)


def require_repository(directory: Path) -> None:
    """Make sure that Git works in a directory.

    Raises:
        RefusedError: if it does not, with its own words, which say what to do: that somebody else owns it, say.
    """
    asked = ask("git", "rev-parse", "--git-dir", cwd=directory)
    if asked.returncode:
        raise RefusedError(f"Git does not work in {directory}: {one_line(asked.stderr)}")


def ask(
    *command: str | Path, cwd: Path | None = None, more: Mapping[str, str] | None = None, sent: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command quietly, with more variables in its environment, and return what it said.

    Args:
        command: the program and its arguments
        cwd: where it runs; None for here
        more: the variables
        sent: its standard input
    """
    # Never the terminal's, because kubectl would ask for a name and a password where its configuration has none.
    return subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | (more or {}),
        input=sent,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


def one_line(said: str) -> str:
    """Return what a program said, on one line."""
    return " ".join(said.split())


def do(command: Sequence[str | Path]) -> None:
    """Run a command that changes something; what it says goes to the terminal.

    Raises:
        FailedError: if it does not succeed.
    """
    # Python keeps what it printed for itself when it does not write to a terminal; the command does not wait for that.
    sys.stdout.flush()
    if status := subprocess.run(command, check=False).returncode:
        raise FailedError(f"this ended with status {status}: {' '.join(map(str, command))}")
