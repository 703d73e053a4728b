"""What a workflow of GitHub Actions says, as far as the tests ask."""

from pathlib import Path
from typing import Any

import yaml

from tools.repository import REPOSITORY

DIRECTORY = REPOSITORY / ".github" / "workflows"
Workflow = dict[str, Any]
Workflows = dict[str, Workflow]  # by the names of their files


def read(path: Path) -> Workflow:
    workflow: Workflow = yaml.safe_load(path.read_text())
    return workflow


def read_all() -> Workflows:
    """Return each workflow by the name of its file."""
    return {path.name: read(path) for path in sorted(DIRECTORY.glob("*.yml"))}


def triggers(workflow: Workflow) -> dict[str, Any]:
    """Return what starts a workflow: an event's name → its filters."""
    # YAML 1.1 reads the key `on` as true.
    found = workflow[True]  # type: ignore[index]
    if isinstance(found, str):
        return {found: {}}
    if isinstance(found, list):
        return {event: {} for event in found}
    return {event: filters or {} for event, filters in found.items()}
