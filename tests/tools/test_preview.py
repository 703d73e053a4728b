"""tools/preview.sh: what stands below a pull request, by hand as in its workflow."""

import os
import subprocess
from pathlib import Path

from tests.support.clones import change_banner, shell_environment
from tests.support.git import git
from tests.support.product import FOLLOWED
from tools.repository import OVERLAYS, REPOSITORY

OVERLAY = OVERLAYS.relative_to(REPOSITORY) / FOLLOWED
RUN = "https://github.example/runs/7"


def preview(clone: Path) -> tuple[int, str, str]:
    """Return the exit status, the text and the comment of what a clone's last commit changes."""
    git(clone, "commit", "--quiet", "--all", "--message=A proposal")
    done = subprocess.run(
        [clone / "tools" / "preview.sh", "HEAD^1"],
        cwd=os.fspath(clone.parent),
        env=shell_environment() | {"RUN": RUN},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, (clone / ".build" / "preview.md").read_text()


def test_a_preview_tells_of_the_overlays_and_of_the_change(clone: Path) -> None:
    change_banner(clone / OVERLAY, "Une autre bannière")
    status, told, comment = preview(clone)
    assert status == 0
    assert comment == f"<!-- preview -->\n{told}"
    assert told.startswith("## The overlays\n")
    assert "nothing to correct" in told
    assert "Une autre bannière" in told.partition("## What a merge changes\n")[2]


def test_of_a_long_preview_the_comment_has_the_beginning(clone: Path) -> None:
    # Longer than a comment may be, and half of its bytes begin no character.
    change_banner(clone / OVERLAY, "\n".join(["é" * 99] * 500))
    status, told, comment = preview(clone)
    assert status == 0
    assert 50_000 < len(comment.encode()) < 65_536 < len(told.encode())
    assert f"[summary of the run]({RUN})" in comment


def test_a_broken_overlay_fails_and_is_told(clone: Path) -> None:
    kustomization = clone / OVERLAY / "kustomization.yaml"
    kustomization.write_text(kustomization.read_text().replace("namespace.yaml", "no-such-file.yaml"))
    status, told, comment = preview(clone)
    assert status != 0
    assert "no-such-file.yaml" in told
    assert "no-such-file.yaml" in comment
