"""The images of the product: which ones an overlay runs, what names their content, and how they are built."""

import hashlib
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.command import FailedError, RefusedError, ask, do, require_repository
from tools.manifests import Manifest, pods_of
from tools.repository import REPOSITORY

SOURCES = "src"
# https://github.com/distribution/reference/blob/main/reference.go, of whose digests registries use these three.
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_PATH = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_DIGEST = r"@sha(?:256:[0-9a-f]{64}|384:[0-9a-f]{96}|512:[0-9a-f]{128})"
_REFERENCE = re.compile(rf"(?:{_HOST}/)?{_PATH}(?:/{_PATH})*(?::\w[\w.-]{{0,127}})?(?:{_DIGEST})?", re.ASCII)


@dataclass(frozen=True)
class Image:
    """An image that is built here.

    Attributes:
        name: its name in the manifests, registry included and tag not: ghcr.io/datapress/api
        context: the directory it is built from
    """

    name: str
    context: Path

    def at(self, registry: str) -> str:
        """Return its name in a registry (HOST[:PORT]); without one, the name that the manifests give it."""
        return f"{registry}/{self.name.partition('/')[2]}" if registry else self.name


def name_of(reference: str) -> str:
    """Return an image's name in a reference: without tag and digest."""
    # A colon before a slash is that of the registry's port.
    return re.split(r"@|:(?!.*/)", reference)[0]


def is_reference(text: str) -> bool:
    """Tell whether a container runtime can read a text as the name of an image."""
    return bool(_REFERENCE.fullmatch(text))


def images_of(manifests: Iterable[Manifest]) -> list[Image]:
    """Return the images of containers that are built here: src/ has a directory by a container's name."""
    containers = [container.data for pod in pods_of(manifests) for container in pod.containers]
    named = [Image(name_of(item["image"]), REPOSITORY / SOURCES / item["name"]) for item in containers]
    return list(dict.fromkeys(image for image in named if image.context.is_dir()))


def deployment_of(manifests: Iterable[Manifest], source: str) -> Manifest:
    """Return the Deployment whose pods run the image that is built from a directory of src/, such as `front`.

    Raises:
        RefusedError: unless there is exactly one.
    """
    deployments = [item for item in manifests if item["kind"] == "Deployment"]
    found = [item for item in deployments if source in {image.context.name for image in images_of([item])}]
    if len(found) != 1:
        raise RefusedError(
            f"{len(found)} Deployments have a container named '{source}', which runs what is built from"
            f" {SOURCES}/{source}; there must be one"
        )
    return found[0]


def version() -> str:
    """Return the product's version, as pyproject.toml has it."""
    return str(_project()["version"])


def product() -> str:
    """Return the product's name, as pyproject.toml has it: in lower case."""
    return str(_project()["name"])


def _project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return project


def revision(repository: Path = REPOSITORY) -> str:
    """Return what names the sources' content: the commit and, if src/ differs from it, a hash of src/.

    A tag made of it is never built twice with different content, so a cluster that has the tag has this content.

    Raises:
        RefusedError: if there is no commit.
    """
    require_repository(repository)
    head = ask("git", "rev-parse", "--verify", "--quiet", "HEAD", cwd=repository)
    if head.returncode:
        raise RefusedError(f"images are tagged by the commit, and {repository} has none yet: commit first")
    commit = head.stdout.strip()
    if not ask("git", "status", "--porcelain", "--", SOURCES, cwd=repository).stdout:
        return commit
    return f"{commit}-dirty-{_content_hash(repository)[:12]}"


def _content_hash(repository: Path) -> str:
    listed = ask("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", SOURCES, cwd=repository)
    digest = hashlib.sha256()
    for name in sorted(set(filter(None, listed.stdout.split("\0")))):
        path = repository / name
        # A deleted file is still in Git's list.
        if path.is_file():
            content = path.read_bytes()
            digest.update(f"{name}\0{path.stat().st_mode & 0o111:o}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def build(image: Image, reference: str, source: str) -> None:
    """Build an image from the source that `revision` named.

    Raises:
        FailedError: if Docker cannot build it.
    """
    arguments = [f"--build-arg=VERSION={version()}", f"--build-arg=REVISION={source}"]
    do(["docker", "build", *arguments, "--tag", reference, image.context])


def digest_of(reference: str) -> str:
    """Return the digest (sha256:…) under which a registry holds an image that was just pushed to it.

    Raises:
        FailedError: if Docker knows none.
    """
    repository = reference.rpartition(":")[0]
    inspected = ask("docker", "image", "inspect", "--format", '{{join .RepoDigests "\\n"}}', reference)
    for pushed in inspected.stdout.split():
        if pushed.startswith(f"{repository}@"):
            return pushed.partition("@")[2]
    raise FailedError(f"Docker knows no digest of {reference}, which it has just pushed: {inspected.stderr.strip()}")
