"""A check that a pull request does not always get is not among those that main's protection is to require."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from documents.checks import required, workflows

Workflows = dict[str, Any]


def _filtered(known: Workflows) -> None:
    known["checks.yml"][True]["pull_request"] = {"paths": ["src/**"]}


def _skipped(known: Workflows) -> None:
    known["checks.yml"]["jobs"]["test"]["if"] = "github.actor != 'dependabot[bot]'"


def _after_another(known: Workflows) -> None:
    known["checks.yml"]["jobs"]["test"]["needs"] = "preview"


def _renamed(known: Workflows) -> None:
    known["image.yml"]["jobs"]["build"]["name"] = "Try"


def _another_kubernetes(known: Workflows) -> None:
    known["e2e.yml"]["jobs"]["e2e"]["strategy"]["matrix"]["kubernetes"][-1] = "1.37.0"


@pytest.mark.parametrize("mistake", [_filtered, _skipped, _after_another, _renamed, _another_kubernetes])
def test_what_is_no_longer_given_is_not_required(mistake: Callable[[Workflows], None]) -> None:
    known = copy.deepcopy(workflows())
    before = required(known)
    mistake(known)
    assert set(before) - set(required(known))


def test_each_check_is_required_once() -> None:
    found = required(workflows())
    assert len(found) == len(set(found)) > 1
