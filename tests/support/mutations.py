"""Manifests with one thing wrong: a field dropped, doubled, of another type, out of range, beside what it excludes."""

import copy
from collections.abc import Iterator
from typing import Any

from tools.manifests import FieldPath, Manifest, get

# What may not stand beside a field, or what the field may not hold.
UNIONS: dict[str, tuple[str, Any]] = {
    "httpGet": ("tcpSocket", {"port": 80}),
    "sleep": ("exec", {"command": ["true"]}),
    "value": ("valueFrom", {"fieldRef": {"fieldPath": "metadata.name"}}),
    "valueFrom": ("value", "x"),
    "configMapKeyRef": ("fieldRef", {"fieldPath": "metadata.name"}),
    "configMapRef": ("secretRef", {"name": "x"}),
    "emptyDir": ("configMap", {"name": "x"}),
    "rollingUpdate": ("type", "Recreate"),
    "maxUnavailable": ("minAvailable", 1),
    "podSelector": ("ipBlock", {"cidr": "10.0.0.0/8"}),
    "nodePort": ("nodePort", 80),
    "clusterIP": ("clusterIP", "None"),
    "matchLabels": ("matchExpressions", [{"key": "a", "operator": "In"}]),
    "data": ("binaryData", {"CONFIG": "eA=="}),
}
EXTREMES: dict[type, list[Any]] = {
    str: ["", "Ünï cöde", "x" * 300, "-x", "a.b/c", "0"],
    int: [-1, 0, 2**31 - 1, 2**31, 70000],
}
OTHER_TYPES: dict[type, list[Any]] = {
    str: [7, True, ["x"], {"x": "y"}, None],
    int: ["7", True, 1.5, [], None],
    bool: ["true", 1, None],
    list: [{}, "x", [None], None],
    dict: [[], "x", 1, None],
}
FIXED: set[FieldPath] = {("apiVersion",), ("kind",), ("metadata", "namespace")}


def mutations(manifest: Manifest) -> Iterator[tuple[str, Manifest]]:
    """Give what differs from a manifest in one thing, each with what that is."""
    for path, value in _nodes(manifest):
        if path in FIXED:
            continue
        for what, changed in _changes(manifest, path, value):
            yield f"{manifest['kind']} {'.'.join(map(str, path))}: {what}", changed


def _nodes(value: Any, path: FieldPath = ()) -> Iterator[tuple[FieldPath, Any]]:
    if path:
        yield path, value
    for step, below in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield from _nodes(below, (*path, step))


def _changes(manifest: Manifest, path: FieldPath, value: Any) -> Iterator[tuple[str, Manifest]]:
    yield "dropped", _changed(manifest, path, drop=True)
    for other in OTHER_TYPES[type(value)]:
        yield f"is {other!r}", _changed(manifest, path, other)
    for other in EXTREMES.get(type(value), []):
        if other != value:
            yield f"is {str(other)[:12]!r}", _changed(manifest, path, other)
    if isinstance(value, list):
        yield "doubled", _changed(manifest, path, [*value, *copy.deepcopy(value)])
        yield "emptied", _changed(manifest, path, [])
    if isinstance(value, dict):
        yield "unknown field", _changed(manifest, (*path, "unknownField"), "x")
        for key in value.keys() & UNIONS.keys():
            name, branch = UNIONS[key]
            yield f"{key} and {name}", _changed(manifest, (*path, name), branch)


def _changed(manifest: Manifest, path: FieldPath, value: Any = None, *, drop: bool = False) -> Manifest:
    changed = copy.deepcopy(manifest)
    owner = get(changed, path[:-1])
    if drop:
        del owner[path[-1]]
    else:
        owner[path[-1]] = value
    return changed
