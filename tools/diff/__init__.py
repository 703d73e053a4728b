"""make diff: what the files here would change in each environment, and what follows from it.

    python -m tools diff [REF] [--markdown | --json]
    python -m tools diff --live [--markdown | --json]

REF is a commit, main without one. Both sides are rendered as they are deployed: as Argo CD does where an Application
follows the environment. With --live, the cluster of KUBECONFIG says what it has and what it would make of the files;
nothing is changed there.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.command import FailedError, RefusedError, ask, one_line, require_repository
from tools.diff.live import attempt, bare, kinds_of, present, require_cluster
from tools.diff.report import APPLICATIONS, FORMATS, Difference, Report
from tools.diff.rules import Situation
from tools.diff.stored import Stored, stored
from tools.dryrun.program import NotBuiltError
from tools.manifests import Manifest, Project, get, project_of
from tools.render import RenderError, add_components, copy_tree, render
from tools.repository import OVERLAYS, REPOSITORY, environments
from tools.texts import UnreadableError

DIRECTORIES = ("deploy", "argocd")
REFERENCES = ("main", "origin/main")


# --- the two sides


@dataclass(frozen=True)
class Side:
    """All that a tree renders to.

    Attributes:
        environments: the manifests of each
        argocd: those that tell Argo CD what to follow
    """

    environments: dict[str, list[Manifest]]
    argocd: list[Manifest]

    def project(self, environment: str) -> Project | None:
        """Return the AppProject of the Application that follows an environment."""
        return project_of(self.argocd, f"deploy/overlays/{environment}")


def find_reference(repository: Path, named: str | None) -> tuple[str, str]:
    """Return the name and the id of the commit to compare with.

    Raises:
        RefusedError: if there is none.
    """
    require_repository(repository)
    for name in [named] if named else REFERENCES:
        asked = ask("git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", cwd=repository)
        if asked.returncode == 0:
            return name, asked.stdout.strip()
    wanted = named or " or ".join(REFERENCES)
    raise RefusedError(f"{wanted} is no commit of {repository}: 'git fetch origin' may bring it, or name another REF")


def export(repository: Path, commit: str, into: Path) -> None:
    """Write what a commit has of the manifests.

    Raises:
        FailedError: if Git does not give it.
    """
    listed = ask("git", "ls-tree", "--name-only", commit, "--", *DIRECTORIES, cwd=repository)
    read = [("read-tree", f"--prefix={name}/", f"{commit}:{name}") for name in listed.stdout.split()]
    # Git writes the files itself, by an index of its own, and all of them where the checkout is sparse. To unpack an
    # archive safely would take Python 3.11.4.
    for step in (*read, ("checkout-index", "--all", f"--prefix={into}/")):
        git = ("git", "-c", "core.sparseCheckout=false", *step)
        done = ask(*git, cwd=repository, more={"GIT_INDEX_FILE": str(into / "index")})
        if done.returncode:
            raise FailedError(f"Git does not give the manifests of {commit[:12]}: {one_line(done.stderr)}")


def copy(repository: Path, into: Path) -> None:
    """Write what the manifests are now, uncommitted changes included."""
    for name in DIRECTORIES:
        if (repository / name).is_dir():
            copy_tree(repository / name, into / name)


def render_tree(tree: Path, pool: ThreadPoolExecutor) -> Side:
    """Render every environment as it is deployed.

    Raises:
        RenderError: if Kustomize refuses one.
    """
    argocd = render(tree / APPLICATIONS) if (tree / APPLICATIONS).is_dir() else []
    overlays = tree / OVERLAYS.relative_to(REPOSITORY)
    for application in (item for item in argocd if item["kind"] == "Application"):
        add_components(tree, get(application, ("spec", "source")) or {})
    names = environments(overlays)
    rendered = pool.map(render, [overlays / name for name in names])
    return Side(dict(zip(names, rendered, strict=True)), argocd)


@contextmanager
def _scratch() -> Iterator[tuple[Path, Path]]:
    with tempfile.TemporaryDirectory(prefix="diff-") as directory:
        before, after = Path(directory, "before"), Path(directory, "after")
        before.mkdir()
        after.mkdir()
        yield before, after


def compare_with_commit(repository: Path, commit: str) -> list[Difference]:
    """Return what the files here change of what a commit has, for each environment and for Argo CD.

    Raises:
        FailedError: if Git does not give the commit's files.
        RenderError: if Kustomize refuses one side.
    """
    with _scratch() as (old, new), ThreadPoolExecutor() as pool:
        export(repository, commit, old)
        copy(repository, new)
        before, after = pool.map(lambda tree: render_tree(tree, pool), (old, new))
    names = sorted({*before.environments, *after.environments})
    sides = [(before.environments.get(name, []), after.environments.get(name, [])) for name in names]
    pairs = zip(names, _kept(sides), strict=True)
    differences = [Difference(name, one.situation(after.project(name))) for name, one in pairs]
    return [*differences, Difference(APPLICATIONS, Situation(before.argocd, after.argocd))]


def _kept(sides: Sequence[tuple[Sequence[Manifest], Sequence[Manifest]]]) -> list[Stored]:
    """Return both sides as the API server keeps them; as they are written where its code is not built."""
    try:
        return stored(sides)
    except NotBuiltError as error:
        print(f"diff: note: not asked: what the API server refuses: {error}", file=sys.stderr)
        return [Stored(before, after) for before, after in sides]


def compare_with_cluster(repository: Path) -> list[Difference]:
    """Return what the files here change of what the cluster has, for each environment.

    Raises:
        RefusedError: if no cluster answers.
        FailedError: if it does not tell what it has.
        RenderError: if Kustomize refuses an overlay.
    """
    require_cluster()
    with _scratch() as (scratch, tree), ThreadPoolExecutor() as pool:
        copy(repository, tree)
        side = render_tree(tree, pool)
        # Of all environments: what one no longer has, another may still have.
        kinds = kinds_of(item for manifests in side.environments.values() for item in manifests)
        return list(pool.map(lambda name: _live(name, side, kinds, scratch), side.environments))


def _live(environment: str, side: Side, kinds: str, scratch: Path) -> Difference:
    wanted, project = side.environments[environment], side.project(environment)
    found = present(wanted, kinds, scratch)
    made, refusals = attempt(wanted, found, project is not None, scratch)
    situation = Situation([bare(item) for item in found], [bare(item) for item in made], project)
    return Difference(environment, situation, tuple(refusals))


# --- the command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell a parser what the command takes."""
    parser.epilog = "Exit status: 0 nothing changes, 1 something does, 2 it cannot be told."
    parser.add_argument("ref", metavar="REF", nargs="?", help=f"a commit to compare with; without it, {REFERENCES[0]}")
    parser.add_argument("--live", action="store_true", help="compare with the cluster of KUBECONFIG instead")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--markdown", dest="form", action="store_const", const="markdown", help="for a pull request")
    form.add_argument("--json", dest="form", action="store_const", const="json", help="for a program")


def report(options: argparse.Namespace, repository: Path = REPOSITORY) -> Report:
    """Return what changes.

    Raises:
        RefusedError: if what was asked for is wrong.
        FailedError: if Git or the cluster does not answer.
        RenderError: if Kustomize refuses something.
    """
    if options.live and options.ref:
        raise RefusedError(f"--live compares with the cluster, not with {options.ref}: give one of the two")
    if options.live:
        return Report("the cluster", "", compare_with_cluster(repository))
    name, commit = find_reference(repository, options.ref)
    return Report(name, commit, compare_with_commit(repository, commit))


def main(options: argparse.Namespace, repository: Path = REPOSITORY) -> int:
    """Print what changes and return the exit status: 0 nothing, 1 something, 2 if it cannot be told."""
    try:
        found = report(options, repository)
    except (RefusedError, FailedError, RenderError, UnreadableError) as error:
        print(f"diff: error: {one_line(str(error))}", file=sys.stderr)
        return 2
    print(FORMATS[options.form or "text"](found))
    return int(any(found.differences))
