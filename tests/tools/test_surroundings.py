"""The commands and the tests keep to this repository, whatever the shell, the caller or the folder is like."""

from pathlib import Path

import pytest

from tests.support.clones import lend_packages
from tests.support.copies import failing
from tests.support.git import git


def contents(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_tests_in_a_hook_leave_the_clone_as_it_is(clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    linked = tmp_path / "linked"
    git(clone, "worktree", "add", "--quiet", "-b", "mine", linked)
    lend_packages(linked)
    directory = Path(git(linked, "rev-parse", "--absolute-git-dir"))
    git(linked, "status")  # what it notes in the index is noted before
    before = contents(clone / ".git")
    for name, value in {"GIT_DIR": directory, "GIT_INDEX_FILE": directory / "index"}.items():
        monkeypatch.setenv(name, str(value))
    assert failing(linked, "tests/tools/test_images.py") == []
    assert contents(clone / ".git") == before
