"""The YAML files that a rendering is made of, and where in them a field of a rendered object comes from."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml

from tools.images import name_of
from tools.manifests import FieldPath, Manifest, fields, get, group_of, selector_from, selects
from tools.repository import kustomization_of
from tools.texts import LOADER, UnreadableError, parsing_yaml, read_text

# The lists of patches, in the order in which Kustomize applies them; all but one are deprecated, and often met.
PATCHES = ("patchesStrategicMerge", "patches", "patchesJson6902")
DUMPER = yaml.CSafeDumper if yaml.__with_libyaml__ else yaml.SafeDumper
# What tells the items of a list apart, as in Kubernetes' merge keys.
_KEYS = ("name", "containerPort", "port", "mountPath", "key", "topologyKey")


@dataclass(frozen=True, order=True)
class Place:
    """A line of a file."""

    file: Path
    line: int


@dataclass(frozen=True)
class Document:
    """A YAML document.

    Attributes:
        file: where it stands
        node: what it says, with the lines
        data: what it says
        offset: the lines before it, if it is text inside another document
    """

    file: Path
    node: yaml.Node
    data: Any
    offset: int = 0

    def place(self, node: yaml.Node) -> Place:
        """Return where a node begins."""
        return Place(self.file, self.offset + node.start_mark.line + 1)

    @property
    def objects(self) -> list["Document"]:
        """The objects in it: itself, or the items of a List."""
        items = get(self.data, ("items",))
        if not str(get(self.data, ("kind",))).endswith("List") or not isinstance(items, list):
            return [self]
        nodes = items_of(self.node, "items")
        return [Document(self.file, node, data, self.offset) for node, data in zip(nodes, items, strict=True)]

    def is_object(self, kind: str, name: str) -> bool:
        """Tell whether this describes an object; what Kustomize adds to names does not matter."""
        if not isinstance(self.data, dict) or self.data.get("kind") != kind:
            return False
        return str(get(self.data, ("metadata", "name"))) in name


@cache
def parse(text: str, file: Path, offset: int = 0) -> list[Document]:
    """Return the documents of a text.

    Raises:
        UnreadableError: if it is no YAML.
    """
    documents = []
    with parsing_yaml(text, file):
        loader = LOADER(text)
        while loader.check_node():
            if node := loader.get_node():
                documents.append(Document(file, node, loader.construct_document(node), offset))
    return documents


def read(file: Path) -> list[Document]:
    """Return the documents of a file; none if it is no YAML."""
    try:
        return parse(read_text(file), file)
    except UnreadableError:
        return []


def inside(document: Document, node: yaml.Node) -> list[Document]:
    """Return the documents that a scalar of another document holds."""
    block = isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")
    try:
        return parse(node.value, document.file, document.offset + node.start_mark.line + block)
    except UnreadableError:
        return []


def scalars(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    """Return every key and value below a node."""
    if isinstance(node, yaml.ScalarNode):
        yield node
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from scalars(item)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from scalars(key)
            yield from scalars(value)


def mappings(node: yaml.Node) -> Iterator[yaml.MappingNode]:
    """Give every mapping below a node, and the node itself."""
    if isinstance(node, yaml.MappingNode):
        yield node
    if isinstance(node, yaml.CollectionNode):
        below = (value for _, value in node.value) if isinstance(node, yaml.MappingNode) else node.value
        for one in below:
            yield from mappings(one)


def leaves(node: yaml.Node, path: FieldPath = ()) -> Iterator[tuple[FieldPath, str]]:
    """Give every scalar below a node, with the path to it."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from leaves(value, (*path, str(key.value)))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from leaves(value, (*path, index))
    else:
        yield path, str(node.value)


@cache
def _pairs(node: yaml.MappingNode) -> dict[Any, tuple[yaml.Node, yaml.Node]]:
    """Return a mapping's keys and values by key, so that nothing looks through it again for each of them."""
    return {key.value: (key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)}


def value_of(node: yaml.Node, key: str) -> yaml.Node | None:
    """Return the value that a mapping has for a key."""
    pair = _pairs(node).get(key) if isinstance(node, yaml.MappingNode) else None
    return pair[1] if pair else None


def items_of(node: yaml.Node, key: str) -> list[yaml.Node]:
    """Return the items of the list that a mapping has for a key."""
    found = value_of(node, key)
    return list(found.value) if isinstance(found, yaml.SequenceNode) else []


def text_of(node: yaml.Node, key: str) -> str:
    """Return the scalar that a mapping has for a key; empty if there is none."""
    found = value_of(node, key)
    return str(found.value) if isinstance(found, yaml.ScalarNode) else ""


@dataclass(frozen=True)
class Way:
    """How far a path leads into a source.

    Attributes:
        depth: how many of its steps are there
        mark: the last key or item that is
        end: its value
    """

    depth: int
    mark: yaml.Node
    end: yaml.Node


def follow(node: yaml.Node, value: Any, path: FieldPath) -> Way:
    """Follow a path of a rendered value into what may be its source, where lists can be shorter or in another order."""
    mark = node
    for depth, step in enumerate(path):
        if isinstance(node, yaml.MappingNode):
            found = _pairs(node).get(step)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            found = _same_item(node, get(value, (step,)), step)
        else:
            found = None
        if not found:
            return Way(depth, mark, node)
        mark, node = found
        value = get(value, (step,))
    return Way(len(path), mark, node)


def _says(node: yaml.Node, value: Any, path: FieldPath, text: str) -> bool:
    way = follow(node, value, path)
    return way.depth == len(path) and way.end.value == text


def _same_item(node: yaml.SequenceNode, item: Any, index: int) -> tuple[yaml.Node, yaml.Node] | None:
    keys = [key for key in _KEYS if isinstance(item, dict) and key in item]
    if keys:
        # A patch may leave some of them out.
        found = Counter(one for key in keys for one in _items_by_key(node).get((key, str(item[key])), []))
        best = max(found, key=lambda one: (found[one], -one), default=None)
        return None if best is None else (node.value[best], node.value[best])
    nodes = node.value
    if not isinstance(item, dict | list):
        nodes, index = [one for one in nodes if one.value == str(item)], 0
    return (nodes[index], nodes[index]) if index < len(nodes) else None


@cache
def _items_by_key(node: yaml.SequenceNode) -> dict[tuple[str, str], list[int]]:
    """Return the numbers of a list's items by what tells them apart."""
    found: dict[tuple[str, str], list[int]] = {}
    for index, item in enumerate(node.value):
        for key in _KEYS:
            if text := text_of(item, key):
                found.setdefault((key, text), []).append(index)
    return found


def matches(pattern: str, value: str) -> bool:
    """Tell whether a pattern of a patch's target is for a value, to which Kustomize may add at both ends by a dash.

    https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/patches/
    """
    try:
        return not pattern or bool(re.fullmatch(rf"(.*-)?({pattern})(-.*)?", value))
    except re.error:
        return False


@dataclass(frozen=True)
class Patch:
    """An entry of a kustomization's `patches`.

    Attributes:
        entry: the entry
        documents: strategic merge patches, or lists of JSON 6902 operations
    """

    entry: yaml.Node
    documents: list[Document]

    def meets(self, document: Document, manifest: Manifest) -> bool:
        """Tell whether a document of this is for an object."""
        target = value_of(self.entry, "target")
        if target is None:
            return document.is_object(manifest["kind"], manifest["metadata"]["name"])
        values = {"group": group_of(manifest), "version": manifest["apiVersion"].rpartition("/")[2]}
        values |= {"kind": manifest["kind"], "name": manifest["metadata"]["name"]}
        labelled = {"labelSelector": "labels", "annotationSelector": "annotations"}
        return all(matches(text_of(target, key), str(value)) for key, value in values.items()) and all(
            selects(selector_from(text_of(target, key)), manifest["metadata"].get(field) or {})
            for key, field in labelled.items()
        )

    def place(self, document: Document, manifest: Manifest, path: FieldPath) -> Place | None:
        """Return where a document of this sets a field, or removes it; what it says of kinds only names its object."""
        if path in (("apiVersion",), ("kind",)):
            return None
        if isinstance(document.node, yaml.SequenceNode):
            return self._place_of_operation(document, manifest, path)
        way = follow(document.node, manifest, path)
        removed = text_of(way.end, "$patch") or (isinstance(way.end, yaml.ScalarNode) and way.end.value in ("null", ""))
        return document.place(way.mark) if way.depth == len(path) or removed else None

    def _place_of_operation(self, document: Document, manifest: Manifest, path: FieldPath) -> Place | None:
        steps = [str(step) for step in path]
        for operation in reversed(document.node.value):
            pointer = text_of(operation, "path").strip("/").split("/")
            pointer = [step.replace("~1", "/").replace("~0", "~") for step in pointer]
            if all(one in (other, "-") for one, other in zip(pointer, steps, strict=False)) and len(pointer) <= len(
                path
            ):
                rest = path[len(pointer) :]
                value = value_of(operation, "value")
                if not rest or value is None:
                    return document.place(operation)
                return document.place(follow(value, get(manifest, path[: len(pointer)]), rest).mark)
        return None


@dataclass(frozen=True)
class Kustomization:
    """A kustomization.yaml."""

    document: Document

    @property
    def directory(self) -> Path:
        """Where it stands."""
        return self.document.file.parent

    def items(self, key: str) -> list[yaml.Node]:
        """Return the items of one of its lists."""
        return items_of(self.document.node, key)

    @cached_property
    def resources(self) -> list[Path]:
        """The files and directories that its objects are from, in the order in which Kustomize reads them."""
        return [path for key in ("resources", "bases", "components") for path in self.paths(key)]

    def paths(self, key: str) -> list[Path]:
        """Return the files and directories that one of its lists names, those that are there."""
        named = [(self.directory / str(node.value)).resolve() for node in self.items(key)]
        return [path for path in named if path.exists()]

    def may_hold(self, manifest: Manifest) -> bool:
        """Tell whether an object can be one of its own: then it has the prefix and the suffix that this gives."""
        name = str(manifest["metadata"]["name"])
        return all(text_of(self.document.node, key) in name for key in ("namePrefix", "nameSuffix"))

    @cached_property
    def patches(self) -> list[Patch]:
        """Its patches, in the order in which Kustomize applies them."""
        return [Patch(entry, self._documents(entry)) for key in PATCHES for entry in self.items(key)]

    def _documents(self, entry: yaml.Node) -> list[Document]:
        # One of patchesStrategicMerge is a text: a file's name, or the patch itself.
        alone = isinstance(entry, yaml.ScalarNode)
        path = self.directory / (str(entry.value) if alone else text_of(entry, "path"))
        inline = entry if alone and "\n" in str(entry.value) else value_of(entry, "patch")
        return inside(self.document, inline) if inline else read(path)


def chain(directory: Path, added: Sequence[Path] = (), above: tuple[Path, ...] = ()) -> list[Kustomization]:
    """Return the kustomizations that a rendering is made of, in the order in which Kustomize applies them.

    Args:
        directory: where the last of them is
        added: components that are added to that one
        above: what leads here, because nothing is part of itself
    """
    found: list[Kustomization] = []
    for document in read(kustomization_of(directory)):
        own = Kustomization(document)
        for path in [*own.resources, *added]:
            if path.is_dir() and path not in (*above, directory):
                found += chain(path, above=(*above, directory))
        found.append(own)
    return found


def files_of(directory: Path) -> set[Path]:
    """Return the files that Kustomize reads as manifests to render a directory."""
    kustomizations = chain(directory)
    named = [path for one in kustomizations for path in one.resources]
    patches = {document.file for one in kustomizations for patch in one.patches for document in patch.documents}
    own = [kustomization_of(one) for one in (directory, *named) if one.is_dir()]
    return {*own, *patches, *(one for one in named if not one.is_dir())}


@dataclass(frozen=True)
class Sources:
    """What a rendering is made of."""

    kustomizations: list[Kustomization]

    @cached_property
    def resources(self) -> list[Document]:
        """The objects of the files that are named as resources."""
        files = [path for one in self.kustomizations for path in one.resources if path.is_file()]
        return [one for file in files for document in read(file) for one in document.objects]

    def is_alone_in_saying(self, own: Document, manifest: Manifest) -> bool:
        """Tell whether a field of an object has what a patch says, and no other patch sets it, and its file says other.

        Then the patch has an effect for certain; if not, it may have one nevertheless.
        """
        patches = [patch for one in self.kustomizations for patch in one.patches]
        others = [
            other for patch in patches for other in patch.documents if other != own and patch.meets(other, manifest)
        ]
        resource = self._resource(manifest)
        if isinstance(own.data, list) or any(isinstance(other.data, list) for other in others) or not resource:
            return False
        rendered = {(field[-1], str(value).lower()) for field, value in fields(manifest)}
        return any(
            (path[-1], text.lower()) in rendered
            and not _says(resource.node, own.data, path, text)
            and all(follow(other.node, own.data, path).depth < len(path) for other in others)
            for path, text in leaves(own.node)
        )

    def last(self) -> Place:
        """Return the overlay's own kustomization: where to look if nothing better is known."""
        return Place(self.kustomizations[-1].document.file, 1)

    def locate(self, manifest: Manifest, path: FieldPath = ("metadata", "name"), word: str = "") -> Place:
        """Return where a field of a rendered object comes from: what set it last, or removed it.

        Args:
            manifest: the object
            path: the field
            word: part of its value, which may be many lines long
        """
        place = self._transformed(manifest, path)
        # A field is what was said last; an object or a list is where it began, and only there if a patch adds to it.
        if not place and isinstance(get(manifest, path), dict | list):
            place = self._origin(manifest, path)
        place = place or self._patched(manifest, path) or self._origin(manifest, path) or self._deepest(manifest, path)
        return _line_with(place, word) if word else place

    def _transformed(self, manifest: Manifest, path: FieldPath) -> Place | None:
        """Return the entry of `images`, `replicas` or `namespace` that set a field."""
        if path[-1:] == ("image",):
            return self._entry("images", name_of(str(get(manifest, path))))
        if path == ("spec", "replicas"):
            return self._entry("replicas", manifest["metadata"]["name"])
        # Kustomize renames a Namespace as well.
        if path == ("metadata", "namespace") or (manifest["kind"], *path) == ("Namespace", "metadata", "name"):
            named = ((one.document, value_of(one.document.node, "namespace")) for one in reversed(self.kustomizations))
            return next((document.place(node) for document, node in named if node), None)
        return None

    def _entry(self, key: str, name: str) -> Place | None:
        for one in reversed(self.kustomizations):
            for entry in reversed(one.items(key)):
                if name in (text_of(entry, "name"), text_of(entry, "newName")):
                    return one.document.place(entry)
        return None

    def _patched(self, manifest: Manifest, path: FieldPath) -> Place | None:
        for one in reversed([one for one in self.kustomizations if one.may_hold(manifest)]):
            for patch in reversed(one.patches):
                for document in patch.documents:
                    if patch.meets(document, manifest) and (place := patch.place(document, manifest, path)):
                        return place
        return None

    def _origin(self, manifest: Manifest, path: FieldPath) -> Place | None:
        """Return where a field stands in the file of its object."""
        document = self._resource(manifest)
        if not document:
            return self._generated(manifest["kind"], manifest["metadata"]["name"], path)
        way = follow(document.node, manifest, path)
        return document.place(way.mark) if way.depth == len(path) else None

    def file_of(self, manifest: Manifest) -> Path | None:
        """Return the file in which an object begins; None if a generator makes it."""
        document = self._resource(manifest)
        return document.file if document else None

    def _resource(self, manifest: Manifest) -> Document | None:
        documents = [one for one in self.resources if one.is_object(manifest["kind"], manifest["metadata"]["name"])]
        # The longest name: what Kustomize adds to it is short.
        longest = max((len(one.data["metadata"]["name"]) for one in documents), default=0)
        namesakes = [one for one in documents if len(one.data["metadata"]["name"]) == longest]
        if not namesakes[1:]:
            return next(iter(namesakes), None)
        said = [(path, str(value)) for path, value in fields(manifest)]
        return max(namesakes, key=lambda one: sum(_says(one.node, manifest, path, text) for path, text in said))

    def _deepest(self, manifest: Manifest, path: FieldPath) -> Place:
        """Return where what is nearest to a field stands, if the field itself stands nowhere."""
        patches = [patch for one in self.kustomizations for patch in one.patches]
        documents = [document for patch in patches for document in patch.documents if patch.meets(document, manifest)]
        if resource := self._resource(manifest):
            documents.insert(0, resource)
        ways = [(document, follow(document.node, manifest, path)) for document in documents]
        if not ways:
            return self.last()
        # The first of equals: the object's own file.
        document, way = max(ways, key=lambda one: one[1].depth)
        return document.place(way.mark)

    def _generated(self, kind: str, name: str, path: FieldPath) -> Place | None:
        for one, entry in self._generators(kind, name):
            key = str(path[1]) if path[:1] == ("data",) and path[1:] else ""
            return _generated_key(one, entry, key) or one.document.place(entry)
        return None

    def _generators(self, kind: str, name: str) -> Iterator[tuple[Kustomization, yaml.Node]]:
        """Give the entries of generators that make an object, those of the last kustomization first."""
        list_name = f"{kind[0].lower()}{kind[1:]}Generator"
        for one in reversed(self.kustomizations):
            yield from ((one, entry) for entry in one.items(list_name) if text_of(entry, "name") in name)

    def env_files(self, kind: str, name: str) -> list[Path]:
        """Return the files of `envs` from which generators make an object."""
        return [
            one.directory / str(node.value)
            for one, entry in self._generators(kind, name)
            for node in items_of(entry, "envs")
        ]


def _generated_key(kustomization: Kustomization, entry: yaml.Node, key: str) -> Place | None:
    if node := _literals(entry).get(key):
        return kustomization.document.place(node)
    for node in items_of(entry, "files"):
        name, _, path = str(node.value).rpartition("=")
        if (name or Path(path).name) == key:
            return Place(kustomization.directory / path, 1)
    for node in items_of(entry, "envs"):
        file = kustomization.directory / str(node.value)
        if line := _lines_of_variables(read_text(file)).get(key):
            return Place(file, line)
    return None


@cache
def _literals(entry: yaml.Node) -> dict[str, yaml.Node]:
    return {str(node.value).partition("=")[0]: node for node in reversed(items_of(entry, "literals"))}


@cache
def _lines_of_variables(text: str) -> dict[str, int]:
    return {line.partition("=")[0].strip(): number for number, line in reversed([*enumerate(text.splitlines(), 1)])}


def _line_with(place: Place, word: str) -> Place:
    lines = _lines(read_text(place.file))
    numbers = range(place.line, len(lines) + 1)
    return next((Place(place.file, number) for number in numbers if word in lines[number - 1]), place)


@cache
def _lines(text: str) -> list[str]:
    return text.splitlines()
