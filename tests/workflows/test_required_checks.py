"""The checks that docs/ci-cd.md has main's protection require are those that every pull request gets.

GitHub waits for ever for one that no workflow gives, and takes one that is skipped for one that has passed.
"""

import copy
import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.workflows.reading import Workflow, Workflows, read_all, triggers
from tools.promote import BRANCH
from tools.repository import REPOSITORY

PAGE = REPOSITORY / "docs" / "ci-cd.md"
ON_PULL_REQUESTS = "github.event_name == 'pull_request'"


def required() -> set[str]:
    """Return the names that the page's paragraph on main's protection has as code."""
    (paragraph,) = [text for text in PAGE.read_text().split("\n\n") if text.startswith(f"**Protéger `{BRANCH}`.**")]
    return set(re.findall(r"`([^`]+)`", paragraph)) - {BRANCH}


def given(workflows: Workflows) -> set[str]:
    """Return the checks that a pull request gets, whatever it changes and whatever fails."""
    unfiltered = [each for each in workflows.values() if triggers(each).get("pull_request") == {}]
    return {name for workflow in unfiltered for name in _checks(workflow, workflows)}


def _checks(workflow: Workflow, workflows: Workflows) -> Iterator[str]:
    for key, job in workflow["jobs"].items():
        if "needs" in job or job.get("if", ON_PULL_REQUESTS) != ON_PULL_REQUESTS:
            continue
        for name in _names(job.get("name", key), job.get("strategy", {}).get("matrix", {})):
            if "uses" in job:
                called = workflows[job["uses"].rpartition("/")[2]]
                yield from (f"{name} / {inner}" for inner in _checks(called, workflows))
            else:
                yield name


def _names(name: str, matrix: dict[str, list[str]]) -> Iterator[str]:
    for values in itertools.product(*matrix.values()):
        replaced = name
        for key, value in zip(matrix, values, strict=True):
            replaced = replaced.replace(f"${{{{ matrix.{key} }}}}", value)
        yield replaced


def test_the_page_requires_what_every_pull_request_gets() -> None:
    assert required() == given(read_all())


def _filtered(workflows: Workflows) -> None:
    workflows["checks.yml"][True]["pull_request"] = {"paths": ["src/**"]}  # type: ignore[index]


def _skipped(workflows: Workflows) -> None:
    workflows["checks.yml"]["jobs"]["test"]["if"] = "github.actor != 'dependabot[bot]'"


def _after_another(workflows: Workflows) -> None:
    workflows["checks.yml"]["jobs"]["test"]["needs"] = "preview"


def _renamed(workflows: Workflows) -> None:
    workflows["image.yml"]["jobs"]["build"]["name"] = "Try"


def _another_kubernetes(workflows: Workflows) -> None:
    matrix: dict[str, Any] = workflows["e2e.yml"]["jobs"]["e2e"]["strategy"]["matrix"]
    matrix["kubernetes"][-1] = "1.37.0"


@pytest.mark.parametrize("mistake", [_filtered, _skipped, _after_another, _renamed, _another_kubernetes])
def test_what_is_no_longer_given_is_found(mistake: Callable[[Workflows], None]) -> None:
    workflows = copy.deepcopy(read_all())
    mistake(workflows)
    assert required() - given(workflows)
