"""A promotion's commit starts no workflow that promotes: otherwise every promotion would make the next one.

GitHub starts none for a commit that is pushed with its own token, but does for one that a GitHub App has pushed.
"""

import copy
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any

import pytest

from tests.support.product import FOLLOWED
from tests.workflows.reading import DIRECTORY, Workflows, read_all, triggers
from tools.promote import BRANCH, pins_of
from tools.repository import REPOSITORY

PROMOTER = "promote.yml"
FILE = pins_of(FOLLOWED)


def matches(text: str, patterns: list[str]) -> bool:
    # `*` takes slashes here and not in GitHub's filters, so this starts too much rather than too little.
    return any(fnmatchcase(text, pattern) for pattern in patterns)


def pushed(filters: dict[str, Any]) -> bool:
    """Tell whether the push of a promotion's commit passes the filters of `on.push`."""
    if not matches(BRANCH, filters.get("branches", ["*"])) or matches(BRANCH, filters.get("branches-ignore", [])):
        return False
    if "tags" in filters and "branches" not in filters:
        return False
    return matches(str(FILE), filters.get("paths", ["*"])) and not matches(str(FILE), filters.get("paths-ignore", []))


def started(workflows: Workflows) -> set[str]:
    """Return the files of the workflows that a promotion's commit starts, itself or by what it starts."""
    found = {file for file, workflow in workflows.items() if "push" in triggers(workflow)}
    found = {file for file in found if pushed(triggers(workflows[file])["push"])}
    while more := set(_followers(workflows, found)) - found:
        found |= more
    return found


def _followers(workflows: Workflows, before: set[str]) -> Iterator[str]:
    names = {workflows[file].get("name", file) for file in before}
    for file, workflow in workflows.items():
        followed = triggers(workflow).get("workflow_run", {}).get("workflows", [])
        if names & set(followed):
            yield file
    for file in before:
        for job in workflows[file]["jobs"].values():
            if job.get("uses", "").startswith("./"):
                yield job["uses"].rpartition("/")[2]


def promoting(workflows: Workflows) -> set[str]:
    """Return the files of the workflows in which something promotes."""
    return {file for file, workflow in workflows.items() if file == PROMOTER or "make promote" in str(workflow)}


def test_a_promotion_starts_nothing_that_promotes() -> None:
    workflows = read_all()
    assert PROMOTER in promoting(workflows)
    assert not started(workflows) & promoting(workflows)


IMAGES = sorted(path.parent.name for path in (REPOSITORY / "src").glob("*/Dockerfile"))


@pytest.mark.parametrize("image", IMAGES)
def test_a_changed_image_is_promoted(image: str) -> None:
    """The guard would hold as well if nothing ever promoted."""
    workflows = read_all()
    (source, *_) = triggers(workflows[f"build-{image}.yml"])["push"]["paths"]
    assert fnmatchcase(f"src/{image}/Dockerfile", source)
    assert PROMOTER in _called(f"build-{image}.yml", workflows)


def _called(file: str, workflows: Workflows) -> set[str]:
    found = {job["uses"].rpartition("/")[2] for job in workflows[file]["jobs"].values() if "uses" in job}
    return found.union(*(_called(one, workflows) for one in found))


def test_images_are_built_alike() -> None:
    """When a workflow starts and what it may do cannot be shared; here it differs by the name of the image alone."""
    texts = [(DIRECTORY / f"build-{image}.yml").read_text().lower().replace(image, "image") for image in IMAGES]
    assert len(IMAGES) > 1
    assert len(set(texts)) == 1


def _no_filter(workflows: Workflows) -> None:
    del triggers(workflows["build-api.yml"])["push"]["paths"]


def _a_filter_too_wide(workflows: Workflows) -> None:
    triggers(workflows["build-front.yml"])["push"]["paths"].append("deploy/**")


def _a_push_of_its_own(workflows: Workflows) -> None:
    triggers(workflows[PROMOTER])
    workflows[PROMOTER][True]["push"] = {"branches": [BRANCH]}  # type: ignore[index]


def _a_follower(workflows: Workflows) -> None:
    job = {"uses": f"./.github/workflows/{PROMOTER}"}
    workflows["any.yml"] = {"name": "Any", True: {"push": {"branches": [BRANCH]}}, "jobs": {}}  # type: ignore[dict-item]
    workflows["after.yml"] = {True: {"workflow_run": {"workflows": ["Any"]}}, "jobs": {"a": job}}  # type: ignore[dict-item]


@pytest.mark.parametrize("mistake", [_no_filter, _a_filter_too_wide, _a_push_of_its_own, _a_follower])
def test_a_loop_is_found(mistake: Callable[[Workflows], None]) -> None:
    workflows = copy.deepcopy(read_all())
    mistake(workflows)
    assert started(workflows) & promoting(workflows)
