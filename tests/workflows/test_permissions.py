"""What each workflow may do, and what runs in it. actionlint and zizmor, in `make lint`, see the rest."""

import re
from typing import Any

import pytest

from tests.workflows.reading import DIRECTORY, Workflow, read_all

WORKFLOWS = read_all()
JOBS = [(file, name, job) for file, workflow in WORKFLOWS.items() for name, job in workflow["jobs"].items()]
PIN = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
# Who may write what; a grant that is not here is one too many.
GRANTS = {
    ("image.yml", "publish"): {"packages", "id-token", "attestations"},
    ("image.yml", "promote"): {"contents"},
    ("promote.yml", "promote"): {"contents"},
    ("build-api.yml", "image"): {"contents", "packages", "id-token", "attestations"},
    ("build-front.yml", "image"): {"contents", "packages", "id-token", "attestations"},
    ("checks.yml", "comment"): {"pull-requests"},
}


@pytest.mark.parametrize("workflow", WORKFLOWS.values(), ids=WORKFLOWS.keys())
def test_a_workflow_may_nothing_by_itself(workflow: Workflow) -> None:
    assert workflow["permissions"] == {}


@pytest.mark.parametrize(("file", "name", "job"), JOBS, ids=[f"{file}-{name}" for file, name, _ in JOBS])
def test_a_job_may_write_what_it_is_known_to_write(file: str, name: str, job: dict[str, Any]) -> None:
    written = {scope for scope, access in job["permissions"].items() if access == "write"}
    assert written == GRANTS.get((file, name), set())


@pytest.mark.parametrize("file", WORKFLOWS)
def test_every_grant_has_its_reason_on_the_line(file: str) -> None:
    lines = re.findall(r"^ +(?:[a-z-]+): (?:read|write)\b.*", (DIRECTORY / file).read_text(), re.MULTILINE)
    assert [line for line in lines if " # " not in line] == []


@pytest.mark.parametrize(("file", "name", "job"), JOBS, ids=[f"{file}-{name}" for file, name, _ in JOBS])
def test_a_job_ends_by_itself(file: str, name: str, job: dict[str, Any]) -> None:
    # One that calls a workflow has the limits of that workflow's jobs.
    assert ("timeout-minutes" in job) != ("uses" in job), f"{file}: {name}"


@pytest.mark.parametrize("file", WORKFLOWS)
def test_an_action_is_pinned_by_commit_beside_its_version(file: str) -> None:
    used = re.findall(r"uses: (.*)", (DIRECTORY / file).read_text())
    assert [action for action in used if not action.startswith("./") and not PIN.fullmatch(action)] == []


def test_one_action_has_one_pin() -> None:
    texts = "\n".join(path.read_text() for path in DIRECTORY.glob("*.yml"))
    pins = set(re.findall(r"uses: ([^.\s]\S*@\S+ # \S+)", texts))
    assert len({pin.partition("@")[0] for pin in pins}) == len(pins)


def test_no_workflow_lends_its_rights_to_a_fork() -> None:
    texts = {path.name: path.read_text() for path in DIRECTORY.glob("*.yml")}
    assert [name for name, text in texts.items() if "pull_request_target" in text] == []
