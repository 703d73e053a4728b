"""The renderings that the repository supports, and what rules ask about the objects in them."""

import difflib
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from tools.check.sources import DUMPER, KUSTOMIZATION, LOADER, Document, FieldPath, Place, Sources, chain, get, read
from tools.manifests import Manifest
from tools.render import RenderError, build

APPLICATION_PATH = ("spec", "source", "path")
_POD_TEMPLATES: dict[str, FieldPath] = {
    "Pod": (),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    **dict.fromkeys(["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"], ("spec", "template")),
}


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
class Container:
    """A container of a rendered object."""

    manifest: Manifest
    path: FieldPath

    @property
    def data(self) -> dict[str, Any]:
        """What it says."""
        found: dict[str, Any] = get(self.manifest, self.path)
        return found

    @property
    def name(self) -> str:
        """Its name, with that of the object for a message."""
        return f"container '{self.data.get('name')}' of {title(self.manifest)}"

    def items(self, key: str) -> Iterator[tuple[FieldPath, dict[str, Any]]]:
        """Give the items of one of its lists, each with its path."""
        for index, item in enumerate(self.data.get(key) or []):
            yield (*self.path, key, index), item


@dataclass(frozen=True)
class Pod:
    """The pods of a rendered object."""

    manifest: Manifest
    path: FieldPath

    @property
    def spec(self) -> dict[str, Any]:
        """Their specification."""
        return get(self.manifest, (*self.path, "spec")) or {}

    @property
    def labels(self) -> dict[str, str]:
        """Their labels."""
        return get(self.manifest, (*self.path, "metadata", "labels")) or {}

    @property
    def containers(self) -> list[Container]:
        """Their containers, those of the start included."""
        return [
            Container(self.manifest, (*self.path, "spec", key, index))
            for key in ("initContainers", "containers")
            for index in range(len(self.spec.get(key) or []))
        ]

    @property
    def ports(self) -> set[str | int]:
        """The ports that their containers open, by number and by name."""
        opened = [port for container in self.containers for _, port in container.items("ports")]
        return {value for port in opened for value in (port.get("name"), port.get("containerPort")) if value}


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
        return [document for document in yaml.load_all(self.text, Loader=LOADER) if document]

    @cached_property
    def pods(self) -> list[Pod]:
        """The pods of the objects that have some."""
        return [Pod(one, _POD_TEMPLATES[one["kind"]]) for one in self.objects if one["kind"] in _POD_TEMPLATES]

    @property
    def containers(self) -> list[Container]:
        """The containers of all pods."""
        return [container for pod in self.pods for container in pod.containers]

    @cached_property
    def namespace(self) -> str:
        """The namespace that most objects are in."""
        named = [str(one["metadata"].get("namespace", "")) for one in self.objects if one["kind"] != "Namespace"]
        return max(named, key=named.count, default="")

    def of_kind(self, *kinds: str) -> list[Manifest]:
        """Return the objects of some kinds."""
        return [one for one in self.objects if one["kind"] in kinds]

    def find(self, kind: str, name: str) -> Manifest | None:
        """Return an object; None if there is none of this name."""
        return next((one for one in self.of_kind(kind) if one["metadata"]["name"] == name), None)

    def selected(self, selector: dict[str, Any] | None) -> list[Pod]:
        """Return the pods that a label selector selects."""
        return [pod for pod in self.pods if matches(selector or {}, pod.labels)]

    def problem(self, manifest: Manifest, path: FieldPath, reason: str, advice: str, word: str = "") -> Problem:
        """Return a problem of a field of an object."""
        return Problem(self.sources.locate(manifest, path, word), reason, advice)


def title(manifest: Manifest) -> str:
    """Return what a message calls an object."""
    return f"{manifest['kind']} {manifest['metadata']['name']}"


def nearest(wrong: str, known: Iterable[str]) -> str:
    """Return a question for the name that was perhaps meant; empty if none is near."""
    close = difflib.get_close_matches(wrong, sorted(set(known) - {wrong}), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def matches(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Tell whether a label selector selects an object with these labels."""
    wanted = (selector.get("matchLabels") or {}).items()
    return wanted <= labels.items() and all(_holds(one, labels) for one in selector.get("matchExpressions") or [])


def _holds(expression: dict[str, Any], labels: dict[str, str]) -> bool:
    value = labels.get(expression["key"])
    match expression["operator"]:
        case "In":
            return value in expression["values"]
        case "NotIn":
            return value not in expression["values"]
        case "Exists":
            return value is not None
        case _:
            return value is None


@dataclass(frozen=True)
class Entry:
    """An item of one of a kustomization's lists."""

    file: Path
    key: str
    index: int


@dataclass(frozen=True)
class Tree:
    """A repository's deploy/ and argocd/.

    Attributes:
        root: the repository
        scratch: where a copy of deploy/ is
    """

    root: Path
    scratch: Path

    @property
    def deploy(self) -> Path:
        """Where the manifests are."""
        return self.root / "deploy"

    def files(self, pattern: str) -> list[Path]:
        """Return the files whose names match a pattern."""
        return sorted(file for name in ("argocd", "deploy") for file in (self.root / name).rglob(pattern))

    @property
    def overlays(self) -> list[Path]:
        """The overlays' directories."""
        return sorted(path.parent for path in self.deploy.glob(f"overlays/*/{KUSTOMIZATION}"))

    def _follows(self, overlay: Path) -> bool:
        """Tell whether an Application of Argo CD deploys an overlay."""
        return any(self.root / str(get(one.data, APPLICATION_PATH)) == overlay for one in self.applications)

    @cached_property
    def applications(self) -> list[Document]:
        """Argo CD's Applications."""
        documents = [one for file in sorted((self.root / "argocd").glob("*.yaml")) for one in read(file)]
        return [one for one in documents if get(one.data, ("kind",)) == "Application"]

    def renderings(self, overlay: Path) -> list[Rendering]:
        """Return an overlay as it is, and with every component that it lacks.

        Raises:
            RenderError: if Kustomize refuses one.
        """
        missing = self.missing_components(overlay)
        return [self.render(overlay), *([self.render(overlay, missing)] if missing else [])]

    def missing_components(self, overlay: Path) -> list[Path]:
        """Return the components that an overlay does not have."""
        present = {one.directory for one in chain(overlay)}
        components = sorted(path.parent for path in self.deploy.glob(f"components/*/{KUSTOMIZATION}"))
        return [directory for directory in components if directory not in present]

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
        return Rendering(overlay.name, self._follows(overlay), tuple(added), text, warnings, sources)

    def _build_variant(self, overlay: Path, added: Sequence[Path], without: Entry | None) -> tuple[str, str]:
        changed: dict[Path, Any] = {}
        if without:
            changed[without.file] = _load(without.file)
            del changed[without.file][without.key][without.index]
        if added:
            data = changed.setdefault(overlay / KUSTOMIZATION, _load(overlay / KUSTOMIZATION))
            data["components"] = [*data.get("components", []), *(f"../../components/{path.name}" for path in added)]
        for file, data in changed.items():
            self._copy_of(file).write_text(yaml.dump(data, Dumper=DUMPER))
        try:
            return build(self._copy_of(overlay))
        except RenderError as error:
            # The copy is nobody's business.
            raise RenderError(str(error).replace(str(self.scratch), str(self.root))) from None
        finally:
            for file in changed:
                shutil.copy(file, self._copy_of(file))

    def _copy_of(self, path: Path) -> Path:
        return self.scratch / path.relative_to(self.root)


def _load(file: Path) -> Any:
    return yaml.load(file.read_text(), LOADER)  # noqa: S506 - it is a safe one


@contextmanager
def open_tree(root: Path) -> Iterator[Tree]:
    """Give a repository's tree, with a copy that its variants are rendered from."""
    with tempfile.TemporaryDirectory(prefix="check-") as scratch:
        tree = Tree(root.resolve(), Path(scratch).resolve())
        shutil.copytree(tree.deploy, tree.scratch / "deploy")
        yield tree
