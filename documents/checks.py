"""The checks that every pull request gets, which main's protection on GitHub is to require.

GitHub waits for ever for one that no workflow gives, and takes one that is skipped for one that has passed.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from tools.repository import REPOSITORY

DIRECTORY = REPOSITORY / ".github" / "workflows"
ON_PULL_REQUESTS = "github.event_name == 'pull_request'"
Workflows = Mapping[str, Any]  # by the names of their files


def workflows() -> dict[str, Any]:
    """Return each workflow by the name of its file."""
    return {path.name: yaml.safe_load(path.read_text()) for path in sorted(DIRECTORY.glob("*.yml"))}


def required(known: Workflows) -> list[str]:
    """Return the checks that a pull request gets, whatever it changes and whatever fails."""
    # YAML 1.1 reads the key `on` as true.
    unfiltered = [each for each in known.values() if "pull_request" in each[True] and not each[True]["pull_request"]]
    return [name for workflow in unfiltered for name in _checks(workflow, known)]


def _checks(workflow: Mapping[str, Any], known: Workflows) -> Iterator[str]:
    for key, job in workflow["jobs"].items():
        if "needs" in job or job.get("if", ON_PULL_REQUESTS) != ON_PULL_REQUESTS:
            continue
        for name in _names(job.get("name", key), job.get("strategy", {}).get("matrix", {})):
            if "uses" in job:
                called = known[job["uses"].rpartition("/")[2]]
                yield from (f"{name} / {inner}" for inner in _checks(called, known))
            else:
                yield name


def _names(name: str, matrix: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    for values in itertools.product(*matrix.values()):
        replaced = name
        for key, value in zip(matrix, values, strict=True):
            replaced = replaced.replace(f"${{{{ matrix.{key} }}}}", str(value))
        yield replaced


def listed() -> str:
    """Return the checks as a list of Markdown."""
    return "\n" + "".join(f"- `{name}`\n" for name in required(workflows())) + "\n"
