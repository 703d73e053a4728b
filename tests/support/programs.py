"""Programs that stand in for others, and note how they are called."""

from collections.abc import Mapping
from pathlib import Path
from shlex import quote


class Fakes:
    """Programs in a directory that a test puts at the front of PATH."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def add(self, name: str, answers: Mapping[str, tuple[int, str]] | None = None) -> None:
        """Make a program, or tell one what to answer: part of its command line → its exit status and what it says."""
        cases = "".join(
            f"*{quote(key)}*) echo {quote(said)} >&{2 if status else 1}; exit {status} ;;\n"
            for key, (status, said) in (answers or {}).items()
        )
        program = self.directory / name
        program.write_text(
            f'#!/bin/sh\nline="{name} $*"\necho "$line" >>{quote(str(self.directory / "calls"))}\n'
            f'case "$line" in\n{cases}esac\n'
        )
        program.chmod(0o755)

    def calls(self, start: str = "") -> list[str]:
        """Return the command lines so far that start with something."""
        noted = self.directory / "calls"
        return [line for line in noted.read_text().splitlines() if line.startswith(start)] if noted.exists() else []
