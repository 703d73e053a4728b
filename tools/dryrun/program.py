"""The Go program of this directory as a process, which is started once and asked line by line."""

import atexit
import json
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Lock
from typing import IO, Any

from tools.repository import REPOSITORY

PROGRAM = REPOSITORY / ".build" / "bin" / "dryrun"
NEWEST = PROGRAM.with_name("dryrun-newest")  # of newest.mod
HOW = "tools/setup.sh dryrun"


class NotBuiltError(Exception):
    """The program is not there; the message says how to build it."""


class Process:
    """The program: it takes a tenth of a second to start and some hundredths to answer, so it is kept running.

    Attributes:
        kubernetes: the version for which it speaks, as v1.34.4
    """

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")
        self._lock = Lock()
        atexit.register(self._process.communicate)
        self.kubernetes: str = self._read()["kubernetes"]

    def answer(self, request: Mapping[str, Any]) -> Any:
        """Return what it says to a request.

        Raises:
            RuntimeError: if it fails; it has said why on the standard error stream.
        """
        # YAML's dates are text to Kubernetes.
        line = json.dumps(request, default=str)
        with self._lock:
            with suppress(BrokenPipeError):
                print(line, file=_open(self._process.stdin), flush=True)
            return self._read()

    def _read(self) -> Any:
        if line := _open(self._process.stdout).readline():
            return json.loads(line)
        _start.cache_clear()
        raise RuntimeError(f"{self._process.args!r} has ended: build it anew by '{HOW}'")


def _open(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        raise ValueError("a stream of the program is not open")
    return stream


@cache
def _start(program: Path) -> Process:
    return Process(program)


def running(program: Path = PROGRAM) -> Process:
    """Return the program, started.

    Args:
        program: that of another version of Kubernetes

    Raises:
        NotBuiltError: if it is not there.
    """
    if not program.exists():
        raise NotBuiltError(f"{program.relative_to(REPOSITORY)} is not built: '{HOW}' does it, in some minutes")
    return _start(program)
