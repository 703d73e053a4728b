"""Who may import whom: what overlay editors and operators need never waits for what makes documents or measures."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.repository import REPOSITORY

# A directory → the packages that nothing in it may import.
FORBIDDEN = {"tools": {"documents", "bench"}, "documents": {"bench"}, "src": {"tools", "documents", "bench"}}


def imported(file: Path) -> Iterator[str]:
    """Give the modules that a file imports, wherever in it, each with what is taken of it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: {ast.unparse(node)} does not say which package it means"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("room", FORBIDDEN)
def test_a_room_imports_none_that_is_built_on_it(room: str) -> None:
    files = sorted((REPOSITORY / room).rglob("*.py"))
    assert files
    wrong = [(file, name) for file in files for name in imported(file) if name.partition(".")[0] in FORBIDDEN[room]]
    assert wrong == []


def test_no_test_imports_another() -> None:
    """What tests share is in a conftest or in tests/support."""
    files = sorted((REPOSITORY / "tests").rglob("*.py"))
    found = [(file, name) for file in files for name in imported(file) if name.startswith("tests.")]
    wrong = [(file, name) for file, name in found if any(part.startswith("test_") for part in name.split("."))]
    assert wrong == []


def test_an_import_is_seen_wherever_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text("import bench.workers\n\n\ndef later() -> None:\n    from documents import pages as p\n")
    assert list(imported(file)) == ["bench.workers", "documents.pages"]
