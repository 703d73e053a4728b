"""Programs that run while a test asks them something."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import eventually

STOP_SECONDS = 40  # more than the product's own servers are given to finish their requests


class Program:
    """A program that runs until it is stopped; what it prints goes to a file.

    Attributes:
        process: It. It has a process group of its own, as a program has that a shell starts.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        output: Path,
        *,
        environ: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> None:
        """Start it.

        Args:
            command: its command line
            output: the file for its standard output and error
            environ: its environment; by default this process's own
            directory: where it starts; by default where this process is
        """
        self._file = output
        with output.open("wb") as sink:
            self.process = subprocess.Popen(
                command, env=environ, cwd=directory, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True
            )

    def output(self) -> str:
        """Return what it has printed so far."""
        return self._file.read_text()

    def wait_until(self, holds: Callable[[], Any], seconds: float = 20) -> None:
        """Wait until a condition holds; fail with what it printed if that takes too long, or if it ends before."""

        def holds_or_ended() -> bool:
            # The condition last: what a program did just before its end counts.
            ended = self.process.poll() is not None
            return bool(holds()) or (ended and pytest.fail(f"it ended, and had printed:\n{self.output()}"))

        eventually(holds_or_ended, seconds, lambda: f"it had printed:\n{self.output()}")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end, by a signal to it alone; return its exit status, once nothing of its group is left."""
        self.process.send_signal(number)
        try:
            return self.process.wait(STOP_SECONDS)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@contextmanager
def running(command: Sequence[str | Path], output: Path, **options: Any) -> Iterator[Program]:
    """Run a program while the context lasts; the options are those of Program."""
    program = Program(command, output, **options)
    try:
        yield program
    finally:
        program.stop()
