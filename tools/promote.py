"""make promote: one commit on main that makes an environment run an image, by its tag and its digest.

In the environment: REGISTRY (HOST[:PORT]), a registry that holds the images in place of the one that the manifests
name.

The commit is made in a worktree of its own, on what origin's main is now, so neither the checkout nor its branch is
touched. Git itself keeps two promoters from losing each other's commit: a push that is not a fast-forward is refused,
and the one who came second starts again from what the first left.
"""

import argparse
import fcntl
import os
import random
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from tools.check.sources import items_of, value_of
from tools.command import FailedError, RefusedError, ask, one_line, require, require_repository
from tools.images import SOURCES, Image
from tools.manifests import pods_of
from tools.render import RenderError, render
from tools.repository import APPLICATION, OVERLAYS, REPOSITORY, followed
from tools.texts import read_text

REMOTE, BRANCH = "origin", "main"
# Every lost race is a promotion that another won, so as many promoters as this can start at once.
TRIES = 10
# Random, so that those who lost the same race do not meet again in the next.
PAUSE_SECONDS = (0.1, 0.5)
TAG = re.compile(r"sha-(?P<commit>[0-9a-f]{40})")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
# Parts of what `docker manifest inspect` says; its status is 1 whatever is wrong.
NOT_THERE = ("no such manifest", "manifest unknown", "name unknown")
NOT_ALLOWED = ("denied", "unauthorized", "credentials")


@dataclass(frozen=True)
class Build:
    """An image and what it was built from.

    Attributes:
        image: its short name: api
        commit: the source's commit, in full
        digest: sha256:…; empty if nobody says
    """

    image: str
    commit: str
    digest: str

    @property
    def tag(self) -> str:
        """The tag that was given to it, for people; what runs is the digest."""
        return f"sha-{self.commit}"

    def __str__(self) -> str:
        return f"{self.image} of {self.commit[:12]}"


@dataclass(frozen=True)
class Pin:
    """The entry that says which build of an image an environment runs.

    Attributes:
        image: the image, by the name it has there
        build: the build that runs
        text: the file
        edits: what is replaced to have another build: first and last position, and by what, the last place first
    """

    image: Image
    build: Build
    text: str
    edits: tuple[tuple[int, int, str], ...]

    def with_build(self, build: Build) -> str:
        """Return the file with another build; every other byte stays as it is."""
        text = self.text
        for start, end, form in self.edits:
            text = text[:start] + form.format(tag=build.tag, digest=build.digest) + text[end:]
        return text


def find_environment(tree: Path, named: str) -> str:
    """Return the environment that is promoted to: the one that is named, or the only one that Argo CD follows.

    Raises:
        RefusedError: if Argo CD does not follow it, or follows several and none is named.
    """
    known = sorted(followed(tree / APPLICATION.parent.relative_to(REPOSITORY)))
    if named in known:
        return named
    if len(known) == 1 and not named:
        return known[0]
    told = f"does not follow '{named}'" if named else f"follows {len(known)} environments"
    raise RefusedError(f"Argo CD {told} on {REMOTE}/{BRANCH}; choose one that it follows by ENV=: {', '.join(known)}")


def pins_of(environment: str) -> Path:
    """Return the file, in the repository, that holds an environment's image tags and nothing else."""
    return (OVERLAYS / environment / "images" / "kustomization.yaml").relative_to(REPOSITORY)


def read_pin(tree: Path, environment: str, short: str) -> Pin:
    """Find the entry of an image among the image tags: on one line or, as `kustomize edit` has it, on several.

    Raises:
        RefusedError: unless exactly one entry names that image and a commit's tag; the message lists those there are.
    """
    file = pins_of(environment)
    path = tree / file
    # Line ends are somebody's choice, and no part of a promotion.
    text = read_text(path, newline="") if path.is_file() else ""
    pins = [pin for pin in _pins(text, tree) if pin]
    found = [pin for pin in pins if pin.build.image == short]
    if len(found) != 1:
        known = ", ".join(sorted({pin.build.image for pin in pins})) or "none"
        raise RefusedError(
            f"IMAGE={short} has {len(found)} entries like '- {{name: REGISTRY/{short}, newTag: sha-COMMIT}}' in {file}"
            f" on {REMOTE}/{BRANCH}, and needs one; there are entries for: {known}"
        )
    return found[0]


def _pins(text: str, tree: Path) -> Iterator[Pin | None]:
    """Give the entries of `images`; None for one that names no commit."""
    try:
        document = yaml.compose(text)
    except yaml.YAMLError:
        return
    for entry in items_of(document, "images") if document else []:
        yield _pin(text, tree, entry)


def _pin(text: str, tree: Path, entry: yaml.Node) -> Pin | None:
    name, tag, digest = (value_of(entry, key) for key in ("name", "newTag", "digest"))
    named = TAG.fullmatch(str(tag.value)) if tag else None
    if not (name and tag and named and (digest is None or DIGEST.fullmatch(str(digest.value)))):
        return None
    short = str(name.value).rpartition("/")[2]
    build = Build(short, named["commit"], str(digest.value) if digest else "")
    with_digest = f"{{tag}}{_between(text, entry)}digest: {{digest}}"
    places = [(tag, "{tag}"), (digest, "{digest}")] if digest else [(tag, with_digest)]
    edits = sorted(((node.start_mark.index, node.end_mark.index, form) for node, form in places), reverse=True)
    return Pin(Image(str(name.value), tree / SOURCES / short), build, text, tuple(edits))


def _between(text: str, entry: yaml.Node) -> str:
    """Return what stands between two fields of an entry."""
    if isinstance(entry, yaml.MappingNode) and entry.flow_style:
        return ", "
    return ("\r\n" if "\r\n" in text else "\n") + " " * entry.start_mark.column


def already_done(repository: Path, environment: str, running: Build, wanted: Build) -> str:
    """Return why there is nothing to do; nothing if the wanted build is newer than the one that runs.

    Raises:
        RefusedError: if neither is newer, or it is another build of the same commit.
    """
    if running == wanted:
        return f"{environment} already runs {wanted}"
    if running.commit == wanted.commit and running.digest:
        # Which of two builds of a commit is the newer cannot be told, so a late job could undo what another put right.
        raise RefusedError(
            f"{environment} runs another build of {wanted.commit[:12]}, {running.digest}: a commit is built once;"
            " to replace that build, make a new commit and promote its image"
        )
    if ask("git", "cat-file", "-e", f"{running.commit}^{{commit}}", cwd=repository).returncode:
        raise RefusedError(
            f"{environment} runs {running}, a commit that is not in this repository, so nobody can tell which is newer:"
            f" set the tag in {pins_of(environment)} to one of {REMOTE}/{BRANCH} first"
        )
    if is_ancestor(repository, running.commit, wanted.commit):
        return ""
    if is_ancestor(repository, wanted.commit, running.commit):
        return (
            f"{environment} already runs a newer build, {running}; to go back, 'git revert' the commit that promoted it"
        )
    raise RefusedError(
        f"neither of {running}, which {environment} runs, and {wanted} contains the other's commit:"
        f" promote an image of a commit that contains both, such as {REMOTE}/{BRANCH}'s last"
    )


def is_ancestor(repository: Path, ancestor: str, commit: str) -> bool:
    """Tell whether a commit contains another; each contains itself."""
    return ask("git", "merge-base", "--is-ancestor", ancestor, commit, cwd=repository).returncode == 0


def check_registry(image: Image, digest: str) -> None:
    """Make sure that the registry has the image.

    Raises:
        RefusedError: if it has not, or cannot be asked.
    """
    registry = os.environ.get("REGISTRY", "")
    reference = f"{image.at(registry)}@{digest}"
    # One that is named here may be local, without TLS; the digest vouches for the content in any case.
    insecure = ["--insecure"] if registry else []
    asked = ask("docker", "manifest", "inspect", *insecure, reference)
    if asked.returncode == 0:
        return
    host, reason = reference.partition("/")[0], one_line(asked.stderr)
    if any(said in reason for said in NOT_THERE):
        raise RefusedError(f"{host} has no {reference}: push it first, or take the digest that the push printed")
    if any(said in reason for said in NOT_ALLOWED):
        raise RefusedError(f"{host} does not let you read {reference} ({reason}): 'docker login {host}' first")
    raise RefusedError(f"{host} does not say whether it has {reference}: {reason}; try again once it answers")


def git(directory: Path, *arguments: str | Path) -> str:
    """Run Git, and return what it says.

    Raises:
        FailedError: if it does not succeed.
    """
    # A sparse checkout's worktree would lack the files that are looked at here.
    done = ask("git", "-c", "core.sparseCheckout=false", *arguments, cwd=directory)
    if done.returncode:
        raise FailedError(f"this failed: git {arguments[0]}: {one_line(done.stderr)}")
    return done.stdout.strip()


def check_repository(repository: Path) -> None:
    """Make sure that this is a clone with all of its history.

    Raises:
        RefusedError: if it is not.
    """
    require_repository(repository)
    if git(repository, "rev-parse", "--is-shallow-repository") == "true":
        raise RefusedError(
            "this clone has no history to tell which commit is newer:"
            " 'git fetch --unshallow' (in a workflow, fetch-depth: 0)"
        )


@contextmanager
def alone(repository: Path) -> Iterator[None]:
    """Wait until no other promoter works in this clone."""
    # Git reads every worktree of a clone when it fetches, and fails on one that is half made or half removed.
    directory = os.open(git(repository, "rev-parse", "--path-format=absolute", "--git-common-dir"), os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


@contextmanager
def worktree(repository: Path) -> Iterator[Path]:
    """Give a worktree that is gone afterwards; its HEAD, index and FETCH_HEAD are its own."""
    with alone(repository), tempfile.TemporaryDirectory(prefix="promote-") as scratch:
        tree = Path(scratch) / "tree"
        git(repository, "worktree", "add", "--quiet", "--detach", "--no-checkout", tree)
        try:
            yield tree
        finally:
            git(repository, "worktree", "remove", "--force", tree)


def fetch(tree: Path) -> str:
    """Return the commit that is the remote's branch now, and have it here.

    Raises:
        RefusedError: if the remote cannot be asked.
    """
    asked = ask("git", "fetch", "--quiet", "--no-tags", REMOTE, f"refs/heads/{BRANCH}", cwd=tree)
    if asked.returncode:
        raise RefusedError(f"{REMOTE}/{BRANCH} cannot be fetched (see 'git remote -v'): {one_line(asked.stderr)}")
    return git(tree, "rev-parse", "FETCH_HEAD")


def find_source(repository: Path, named: str, head: str) -> str:
    """Return the full id of the commit that an image was built from.

    Raises:
        RefusedError: if there is no such commit, or the remote's branch does not contain it.
    """
    asked = ask("git", "rev-parse", "--verify", "--quiet", f"{named}^{{commit}}", cwd=repository)
    if asked.returncode:
        raise RefusedError(f"SOURCE={named} is not a commit of this repository: give the one the image was built from")
    commit = asked.stdout.strip()
    if not is_ancestor(repository, commit, head):
        raise RefusedError(
            f"SOURCE={named} ({commit[:12]}) is not on {REMOTE}/{BRANCH}: merge it first,"
            " and promote the image of the merge"
        )
    return commit


def check_rendered(directory: Path, name: str, build: Build) -> None:
    """Make sure that the overlay still renders, with the build wherever it names the image.

    Raises:
        FailedError: if it does not.
    """
    try:
        manifests = render(directory)
    except RenderError as error:
        raise FailedError(
            f"{directory.name} of {REMOTE}/{BRANCH} does not render, nothing was committed: {error}"
        ) from None
    images = {str(one.data.get("image")) for pod in pods_of(manifests) for one in pod.containers}
    rendered = {image for image in images if re.match(rf"{re.escape(name)}(?:[:@]|$)", image)}
    expected = f"{name}:{build.tag}@{build.digest}"
    if rendered != {expected}:
        found = ", ".join(sorted(rendered)) or f"no {name}"
        raise FailedError(f"{directory.name} renders {found} instead of {expected}; nothing was committed")


def commit_build(tree: Path, environment: str, pin: Pin, build: Build) -> str:
    """Commit the build in the worktree, and return the commit.

    Raises:
        FailedError: if the overlay does not render with it, or Git does not commit.
    """
    file = pins_of(environment)
    (tree / file).write_bytes(pin.with_build(build).encode())
    check_rendered(tree / file.parent.parent, pin.image.name, build)
    subject = f"chore({environment}): promote {build.image} to sha-{build.commit[:12]}"
    trailers = f"Source-Commit: {build.commit}\nImage-Digest: {build.digest}"
    git(tree, "commit", "--quiet", f"--message={subject}", f"--message={trailers}", "--", file)
    return git(tree, "rev-parse", "HEAD")


def promote(image: str, digest: str, source: str, named: str = "", repository: Path = REPOSITORY) -> None:
    """Have an environment run an image, unless it runs a newer one.

    Args:
        image: its short name
        digest: sha256:…
        source: what names the commit it was built from
        named: the environment; empty for the only one that Argo CD follows
        repository: the clone whose remote is told

    Raises:
        RefusedError: if that would be wrong, or cannot be begun; nothing was changed then.
        FailedError: if a step does not succeed; nothing was pushed then.
    """
    if not DIGEST.fullmatch(digest):
        raise RefusedError(
            f"DIGEST={digest} is not a digest: give what the push printed, sha256: and 64 hexadecimal digits"
        )
    require("docker", "it asks the registry for the image; install it (https://docs.docker.com/engine/install/)")
    check_repository(repository)
    with worktree(repository) as tree:
        head = fetch(tree)
        build = Build(image, find_source(repository, source, head), digest)
        for _ in range(TRIES):
            git(tree, "reset", "--quiet", "--hard", head)
            environment = find_environment(tree, named)
            pin = read_pin(tree, environment, image)
            if reason := already_done(tree, environment, pin.build, build):
                print(f"Nothing to do: {reason}")
                return
            check_registry(pin.image, digest)
            commit = commit_build(tree, environment, pin, build)
            pushed = ask("git", "push", "--quiet", "--no-follow-tags", REMOTE, f"HEAD:refs/heads/{BRANCH}", cwd=tree)
            if pushed.returncode == 0:
                print(f"Promoted {build} by {commit} on {REMOTE}/{BRANCH}; to go back, 'git revert {commit[:12]}'")
                return
            time.sleep(random.uniform(*PAUSE_SECONDS))  # noqa: S311 - nothing is secret here
            lost, head = head, fetch(tree)
            if lost == head:
                raise FailedError(f"{REMOTE} refuses the push to {BRANCH}: {one_line(pushed.stderr)}")
    raise FailedError(f"{REMOTE}/{BRANCH} moved {TRIES} times while this went on: nothing was promoted, run it again")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("image", metavar="IMAGE", help="its name in the registry, such as api")
    parser.add_argument("digest", metavar="DIGEST", help="what the push of the image printed: sha256:…")
    # The commit that is checked out is the one that a workflow has built.
    parser.add_argument(
        "source", metavar="SOURCE", nargs="?", default="HEAD", help="the commit that it was built from (default: HEAD)"
    )
    parser.add_argument("--environment", metavar="ENV", default="", help="where, if Argo CD follows several")


def main(options: argparse.Namespace) -> int:
    """Do what the command line says.

    Raises:
        RefusedError: if it cannot be begun.
        FailedError: if it does not succeed.
    """
    promote(options.image, options.digest, options.source, options.environment)
    return 0
