"""Git, as a test uses it: with an identity of its own."""

import os
import subprocess
from pathlib import Path

# Who commits; for commands that a test runs as well.
IDENTITY = {f"GIT_{role}_{what}": "test" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def git(directory: Path, *arguments: str | Path) -> str:
    """Run Git and return what it prints; an error of its own fails the test with its words."""
    command = ["git", "-c", "commit.gpgsign=false", *arguments]
    done = subprocess.run(
        command, cwd=directory, env=os.environ | IDENTITY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"git {' '.join(map(str, arguments))}: {done.stderr.strip()}"
    return done.stdout.strip()
