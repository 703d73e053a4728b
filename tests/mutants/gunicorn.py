"""Mutants of gunicorn's configuration: each statement is deleted, each constant changed.

The file itself is rewritten, so this runs in a copy of the repository.
"""

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

from tests.mutants.plugin import Mutant
from tests.support.gunicorn_server import CONFIGURATION

# Mutants that are as good as the product, and why. `*` stands for anything.
EQUIVALENT = {
    "control": "the same file as the library writes it",
    "sys.path.insert(0, chdir): 0 → 1": "no other package has the name that is looked up there",
}


def mutants() -> Iterator[Mutant]:
    """Make every mutant of the file."""
    tree = ast.parse(CONFIGURATION.read_text())
    for name, text in [("control", ast.unparse(tree)), *_changes(tree)]:
        yield Mutant(name, CONFIGURATION.name, partial(_written, text))


def _changes(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for index, statement in enumerate(tree.body):
        if _is_docstring(statement):
            continue
        name = ast.unparse(statement).splitlines()[0]
        rest = tree.body[:index] + tree.body[index + 1 :]
        yield f"{name}: deleted", ast.unparse(ast.Module(rest, []))
        for constant in _constants(statement):
            before = constant.value
            constant.value = _other(before)
            yield f"{name}: {before!r} → {constant.value!r}", ast.unparse(tree)
            constant.value = before


def _constants(statement: ast.stmt) -> Iterator[ast.Constant]:
    nodes = list(ast.walk(statement))
    docstrings = [node.value for node in nodes if isinstance(node, ast.Expr)]
    for node in nodes:
        if isinstance(node, ast.Constant) and node.value is not None and node not in docstrings:
            yield node


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _other(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int():
            return value * 2 or 1
    return f"{value}-mutant"


@contextmanager
def _written(text: str) -> Iterator[None]:
    before = CONFIGURATION.read_text()
    _write(text)
    yield
    _write(before)


def _write(text: str) -> None:
    CONFIGURATION.write_text(text)
    # Python goes by the second and the size: it would take a mutant for the one before.
    Path(cache_from_source(CONFIGURATION)).unlink(missing_ok=True)
