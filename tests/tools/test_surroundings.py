"""The commands and the tests keep to this repository, whatever the shell, the caller or the folder is like."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.clones import lend_packages, make_clone, make_origin, shell_environment
from tests.support.copies import failing
from tests.support.git import git
from tools.repository import REPOSITORY, environments


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


def make(clone: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    command = ["make", "--no-print-directory", *arguments]
    environ = shell_environment() | variables
    return subprocess.run(command, cwd=clone, env=environ, capture_output=True, text=True, check=False)


def test_make_works_in_any_folder_and_takes_no_foreign_package(tmp_path: Path) -> None:
    clone = make_clone(make_origin(tmp_path), tmp_path / """the user's "own" $HOME""")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    for name in ("yaml.py", "tools.py"):
        (foreign / name).write_text("raise RuntimeError('of another project')\n")
    done = make(clone, "environments", PYTHONPATH=str(foreign))
    assert (done.returncode, done.stderr) == (0, "")
    assert all(environment in done.stdout for environment in environments())


def test_what_a_shell_exports_is_not_taken_for_an_answer() -> None:
    exported = dict.fromkeys(["ENV", "SOURCE", "REF", "OPTIONS", "NODE_PORT", "KUBERNETES"], "of-the-shell")
    for target in ("run", "diff", "promote", "new-environment", "cluster"):
        done = make(REPOSITORY, "--dry-run", target, **exported)
        assert done.returncode == 0
        assert "of-the-shell" not in done.stdout
        assert ("ENV=of-the-shell is the shell's" in done.stderr) is (target == "run")


@pytest.mark.parametrize("python", ["gone", "upgraded"])
def test_packages_go_to_a_working_venv_beside_the_makefile(tmp_path: Path, python: str) -> None:
    copy, noted = tmp_path / "copy", tmp_path / "noted"
    for name in ("tools", "requirements"):
        shutil.copytree(REPOSITORY / name, copy / name)
    (tmp_path / "elsewhere" / "tools").mkdir(parents=True)
    binaries = copy / ".venv" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "python").symlink_to({"gone": "/nowhere", "upgraded": os.path.realpath(sys.executable)}[python])
    (binaries.parent / "pyvenv.cfg").write_text("")
    (binaries.parent / "run.installed").touch()
    # A Python that makes what it is asked for of itself.
    fake = tmp_path / "python"
    fake.write_text(
        f'''#!/bin/sh
echo "$0 $* PIP_USER=$PIP_USER PIP_TARGET=$PIP_TARGET" >>"{noted}"
[ "$2" != venv ] || {{ mkdir -p .venv/bin && cp "$0" .venv/bin/python; }}
'''
    )
    fake.chmod(0o755)
    environ = {"CDPATH": str(tmp_path / "elsewhere"), "PIP_USER": "1", "PIP_TARGET": "/me", "PYTHON": str(fake)}
    command = ["tools/setup.sh", "deploy"]
    done = subprocess.run(command, cwd=copy, env=os.environ | environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "making .venv anew" in done.stderr
    installed = noted.read_text().splitlines()[-1]
    assert installed.startswith(".venv/bin/python -m pip install ")
    assert installed.endswith("-r requirements/run.txt PIP_USER=0 PIP_TARGET=")
    assert not (tmp_path / "elsewhere" / ".venv").exists()


def test_a_clone_has_the_same_bytes_on_windows(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--config=core.autocrlf=true", make_origin(tmp_path), clone)
    named = git(clone, "grep", "--files-with-matches", "-I", "--cached", "-e", "")
    assert [name for name in named.splitlines() if b"\r\n" in (clone / name).read_bytes()] == []


def test_a_copy_of_a_clone_builds_nothing_anew(clone: Path, tmp_path: Path) -> None:
    """All its files are new, as in a runner of workflows, and what is built is of the same sources."""
    copy = shutil.copytree(clone, tmp_path / "copy", symlinks=True)
    for path in (copy / "tools" / "dryrun").iterdir():
        path.touch()
    done = subprocess.run(["tools/setup.sh", "check"], cwd=copy, capture_output=True, text=True, check=True)
    assert done.stderr == ""


@pytest.mark.parametrize("target", ["cluster", "dryrun"])
def test_a_go_tool_is_built_once(clone: Path, target: str) -> None:
    """Of a module without a program of its own, as tools/ is, and of one with. Go itself is a stand-in."""
    programs, built = clone / ".venv" / "bin", clone / ".build"
    python = (programs / "python").resolve()
    programs.unlink()
    programs.mkdir()
    (programs / "python").symlink_to(python)
    (programs / "go").write_text("")
    (built / "bin").unlink()
    for stamp in built.glob("*.built"):
        stamp.unlink()
    said = [
        subprocess.run(["tools/setup.sh", target], cwd=clone, capture_output=True, text=True, check=True).stderr
        for _ in range(2)
    ]
    assert ["building" in one for one in said] == [True, False]
