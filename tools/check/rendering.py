"""The renderings that the repository supports, and what rules ask about the objects in them."""

import difflib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from tools.check.sources import DUMPER, Document, Place, Sources, chain, files_of, read
from tools.command import RefusedError
from tools.manifests import Container, FieldPath, Manifest, Pod, get, is_of_kubernetes, pods_of, selects
from tools.render import RenderError, build, copy_tree
from tools.repository import kustomization_of
from tools.texts import load_yaml, read_yaml

APPLICATION_PATH = ("spec", "source", "path")
# Each wrong name is compared with all of these: with as many wrong ones, that is the square of a file's size.
_MOST_NAMES = 500


@dataclass(frozen=True)
class Problem:
    """What a rule found.

    Attributes:
        place: the line to change
        reason: what is wrong there, and why that matters
        advice: what to do
        note: whether it is only worth knowing
    """

    place: Place
    reason: str
    advice: str
    note: bool = False


@dataclass(frozen=True)
class Rendering:
    """What Kustomize makes of an overlay.

    Attributes:
        environment: the overlay's name
        followed: whether Argo CD deploys it
        added: the components that were added to it
        text: the YAML
        warnings: what Kustomize warned of
        sources: what it is made of
    """

    environment: str
    followed: bool
    added: tuple[Path, ...]
    text: str
    warnings: str
    sources: Sources

    @cached_property
    def objects(self) -> list[Manifest]:
        """The objects."""
        return load_yaml(self.text, f"what Kustomize makes of {self.environment}")

    @cached_property
    def pods(self) -> list[Pod]:
        """The pods of the objects that have some."""
        return pods_of(self.objects)

    @property
    def containers(self) -> list[Container]:
        """The containers of all pods."""
        return [container for pod in self.pods for container in pod.containers]

    @cached_property
    def namespace(self) -> str:
        """The namespace that most objects are in."""
        named = [str(one["metadata"].get("namespace", "")) for one in self.objects if one["kind"] != "Namespace"]
        return max(named, key=named.count, default="")

    @property
    def deploy(self) -> Path:
        """Where the overlays' directory is."""
        return self.sources.last().file.parent.parent.parent

    def of_kind(self, *kinds: str) -> list[Manifest]:
        """Return the objects of some kinds of Kubernetes."""
        return [one for one in self.objects if one["kind"] in kinds and is_of_kubernetes(one)]

    def find(self, kind: str, name: str) -> Manifest | None:
        """Return an object of any kind; None if there is none of this name."""
        return next((one for one in self.objects if (one["kind"], one["metadata"]["name"]) == (kind, name)), None)

    def selected(self, selector: dict[str, Any] | None) -> list[Pod]:
        """Return the pods that a label selector selects."""
        return [pod for pod in self.pods if selects(selector, pod.labels)]

    def problem(
        self, manifest: Manifest, path: FieldPath, reason: str, advice: str, word: str = "", *, note: bool = False
    ) -> Problem:
        """Return a problem of a field of an object."""
        return Problem(self.sources.locate(manifest, path, word), reason, advice, note)


def nearest(wrong: str, known: Iterable[str]) -> str:
    """Return a question for the name that was perhaps meant; empty if none is near, or there are too many."""
    others = set(known) - {wrong}
    close = difflib.get_close_matches(wrong, sorted(others), n=1) if len(others) < _MOST_NAMES else []
    return f"; did you mean '{close[0]}'?" if close else ""


@dataclass(frozen=True)
class Entry:
    """An item of one of a kustomization's lists."""

    file: Path
    key: str
    index: int


@dataclass(frozen=True)
class Tree:
    """A repository's manifests.

    Attributes:
        given: the directory that was named
        deploy: where they are: deploy/, in another repository perhaps of another name
        scratch: where a copy of the repository is, as far as renderings need it
        own: whether it keeps the conventions of this one
    """

    given: Path
    deploy: Path
    scratch: Path
    own: bool = True

    @property
    def root(self) -> Path:
        """The repository."""
        return self.deploy.parent

    def name_of(self, file: Path) -> str:
        """Return what a message calls a file: its path from the directory that was named."""
        return os.path.relpath(file, self.given)

    def files(self, pattern: str) -> list[Path]:
        """Return the files whose names match a pattern."""
        directories = (self.root / "argocd", self.deploy)
        return sorted(file for directory in directories for file in directory.rglob(pattern) if file.is_file())

    def read_files(self, *patterns: str) -> list[Path]:
        """Return those that somebody reads as manifests: elsewhere, a template of Helm may stand beside them."""
        files = sorted(file for pattern in patterns for file in self.files(pattern))
        return [one for one in files if self.own or one in self._named]

    @cached_property
    def _named(self) -> set[Path]:
        return {file for overlay in self.overlays for file in files_of(overlay)}

    @property
    def overlays(self) -> list[Path]:
        """The overlays' directories."""
        return _kustomized(self.deploy, "overlays")

    def applications(self, environment: str) -> list[Manifest]:
        """Return the Applications of Argo CD that deploy an environment."""
        overlay = self.deploy / "overlays" / environment
        documents = [one.data for one in self.argocd("Application")]
        return [one for one in documents if self.root / str(get(one, APPLICATION_PATH)) == overlay]

    def is_applied_by_the_server(self, environment: str) -> bool:
        """Tell whether Argo CD deploys an environment, and as `kubectl apply --server-side` does."""
        options = [get(one, ("spec", "syncPolicy", "syncOptions")) or [] for one in self.applications(environment)]
        return bool(options) and all("ServerSideApply=true" in one for one in options)

    def argocd(self, *kinds: str) -> list[Document]:
        """Return the objects of some kinds in argocd/."""
        documents = [one for file in sorted((self.root / "argocd").glob("*.y*ml")) for one in read(file)]
        return [one for one in documents if get(one.data, ("kind",)) in kinds]

    @cached_property
    def platform(self) -> list[Manifest]:
        """What the clusters have of the platform; nothing if Kustomize refuses it."""
        directory = self.deploy / "platform"
        try:
            text = build(directory)[0] if kustomization_of(directory).is_file() else ""
        except RenderError:
            return []
        return load_yaml(text, f"what Kustomize makes of {directory}")

    def renderings(self, overlay: Path) -> list[Rendering]:
        """Return an overlay as it is, and with every component that it lacks; elsewhere these may exclude each other.

        A component that asks for edits of its overlay says so, and is not added to one that has not made them.

        Raises:
            RenderError: if Kustomize refuses one.
        """
        missing = [one for one in self.missing_components(overlay) if not _asks_for_edits(one)] if self.own else []
        return [self.render(overlay), *([self.render(overlay, missing)] if missing else [])]

    def deployed(self, renderings: Sequence[Rendering]) -> list[Rendering]:
        """Return each overlay as it is deployed: with the components that an Application of Argo CD adds to it.

        Args:
            renderings: those that there are already

        Raises:
            RenderError: if Kustomize refuses one.
        """
        return [self._deployed(overlay, renderings) for overlay in self.overlays]

    def named_components(self, environment: str) -> set[Path]:
        """Return the components that Applications of Argo CD add to an environment."""
        overlay = self.deploy / "overlays" / environment
        return {
            (overlay / str(component)).resolve()
            for application in self.applications(environment)
            for component in get(application, ("spec", "source", "kustomize", "components")) or []
        }

    def taken(self, rendering: Rendering, objects: Iterable[Manifest]) -> list[Manifest]:
        """Return those objects of a rendering that not only a component brings that nobody takes."""
        unused = set(rendering.added) - self.named_components(rendering.environment)

        def is_unused(manifest: Manifest) -> bool:
            file = rendering.sources.file_of(manifest)
            return file is not None and not unused.isdisjoint(file.parents)

        return [one for one in objects if not (unused and is_unused(one))]

    def _deployed(self, overlay: Path, renderings: Sequence[Rendering]) -> Rendering:
        named = self.named_components(overlay.name)
        added = tuple(one for one in self.missing_components(overlay) if one in named)
        there = (one for one in renderings if (one.environment, one.added) == (overlay.name, added))
        return next(there, None) or self.render(overlay, added)

    def missing_components(self, overlay: Path) -> list[Path]:
        """Return the components that an overlay does not have: first those that others may patch."""
        present = {one.directory for one in chain(overlay)}
        missing = [directory for directory in _kustomized(self.deploy, "components") if directory not in present]
        return sorted(missing, key=lambda directory: any(one.patches for one in chain(directory)))

    def render(self, overlay: Path, added: Sequence[Path] = (), without: Entry | None = None) -> Rendering:
        """Return what Kustomize makes of an overlay.

        Args:
            overlay: its directory
            added: components that are added to it, as Argo CD adds one
            without: an entry of a kustomization that is left out

        Raises:
            RenderError: if Kustomize refuses it.
        """
        text, warnings = self._build_variant(overlay, added, without) if added or without else build(overlay)
        sources = Sources(chain(overlay, added))
        return Rendering(overlay.name, bool(self.applications(overlay.name)), tuple(added), text, warnings, sources)

    def _build_variant(self, overlay: Path, added: Sequence[Path], without: Entry | None) -> tuple[str, str]:
        changed: dict[Path, Any] = {}
        if without:
            changed[without.file] = read_yaml(without.file)[0]
            del changed[without.file][without.key][without.index]
        if added:
            file = kustomization_of(overlay)
            data = changed.setdefault(file, read_yaml(file)[0])
            data["components"] = [*(data.get("components") or []), *(f"../../components/{path.name}" for path in added)]
        copies = {self._copy_of(file): data for file, data in changed.items()}
        for copy, data in copies.items():
            copy.write_text(yaml.dump(data, Dumper=DUMPER))
        try:
            return build(self._copy_of(overlay))
        except RenderError as error:
            # The copy is nobody's business.
            raise RenderError(str(error).replace(str(self.scratch), str(self.root))) from None
        finally:
            for file in changed:
                shutil.copy(file, self._copy_of(file))

    def _copy_of(self, path: Path) -> Path:
        if not path.is_relative_to(self.root):
            raise RenderError(f"there is no copy of {path}, which is not below {self.root}")
        return self.scratch / path.relative_to(self.root)


def _asks_for_edits(component: Path) -> bool:
    says = get(read_yaml(kustomization_of(component))[0], ("metadata", "annotations", "check"))
    return bool(says == "only-where-taken")


def _kustomized(deploy: Path, name: str) -> list[Path]:
    return sorted(path for path in deploy.glob(f"{name}/*") if kustomization_of(path).is_file())


@contextmanager
def open_tree(root: Path, *, own: bool = True) -> Iterator[Tree]:
    """Give a repository's tree, with a copy that its variants are rendered from.

    Args:
        root: the repository, or the directory in which its overlays/ are
        own: whether it keeps the conventions of this one

    Raises:
        RefusedError: if it has no overlay.
    """
    found = [one.resolve() for one in (root / "deploy", root) if _kustomized(one, "overlays")]
    if not found:
        raise RefusedError(f"{root} has no kustomization in deploy/overlays/NAME: name a directory that has overlays/")
    with tempfile.TemporaryDirectory(prefix="check-") as scratch:
        tree = Tree(root.resolve(), found[0], Path(scratch).resolve(), own)
        copy_tree(tree.deploy, tree.scratch / tree.deploy.name, _left_out)
        for beside in tree.root.iterdir():
            if beside != tree.deploy:
                (tree.scratch / beside.name).symlink_to(beside)
        yield tree


def _left_out(directory: str, names: list[str]) -> set[str]:
    """Return what of a directory is not copied: what cannot be, and what is large and no manifest."""
    unreadable = {one for one in names if not os.access(Path(directory, one), os.R_OK)}
    special = {one for one in names if not (Path(directory, one).is_file() or Path(directory, one).is_dir())}
    return unreadable | special | {".git", "node_modules"}
