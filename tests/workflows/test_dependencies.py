"""Dependabot looks everywhere, CODEOWNERS names what is there, and who asks is asked for environment and rollback."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.workflows.reading import DIRECTORY
from tools.promote import pins_of
from tools.repository import REPOSITORY, environments, followed

GITHUB = DIRECTORY.parent
UPDATES: list[dict[str, Any]] = yaml.safe_load((GITHUB / "dependabot.yml").read_text())["updates"]
# Ecosystem → the files by which one knows that a directory has something of it.
MARKS = {"pip": "*.in", "docker": "Dockerfile", "gomod": "go.mod"}


@pytest.mark.parametrize(("ecosystem", "mark"), MARKS.items())
def test_dependabot_looks_into_every_directory(ecosystem: str, mark: str) -> None:
    (update,) = [update for update in UPDATES if update["package-ecosystem"] == ecosystem]
    found = {path.parent for place in ("src", "requirements", "tools") for path in (REPOSITORY / place).rglob(mark)}
    assert set(update["directories"]) == {f"/{path.relative_to(REPOSITORY)}" for path in found}


def test_dependabot_looks_after_the_actions() -> None:
    assert [update["directory"] for update in UPDATES if update["package-ecosystem"] == "github-actions"] == ["/"]


@pytest.mark.parametrize("update", UPDATES, ids=[update["package-ecosystem"] for update in UPDATES])
def test_a_new_version_waits(update: dict[str, Any]) -> None:
    assert update["cooldown"]["default-days"] >= 7


def _owners() -> list[tuple[str, list[str]]]:
    lines = [line.split() for line in (GITHUB / "CODEOWNERS").read_text().splitlines() if line[:1] not in ("", "#")]
    return [(pattern, owners) for pattern, *owners in lines]


def test_each_owned_path_is_there() -> None:
    assert [path for path, _ in _owners() if path != "*" and not (REPOSITORY / path.lstrip("/")).exists()] == []


def test_a_promotion_waits_for_no_owner_and_touches_only_tags() -> None:
    ownerless = [path for path, owners in _owners() if not owners]
    assert ownerless, "a promotion would wait for a review"
    assert set(ownerless) <= {f"/{pins_of(name).parent}/" for name in followed()}
    assert [path for path, _ in _owners()][-len(ownerless) :] == ownerless, "the last line that matches counts"
    for directory in ownerless:
        (file,) = (REPOSITORY / directory.strip("/")).rglob("*")
        pins = yaml.safe_load(file.read_text())
        assert pins.keys() == {"apiVersion", "kind", "images"}, f"{file} holds more than tags"
        assert {key for pin in pins["images"] for key in pin} <= {"name", "newTag", "digest"}


@pytest.mark.parametrize("form", ["change", "incident"])
def test_an_issue_asks_for_the_environment_and_the_rollback(form: str) -> None:
    fields = yaml.safe_load((GITHUB / "ISSUE_TEMPLATE" / f"{form}.yml").read_text())["body"]
    required = {field["id"]: field for field in fields if field.get("validations", {}).get("required")}
    assert set(environments()) <= set(required["environment"]["attributes"]["options"])
    assert "rollback" in required


def test_a_change_asks_for_the_environment_and_the_rollback() -> None:
    text = Path(GITHUB / "pull_request_template.md").read_text()
    assert [f"- [ ] {name}\n" in text for name in environments()] == [True] * len(environments())
    assert "## Rollback\n" in text
