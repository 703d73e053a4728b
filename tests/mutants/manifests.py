"""Mutants of what Kustomize renders: of each overlay, of argocd/, and of the overlay as Argo CD renders it.

Each key, item and value of each object, at every depth, is deleted and weakened; in place, where the tests of
tests/manifests look. An object or a field that is added tomorrow is among them.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import pytest

from tests.mutants.plugin import Mutant
from tests.support.product import ARGOCD, SYNCED, rendered
from tools.manifests import base_name
from tools.repository import environments

Change = Callable[[], AbstractContextManager[None]]

# Mutants that are as good as the product, and why. `*` stands for anything.
EQUIVALENT = {
    "argocd AppProject/datapress.spec.description: * → '…-mutant'": "words for people; that there are some is tested",
}


def mutants() -> Iterator[Mutant]:
    """Make every mutant of every rendering."""
    for name in (*environments(), *SYNCED, ARGOCD):
        objects = rendered(name)
        judge = partial(_looks_at, name)
        for index, manifest in enumerate(objects):
            kind = manifest["kind"]
            title = f"{name} {kind}/{base_name(manifest)}"
            yield Mutant(f"{title}: deleted", kind, partial(_without, objects, index), judge)
            for what, change in _changes(manifest):
                yield Mutant(title + what, kind, change, judge)


def _looks_at(name: str, item: pytest.Item) -> bool:
    """Whether a test looks at this rendering and, if that is an overlay, at no other.

    A test that compares overlays does not count: it sees a change to one, and is blind to the same one in the base.
    """
    fixtures = set(getattr(item, "fixturenames", ()))
    if callspec := getattr(item, "callspec", None):
        fixtures |= {callspec.params.get("environment"), callspec.params.get("synced")}
    overlays = {*environments(), *SYNCED}
    return name in fixtures and (name not in environments() or fixtures & overlays == {name})


def _changes(node: Any, path: str = "") -> Iterator[tuple[str, Change]]:
    keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for key in keys:
        value = node[key]
        here = f"{path}.{key}" if isinstance(node, dict) else f"{path}[{key}]"
        yield f"{here}: deleted", partial(_without, node, key)
        for what, other in _weaker(value):
            yield f"{here}: {what}", partial(_with, node, key, other)
        yield from _changes(value, here)


def _weaker(value: Any) -> Iterator[tuple[str, Any]]:
    match value:
        case bool():
            yield f"{value} → {not value}", not value
        case int():
            yield from ((f"{value} → {other}", other) for other in (value + 1, value - 1))
        case str():
            yield from _weaker_text(value)
        case dict() | list() if value:
            yield "emptied", type(value)()
        case {}:
            yield "filled", {"mutant": "mutant"}


def _weaker_text(text: str) -> Iterator[tuple[str, str]]:
    lines = text.splitlines(keepends=True)
    if len(lines) > 1:
        for index, line in enumerate(lines):
            yield f"without line {index + 1} {line.strip()!r}", "".join(lines[:index] + lines[index + 1 :])
        return
    if text:
        yield f"{text!r} → ''", ""
        yield f"{text!r} → '…-mutant'", f"{text}-mutant"
    if re.fullmatch(r"[v-]?\d[\d.]*[A-Za-z]{0,2}", text):  # a quantity, a time, a version
        more = re.sub(r"\d+", lambda digits: str(int(digits[0]) + 1), text)
        yield f"{text!r} → {more!r}", more
    if cut := re.fullmatch(r"(.+)[:=/@].*", text):
        yield f"{text!r} → {cut[1]!r}", cut[1]


@contextmanager
def _with(node: Any, key: Any, other: Any) -> Iterator[None]:
    value, node[key] = node[key], other
    yield
    node[key] = value


@contextmanager
def _without(node: Any, key: Any) -> Iterator[None]:
    value = node.pop(key)
    yield
    if isinstance(node, list):
        node.insert(key, value)
    else:
        node[key] = value
