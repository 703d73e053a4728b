"""What is wrong before there are objects: files that are no YAML, what Kustomize refuses, and what has no effect."""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from tools.check.catalogue import Scope, rule
from tools.check.rendering import Entry, Problem, Rendering, Tree, nearest
from tools.check.sources import (
    PATCHES,
    Document,
    Kustomization,
    Place,
    Sources,
    chain,
    follow,
    mappings,
    matches,
    parse,
    read,
    scalars,
    text_of,
)
from tools.images import name_of
from tools.manifests import get
from tools.render import RenderError
from tools.repository import KUSTOMIZATIONS, kustomization_of
from tools.texts import UnreadableError, load_json, read_text

# Where Kustomize's messages name the culprit; the first that is found in a kustomization is shown.
_CULPRITS = [
    r'unknown field "([^"]+)"',
    r"lstat (\S+): no such file",
    r"merge patch \"[^/]+/([\w.-]+?)\.\[",
    r"resource with name (\S+) does not match",
    r"literal sources? \[?([^\]:,]+)",
    r"expected kind '\w+' for path '([^']+)'",
    r"nothing selected by [^/]+/([\w.-]+?)\.\[",
    r"already registered id: [^/]+/([\w.-]+?)\.\[",
    r"Go struct field \w+\.(?:\w+\.)*(\w+) of type",
    r"accumulating resources from '([^']+)': missing",
    r"error parsing regexp: .*`\^\(\?:(.+)\)\$`",
]
# A text for people, or what an editor or a file manager leaves.
_NO_MANIFEST = re.compile(r".*\.md|.*\.sw[a-p]|.*~|\.#.*|#.*#|\.DS_Store|Thumbs\.db|desktop\.ini", re.IGNORECASE)
_CLASH = re.compile(r"already registered id: (\w+)\.\S*/(\S+)\.\S+")
# How it came to a file: the place says that better.
_WAY = re.compile(
    r"accumulating resources: accumulation err='accumulating resources from '[^']*': '[^']*' must resolve to a file': "
    r"recursed accumulation of path '[^']*': "
)
_FETCHED = re.compile(r"accumulating resources from '([^']+)'.*failed to run '\S*git ")
# https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/
_FIELDS = (
    *("buildMetadata", "components", "configMapGenerator", "configurations", "crds", "digest", "envs", "files"),
    *("generatorOptions", "generators", "images", "labels", "literals", "namePrefix", "nameSuffix", "namespace"),
    *("newName", "newTag", "openapi", "options", "patch", "patches", "path", "replacements", "replicas", "resources"),
    *("secretGenerator", "sortOptions", "target", "transformers", "validators"),
)


@rule(
    "syntax",
    Scope.STEP,
    why="Of a file that cannot be parsed Kustomize reads nothing, of a key that stands twice one value is lost.",
    remedy="Correct the line; a tab, a colon without a space, a quote left open or a copied key is the usual cause.",
)
def syntax(tree: Tree) -> Iterator[Problem]:
    """A file that is no YAML or no JSON, or has a key twice."""
    for file in tree.read_files("*.yaml", "*.yml", "Kustomization"):
        yield from _unreadable(file, parse)
        yield from _doubled(read(file))
        if file.name in KUSTOMIZATIONS:
            patches = [patch for one in read(file) for patch in Kustomization(one).patches]
            yield from _doubled(text for patch in patches for text in patch.documents if text.file == file)
    for file in tree.read_files("*.json"):
        yield from _unreadable(file, load_json)
        yield from _doubled(read(file))


def _unreadable(file: Path, parse: Callable[[str, Path], Any]) -> Iterator[Problem]:
    try:
        parse(read_text(file), file)
    except UnreadableError as error:
        yield Problem(Place(file, error.line), error.reason, "correct it")


def _doubled(documents: Iterable[Document]) -> Iterator[Problem]:
    """Find keys that a mapping has already: Kustomize takes the first of the two, other programs the last."""
    for document in documents:
        for mapping in mappings(document.node):
            seen: set[str] = set()
            for key in (one for one, _ in mapping.value if isinstance(one, yaml.ScalarNode)):
                if key.value in seen:
                    yield Problem(
                        document.place(key),
                        f"'{key.value}' stands here twice: one program takes the first, another the last",
                        "make one of the two",
                    )
                seen.add(key.value)


@rule(
    "kustomize",
    Scope.STEP,
    why="What Kustomize refuses, neither `kubectl apply -k` nor Argo CD can deploy: what runs stays as it is.",
    remedy="Correct the name or the field that the message quotes.",
)
def refused(tree: Tree, overlay: Path, error: RenderError) -> Problem:
    """What Kustomize itself refuses, where it most likely is."""
    said = _WAY.sub("", " ".join(str(error).removeprefix("error: ").split()))
    kustomizations = chain(overlay, tree.missing_components(overlay) if tree.own else ())
    if found := _not_rendered_here(kustomizations, said):
        return found
    if place := _clash(kustomizations, said):
        return Problem(place, f"Kustomize refuses this: {said}", "give it another name, or take it out")
    for pattern in _CULPRITS:
        for culprit in re.findall(pattern, said):
            word = Path(culprit).name
            if place := _place_of(kustomizations, word):
                beside = [path.name for path in Path(culprit).parent.glob("*")]
                known = beside if "/" in culprit else _known_to(kustomizations)
                right = word in _FIELDS or (place.file.parent / word).exists()
                near = "" if right else nearest(word, known)
                is_bare = re.search(r"unmarshal (number|bool) .* of type string", said)
                advice = "put it in quotes" if is_bare else f"correct '{word}'{near}"
                return Problem(place, f"Kustomize refuses this: {said}", advice)
    return Problem(Place(kustomization_of(overlay), 1), f"Kustomize refuses this: {said}", "correct what it names")


def _clash(kustomizations: list[Kustomization], said: str) -> Place | None:
    """Return the last object of a name that two have: what was added to the other."""
    clash = _CLASH.search(said)
    for one in reversed(Sources(kustomizations).resources if clash else []):
        if clash and one.is_object(clash[1], clash[2]) and one.data["metadata"]["name"] == clash[2]:
            return one.place(follow(one.node, one.data, ("metadata", "name")).mark)
    return None


def _not_rendered_here(kustomizations: list[Kustomization], said: str) -> Problem | None:
    """Return what another machine, or another command, may render."""
    if "must specify --enable-helm" in said:
        names = ("helmCharts", "helmChartInflationGenerator", "HelmChartInflationGenerator")
        place = next(filter(None, (_place_of(kustomizations, name) for name in names)), None)
        reason = "`kubectl kustomize` renders no Helm chart, so nothing of this environment is checked"
        return Problem(place, reason, "render the chart into a file of resources") if place else None
    fetched = _FETCHED.search(said)
    if fetched and (place := _place_of(kustomizations, Path(fetched[1]).name)):
        reason = f"{fetched[1]} cannot be fetched here, so nothing of this environment is checked"
        return Problem(place, reason, "check it where that can be reached, or keep a copy in the repository")
    return None


def _place_of(kustomizations: list[Kustomization], word: str) -> Place | None:
    own = [one.document for one in reversed(kustomizations)]
    patches = [document for one in kustomizations for patch in one.patches for document in patch.documents]
    for document in [*patches, *own]:
        for node in scalars(document.node):
            if node.value == word or node.value.endswith((f"/{word}", f"={word}")):
                return document.place(node)
    return None


def _known_to(kustomizations: list[Kustomization]) -> Iterator[str]:
    yield from _FIELDS
    for one in kustomizations:
        for path in one.paths("resources"):
            documents = read(path) if path.is_file() else []
            yield from (str(get(document.data, ("metadata", "name"))) for document in documents)


@rule(
    "deprecated",
    why="A later Kustomize, which comes with a later kubectl or Argo CD, no longer knows the field.",
    remedy="Write it the new way, which the message names.",
)
def deprecated(rendering: Rendering) -> Iterator[Problem]:
    """A field that Kustomize warns of, because a later version will not know it."""
    for warning in rendering.warnings.splitlines():
        word = next(iter(re.findall(r"'(\w+)' is deprecated", warning)), "")
        place = _place_of(rendering.sources.kustomizations, word) or rendering.sources.last()
        yield Problem(place, warning.removeprefix("# Warning: "), "write it the new way")


@rule(
    "image-without-effect",
    why="The tag that it sets is not deployed, and nobody is told.",
    remedy="Name an image that a container runs, without its tag, or remove the entry.",
)
def images_without_effect(rendering: Rendering) -> Iterator[Problem]:
    """An entry of `images` that names no image."""
    used = {name_of(str(container.data.get("image"))) for container in rendering.containers}
    entries = [(one, entry) for one in rendering.sources.kustomizations for entry in one.items("images")]
    # What a later entry gives another name, an earlier one knows by the former.
    for one, entry in reversed(entries):
        name = text_of(entry, "name")
        if {name, text_of(entry, "newName")} & used:
            used.add(name)
            continue
        yield Problem(
            one.document.place(entry),
            f"no container runs the image {name}, so this sets nothing",
            f"name an image that is used{nearest(name, used)}",
        )


@rule(
    "patch-without-effect",
    Scope.RENDERINGS,
    why="What its author wanted to change is not changed, and Kustomize says nothing of it.",
    remedy="Name an object that is there, set a value that differs, or remove the patch.",
)
def patches_without_effect(tree: Tree, renderings: list[Rendering]) -> Iterator[Problem]:
    """A patch or a replacement that matches nothing, or changes nothing: without it, the same is rendered."""
    entries: dict[Entry, bool] = {}
    for rendering in renderings:
        for one in rendering.sources.kustomizations:
            for key in (*PATCHES, "replacements"):
                for index in range(len(one.items(key))):
                    entry = Entry(one.document.file, key, index)
                    if not entries.get(entry):
                        entries[entry] = _has_effect(tree, rendering, entry)
    for entry, effective in entries.items():
        if not effective:
            yield _without_effect(renderings, entry)


def _has_effect(tree: Tree, rendering: Rendering, entry: Entry) -> bool:
    if entry.key in PATCHES and _is_effective_for_certain(rendering, entry):
        return True
    overlay = tree.deploy / "overlays" / rendering.environment
    try:
        return tree.render(overlay, rendering.added, entry).text != rendering.text
    except RenderError:
        return True


def _is_effective_for_certain(rendering: Rendering, entry: Entry) -> bool:
    """Tell what can be told without rendering anew, which takes a tenth of a second for each patch."""
    own = next(one for one in rendering.sources.kustomizations if one.document.file == entry.file)
    node = own.items(entry.key)[entry.index]
    patch = next(one for one in own.patches if one.entry is node)
    return any(
        rendering.sources.is_alone_in_saying(document, manifest)
        for document in patch.documents
        for manifest in rendering.objects
        if patch.meets(document, manifest)
    )


def _without_effect(renderings: list[Rendering], entry: Entry) -> Problem:
    (document,) = read(entry.file)
    node = Kustomization(document).items(entry.key)[entry.index]
    present = {str(manifest["metadata"]["name"]) for rendering in renderings for manifest in rendering.objects}
    # A patch is for the name that the file says; a prefix or a suffix comes later.
    written = {get(one.data, ("metadata", "name")) for rendering in renderings for one in rendering.sources.resources}
    named = _targets(document, node, entry.key)
    for place, name in named:
        if not any(matches(name, str(one)) for one in present | written):
            return Problem(
                place, f"this matches nothing: no object is called '{name}'", f"name one{nearest(name, present)}"
            )
    return Problem(document.place(node), "this changes nothing: without it, the same is rendered", "remove it")


def _targets(document: Document, entry: yaml.Node, key: str) -> list[tuple[Place, str]]:
    """Return the names in what an entry says of its targets."""
    field = "targets" if key == "replacements" else "target"
    pairs = entry.value if isinstance(entry, yaml.MappingNode) else []
    below = [value for name, value in pairs if name.value == field]
    return [(document.place(value), str(value.value)) for node in below for value in _named(node)]


def _named(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _named(item)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from [value] if key.value == "name" else _named(value)


@rule(
    "unused-file",
    Scope.FILES,
    why="It looks as if it were deployed, and is not.",
    remedy="Name it in the kustomization beside it, or remove it.",
    own=True,
)
def unused_files(tree: Tree) -> Iterator[Problem]:
    """A file beside a kustomization that none names, so that what it says is nowhere."""
    kustomizations = sorted(file for name in KUSTOMIZATIONS for file in tree.deploy.rglob(name))
    used = set(kustomizations)
    for file in kustomizations:
        for document in read(file):
            values = (node.value.rpartition("=")[2] for node in scalars(document.node))
            used |= {(file.parent / value).resolve() for value in values if "\n" not in value}
    for directory in {file.parent for file in kustomizations}:
        for file in directory.iterdir():
            if file.is_file() and not _NO_MANIFEST.fullmatch(file.name) and file not in used:
                yield Problem(
                    Place(file, 1), "no kustomization names this file, so it is not deployed", "name it or remove it"
                )
