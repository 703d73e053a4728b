"""The workflows of .github, run by act; what GitHub alone has is stood for.

act runs each step on this machine, in a copy of a clone. Of the actions, checkout is its own, the one that builds
really builds, and the others note what they were asked for, as does the `gh` that is put before any real one. What is
left for GitHub to prove is listed in docs/ci-cd.md.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import playwright

from tests.support.clones import shell_environment
from tests.support.product import API, image
from tools.repository import REPOSITORY

ACTIONS = Path(__file__).parent / "actions"
WORKFLOWS = Path(".github") / "workflows"
ACT = REPOSITORY / ".build" / "bin" / "act"
# Playwright brings the Node.js that runs the actions.
NODE = Path(playwright.__file__).parent / "driver"
# Of who owns the images that the overlay names; GitHub knows an owner with capital letters, which no registry has.
GITHUB_REPOSITORY = f"{image(API).name.split('/')[-2].title()}/datapress"
REMOTE_ACTION = re.compile(r"uses: (?P<name>(?!\./)[^@\s]+)@(?P<commit>[0-9a-f]{40})")
GH = """#!/bin/sh
echo "$*" >> "$GH_NOTED"
case "$*" in
  "attestation verify "*) exit "$ATTESTATION_VERIFIES" ;;
  "api --paginate "*) echo "$EARLIER_COMMENT" ;;
  *" body=@preview.md "*) cp preview.md "$GH_NOTED.body" ;;
esac
"""
STAND_INS = {
    "docker/build-push-action": "build-push",
    "actions/upload-artifact": "upload-artifact",
    "actions/download-artifact": "download-artifact",
}


@dataclass(frozen=True)
class Run:
    """How a workflow ended.

    Attributes:
        status: act's exit status
        said: all that it printed
        asked: the inputs of each action that is stood for, in the order they ran
        gh: the command lines of gh
        comment: what gh was given as a comment's text
    """

    status: int
    said: str
    asked: list[dict[str, str]]
    gh: list[str]
    comment: str


@dataclass(frozen=True)
class GitHub:
    """Runs workflows, with a registry of the test's own.

    Attributes:
        scratch: where it keeps what it needs
        registry: host:port
        repository: owner and name, as GitHub has them
    """

    scratch: Path
    registry: str
    repository: str = GITHUB_REPOSITORY

    def image(self, name: str) -> str:
        """Return what an image is published as."""
        return f"{self.registry}/{self.repository.partition('/')[0].lower()}/{name}"

    def run(
        self, clone: Path, workflow: str, event: str, payload: Any = None, job: str = "", **environment: str
    ) -> Run:
        """Run the workflow that an event starts on what is checked out in a clone.

        Args:
            clone: its HEAD is what checkout gives
            workflow: the name of its file
            event: push, pull_request
            payload: what GitHub says of the event
            job: the only one to run, with those that it needs
            environment: more of what the steps find, and gh: ATTESTATION_VERIFIES, its exit status; EARLIER_COMMENT
        """
        own = self.scratch / f"run-{len(list(self.scratch.iterdir()))}-{clone.name}"
        (own / "bin").mkdir(parents=True)
        gh, actions_noted, gh_noted = own / "bin" / "gh", own / "actions", own / "gh-lines"
        gh.write_text(GH)
        gh.chmod(0o755)
        actions_noted.touch()
        gh_noted.touch()
        environ = shell_environment() | {
            "PATH": f"{gh.parent}:{NODE}:{os.environ['PATH']}",
            "XDG_CACHE_HOME": str(own / "cache"),
            "ACTIONS_NOTED": str(actions_noted),
            "GH_NOTED": str(gh_noted),
            "ARTIFACTS": str(own),
            "ATTESTATION_VERIFIES": "0",
            "EARLIER_COMMENT": "",
        }
        (own / "event.json").write_text(json.dumps(payload or {}))
        done = subprocess.run(
            [ACT, event, "--eventpath", own / "event.json", *self._options(clone, workflow, job)],
            cwd=clone,
            env=environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        asked = [json.loads(line) for line in actions_noted.read_text().splitlines()]
        body = gh_noted.with_suffix(".body")
        comment = body.read_text() if body.exists() else ""
        return Run(done.returncode, done.stdout, asked, gh_noted.read_text().splitlines(), comment)

    def _options(self, clone: Path, workflow: str, job: str) -> Iterator[str]:
        yield from ("--workflows", str(WORKFLOWS / workflow))
        if job:
            yield from ("--job", job)
        yield from ("--platform", "ubuntu-24.04=-self-hosted")
        yield from ("--container-daemon-socket", "-")  # nothing runs in containers
        yield "--use-gitignore=false"  # the packages that the clone was lent are copied too
        yield from ("--env", f"GITHUB_REPOSITORY={self.repository}")
        yield from ("--var", f"REGISTRY={self.registry}")
        for name, commit in _remote_actions(clone):
            if name != "actions/checkout":
                yield from ("--local-repository", f"{name}@{commit}={ACTIONS / STAND_INS.get(name, 'recorded')}")

    def manifest(self, reference: str) -> dict[str, Any] | None:
        """Return what the registry has by a reference, if it has it."""
        asked = subprocess.run(
            ["docker", "manifest", "inspect", "--insecure", reference], capture_output=True, text=True, check=False
        )
        found: dict[str, Any] | None = json.loads(asked.stdout) if asked.returncode == 0 else None
        return found


def _remote_actions(clone: Path) -> set[tuple[str, str]]:
    texts = [path.read_text() for path in (clone / WORKFLOWS).iterdir()]
    return {(found["name"], found["commit"]) for text in texts for found in REMOTE_ACTION.finditer(text)}
