"""What differs between two renderings of an environment: object by object, field by field."""

import json
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

import yaml

from tools.manifests import Manifest, base_name, group_of, without_hash

# By what the API server tells the items of a list apart; other lists are compared by position.
# https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy
_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "ports": "name",
    "items": "key",
}


class Value(Enum):
    """What stands for a value that a report must not or cannot show."""

    ABSENT = "(not set)"
    HIDDEN = "(not shown)"


class Identity(NamedTuple):
    """By what an object stays the same one: a generated name without its hash."""

    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Field:
    """A value that differs.

    Attributes:
        steps: the way to it; an item of a list by its name in brackets, or by its position
        before: what it was, or Value.ABSENT
        after: what it will be, or Value.ABSENT
    """

    steps: tuple[str, ...]
    before: Any
    after: Any

    @property
    def path(self) -> str:
        """The way to it as people write it: spec.template.spec.containers[api].image."""
        text = "".join(
            step if step[0] == "[" else f".{step}" if "." not in step else f"[{step}]" for step in self.steps
        )
        return text.removeprefix(".")

    @property
    def reference(self) -> str:
        """The generated object that it names, without the hash, if nothing else than that hash changed."""
        if not (isinstance(self.before, str) and isinstance(self.after, str)):
            return ""
        name = without_hash(self.before)
        return name if name != self.before and name == without_hash(self.after) else ""


@dataclass(frozen=True)
class Change:
    """What happens to one object.

    Attributes:
        identity: which one
        before: its manifest, None if it is added
        after: its manifest, None if it is removed
        fields: what differs, if it is neither
    """

    identity: Identity
    before: Manifest | None
    after: Manifest | None
    fields: tuple[Field, ...] = ()

    @property
    def kind(self) -> str:
        """What happens: added, removed or changed."""
        return "added" if self.before is None else "removed" if self.after is None else "changed"

    @property
    def renamed(self) -> bool:
        """Whether it is generated and gets another hash: to the cluster, one object is added and another removed."""
        return bool(self.before and self.after) and _name(self.before) != _name(self.after)


def shown(value: Any) -> str:
    """Return a value on one line, as YAML has it."""
    if isinstance(value, Value):
        return str(value.value)
    text = value if isinstance(value, str) else yaml.safe_dump(value, default_flow_style=True, width=10_000)
    return text.removesuffix("\n").removesuffix("\n...")


def identity(manifest: Manifest) -> Identity:
    """Return by what an object stays the same one."""
    namespace = manifest["metadata"].get("namespace", "")
    return Identity(group_of(manifest), manifest["kind"], namespace, base_name(manifest))


def _name(manifest: Manifest | None) -> str:
    return str(manifest["metadata"]["name"]) if manifest else ""


def compare(before: Sequence[Manifest], after: Sequence[Manifest]) -> list[Change]:
    """Return what happens to each object that does not stay as it is, in the order in which they are applied."""
    old, new = _by_identity(before, after), _by_identity(after, before)
    changes = [_change(key, old.get(key), new.get(key)) for key in [*new, *(key for key in old if key not in new)]]
    return [change for change in changes if change.kind != "changed" or change.fields or change.renamed]


def _by_identity(side: Sequence[Manifest], other: Sequence[Manifest]) -> dict[Identity, Manifest]:
    """Return the manifests by what each is; of generated ones of the same name, the one that stays counts first."""
    staying = {full_name(item) for item in other}
    found: dict[Identity, Manifest] = {}
    for item in sorted(side, key=lambda item: full_name(item) not in staying):
        key = identity(item)
        found[key._replace(name=_name(item)) if key in found else key] = item
    return {identity(item) if found[identity(item)] is item else full_name(item): item for item in side}


def full_name(manifest: Manifest) -> Identity:
    """Return by what a cluster knows an object: the hash of a generated name included."""
    return identity(manifest)._replace(name=_name(manifest))


def _change(key: Identity, before: Manifest | None, after: Manifest | None) -> Change:
    if not (before and after):
        return Change(key, before, after)
    fields = _fields((), before, after)
    return Change(key, before, after, tuple(_hide(key, one) for one in fields if one.steps != ("metadata", "name")))


def _hide(key: Identity, field: Field) -> Field:
    """Keep a Secret's values out of a report."""
    if key.kind != "Secret" or field.steps[0] not in {"data", "stringData"}:
        return field
    before, after = (value if value is Value.ABSENT else Value.HIDDEN for value in (field.before, field.after))
    return Field(field.steps, before, after)


# --- field by field


def _fields(steps: tuple[str, ...], before: Any, after: Any) -> Iterator[Field]:
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _members(steps, before, after)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _items(steps, before, after)
    elif (old := _document(before)) is not None and (new := _document(after)) is not None and old != new:
        yield from _members(steps, old, new)
    else:
        yield Field(steps, before, after)


def _members(steps: tuple[str, ...], before: dict[str, Any], after: dict[str, Any]) -> Iterator[Field]:
    for key in [*before, *(key for key in after if key not in before)]:
        yield from _fields((*steps, key), before.get(key, Value.ABSENT), after.get(key, Value.ABSENT))


def _items(steps: tuple[str, ...], before: list[Any], after: list[Any]) -> Iterator[Field]:
    key = _KEYS.get(steps[-1], "")
    old, new = _by_key(before, key), _by_key(after, key)
    if old is not None and new is not None:
        yield from _members(steps, old, new)
        kept = [name for name in old if name in new]
        if kept != [name for name in new if name in old]:
            # The order counts: to Kubernetes, the same variables in another order are another pod.
            yield Field((*steps, "[order]"), ", ".join(old), ", ".join(new))
    elif len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _fields((*steps, f"[{number}]"), one, other)
    else:
        yield from (Field((*steps, "[]"), item, Value.ABSENT) for item in before if item not in after)
        yield from (Field((*steps, "[]"), Value.ABSENT, item) for item in after if item not in before)


def _by_key(items: list[Any], key: str) -> dict[str, Any] | None:
    """Return the items by their key; None if they have none, or two have the same."""
    names = [item.get(key) if isinstance(item, dict) else None for item in items]
    if not all(isinstance(name, Hashable) and name is not None for name in names) or len(set(names)) < len(names):
        return None
    return {f"[{name}]": item for name, item in zip(names, items, strict=True)}


def _document(text: Any) -> dict[str, Any] | None:
    """Return what a file in a ConfigMap holds, if it is a JSON object."""
    try:
        found = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
