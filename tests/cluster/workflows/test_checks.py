"""The workflow of checks: its tests, its preview, and who gets a comment."""

import re
from pathlib import Path

import pytest

from tests.cluster.workflows.github import GITHUB_REPOSITORY, GitHub
from tests.support.clones import change_banner
from tests.support.git import git
from tests.support.product import FOLLOWED, path

EARLIER = "https://api.example/comments/7"


@pytest.fixture
def proposal(clone: Path) -> Path:
    """A clone at a commit that changes a banner."""
    change_banner(clone / path(FOLLOWED), "Une autre bannière")
    git(clone, "commit", "--quiet", "--all", "--message=another banner")
    return clone


def pull_request(repository: str) -> dict[str, object]:
    head = {"ref": "proposal", "repo": {"full_name": repository}}
    return {"number": 7, "pull_request": {"number": 7, "head": head, "base": {"ref": "main"}}}


@pytest.mark.timeout(300)
def test_a_pull_request_is_tested_and_gets_one_comment(github: GitHub, proposal: Path) -> None:
    event = pull_request(GITHUB_REPOSITORY)
    # The linters, and a few tests: all of them run here already.
    run = github.run(proposal, "checks.yml", "pull_request", event, PYTEST_ADDOPTS="tests/workflows/test_loop.py")
    assert run.status == 0, run.said
    assert re.search(r"[1-9]\d* passed", run.said), run.said
    assert run.comment.startswith("<!-- preview -->\n## The overlays\n")
    assert "nothing to correct" in run.comment
    assert "Une autre bannière" in run.comment
    (written,) = [line for line in run.gh if "body=@" in line]
    assert written.startswith(f"api --method POST repos/{GITHUB_REPOSITORY}/issues/7/comments ")


def test_the_next_push_writes_the_comment_anew(github: GitHub, proposal: Path) -> None:
    event = pull_request(GITHUB_REPOSITORY)
    run = github.run(proposal, "checks.yml", "pull_request", event, "comment", EARLIER_COMMENT=EARLIER)
    assert run.status == 0, run.said
    (written,) = [line for line in run.gh if "body=@" in line]
    assert written.startswith(f"api --method PATCH {EARLIER} ")


def test_a_fork_gets_its_preview_without_a_comment(github: GitHub, proposal: Path) -> None:
    run = github.run(proposal, "checks.yml", "pull_request", pull_request("somebody/datapress"), "comment")
    assert run.status == 0, run.said
    assert "Success - Main Check the overlays, and say what changes" in run.said
    assert not [line for line in run.gh if line.startswith("api")]
