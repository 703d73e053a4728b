"""An application that Argo CD keeps, the repository that it follows, and versions of the API for it."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.cluster.load import Load, load
from tests.support.clones import make_clone
from tests.support.cluster import Cluster, Measure
from tests.support.git import git
from tests.support.product import FOLLOWED, namespace, path
from tools.images import Image, build, digest_of

APPLICATION = NAMESPACE = namespace(FOLLOWED)
KINDS = "deployments,services,configmaps,secrets,serviceaccounts,networkpolicies,poddisruptionbudgets"
OVERLAY = path(FOLLOWED)


def replacing(pattern: str, replacement: str, file: Path = OVERLAY / "kustomization.yaml") -> Callable[[Path], None]:
    """Return an edit that replaces one place of a file of the repository."""

    def edit(directory: Path) -> None:
        path = directory / file
        text, count = re.subn(pattern, replacement, path.read_text())
        assert count == 1, pattern
        path.write_text(text)

    return edit


def following(url: str) -> Callable[[Path], None]:
    """Return the edit that a fork makes: the one line that names the repository."""
    return replacing(r"repoURL: .*", f"repoURL: {url}", Path("argocd/application.yaml"))


@dataclass(frozen=True)
class Source:
    """A clone of the repository, as a developer has it; what it pushes is what Argo CD sees."""

    directory: Path
    url: str

    def git(self, *arguments: str) -> str:
        return git(self.directory, *arguments)

    def pull(self) -> None:
        self.git("pull", "-q", "--rebase", "origin", "main")

    def head(self) -> str:
        return self.git("rev-parse", "HEAD")

    def clone(self, into: Path) -> Path:
        """Make an operator's clone of the repository that Argo CD follows."""
        return make_clone(Path(self.git("remote", "get-url", "origin")), into)

    def take(self, clone: Path) -> str:
        """Have main be what an operator's clone is at; return the commit."""
        git(clone, "push", "--quiet", "origin", "HEAD:main")
        self.pull()
        return self.head()

    def commit(self, subject: str, edit: Callable[[Path], Any] = lambda _: None) -> str:
        """Pull, edit the tree, commit all of it and push; return the commit."""
        self.pull()
        edit(self.directory)
        self.git("add", "--all")
        self.git("commit", "-q", "--allow-empty", "-m", subject)
        self.git("push", "-q", "origin", "HEAD:main")
        return self.head()

    def revert(self, commit: str = "HEAD") -> str:
        """Take back a commit, as the runbook says; return the new one."""
        self.pull()
        self.git("revert", "--no-edit", commit)
        self.git("push", "-q", "origin", "HEAD:main")
        return self.head()

    def restore(self, commit: str) -> None:
        """Have the tree of a commit again, by a new one if there is need."""
        self.pull()
        if self.git("diff", "--name-only", commit):
            self.commit("Restore what a test has left", lambda _: self.git("restore", f"--source={commit}", "."))


@dataclass(frozen=True)
class Loop:
    """The application, as Argo CD keeps it."""

    cluster: Cluster
    source: Source
    name: str = APPLICATION

    @property
    def url(self) -> str:
        return self.cluster.url(NAMESPACE)

    def status(self) -> dict[str, Any]:
        found = self.cluster.kubectl("get", "application", self.name, "-n", "argocd", "-o", "json")
        status: dict[str, Any] = json.loads(found).get("status", {})
        return status

    def operation(self) -> dict[str, Any]:
        operation: dict[str, Any] = self.status().get("operationState", {})
        return operation

    def syncing(self, revision: str) -> bool:
        """Whether a sync of that commit is under way."""
        operation = self.operation()
        return bool(operation.get("phase") == "Running" and operation.get("syncResult", {}).get("revision") == revision)

    def settled(self, revision: str) -> bool:
        """Whether that commit is what runs, wholly, and Argo CD is not at work."""
        status = self.status()
        operation = status.get("operationState", {})
        return bool(
            status.get("sync", {}).get("status") == "Synced"
            and status["sync"].get("revision") == revision
            and status.get("health", {}).get("status") == "Healthy"
            and operation.get("phase") != "Running"
        )

    def synced(self, revision: str) -> bool:
        """Whether the last sync was of that commit, smoke test included."""
        operation = self.operation()
        return bool(
            operation.get("phase") == "Succeeded"
            and operation.get("syncResult", {}).get("revision") == revision
            and self.settled(revision)
        )

    def wait(self, revision: str, seconds: float = 180) -> float:
        """Wait until the last sync was of that commit and succeeded."""
        started = time.monotonic()
        while not self.synced(revision):
            if time.monotonic() - started > seconds:
                pytest.fail(f"{revision} is not synced after {seconds:.0f} s: {json.dumps(self.status())[:3000]}")
            time.sleep(0.2)
        return time.monotonic() - started

    def failure(self) -> str:
        """Return what the last operation says of itself and of each object."""
        operation = self.operation()
        results = operation.get("syncResult", {}).get("resources", [])
        return " ".join([operation.get("message", ""), *(result.get("message", "") for result in results)])

    def conditions(self) -> str:
        """Return what Argo CD says is wrong with the application as Git has it."""
        return " ".join(condition["message"] for condition in self.status().get("conditions", []))

    def served_revision(self) -> str:
        try:
            answer = requests.get(f"{self.url}/api/version", timeout=5)
            revision: str = answer.json()["revision"]
        except (requests.RequestException, ValueError, LookupError):
            return ""
        return revision

    def serves_only(self, revision: str, times: int = 10) -> bool:
        return all(self.served_revision() == revision for _ in range(times))

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """Return an object of the namespace; empty if there is none."""
        done = self.cluster.try_kubectl("get", kind, name, "-n", NAMESPACE, "-o", "json")
        found: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
        return found

    def objects(self) -> set[tuple[str, int | None]]:
        """Return what runs: each object's identity, and the generation that a change of its specification raises."""
        listed = self.cluster.objects(KINDS, NAMESPACE)
        return {(item["metadata"]["uid"], item["metadata"].get("generation")) for item in listed}

    @contextmanager
    def as_before(self, bootstrap: Callable[[], "Loop"]) -> Iterator[None]:
        """Have all be as it was once the context ends, the project too, which commands of a runbook may extend."""
        before = self.source.head()
        try:
            yield
        finally:
            self.source.restore(before)
            self.wait(self.source.head())
            bootstrap()

    def kubectl(self, *arguments: str) -> str:
        return self.cluster.kubectl(*arguments, "-n", NAMESPACE)

    @contextmanager
    def lossless(self, key: str, measure: Measure) -> Iterator[Load]:
        """Users go on while the context lasts, and none of them sees a failure."""
        with load(self.url) as seen:
            yield seen
        seen.measure(key, measure)
        assert seen.failed == [], seen.failed[:5]


@dataclass(frozen=True)
class Builder:
    """Makes versions of the API, as CI would: an image in the registry, and the commit it is built from."""

    cluster: Cluster
    source: Source
    image: Image

    def release(self, what: str, edit: Callable[[Path], Any] = lambda _: None) -> tuple[str, str]:
        """Edit the sources, commit, build, push; return the commit and the image's digest."""
        commit = self.source.commit(what, edit)
        reference = f"{self.image.at(self.cluster.registry)}:sha-{commit}"
        build(self.image, reference, commit)
        subprocess.run(["docker", "push", "-q", reference], check=True, capture_output=True)
        return commit, digest_of(reference)

    def promote(self, commit: str, digest: str) -> str:
        """Promote by the project's own command; return the promotion's commit."""
        done = subprocess.run(
            [sys.executable, "-m", "tools", "promote", "api", digest, commit],
            cwd=self.source.directory,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        self.source.pull()
        return self.source.head()
