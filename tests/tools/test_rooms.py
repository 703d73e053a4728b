"""Who may import whom: what overlay editors and operators need never waits for what makes documents or measures."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.repository import REPOSITORY

LETTERS = 60  # of the name of a test
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
    """What tests share is in tests/support, or in tests/cases if it is data."""
    files = sorted((REPOSITORY / "tests").rglob("*.py"))
    found = [(file, name) for file in files for name in imported(file) if name.startswith("tests.")]
    assert [(file, name) for file, name in found if re.search(r"\.(test_|conftest\b)", name)] == []


def test_a_test_has_a_name_that_can_be_read_at_a_glance() -> None:
    texts = [file.read_text() for file in (REPOSITORY / "tests").rglob("*.py")]
    names = [name for text in texts for name in re.findall(r"^ *def (test_\w+)", text, re.MULTILINE)]
    assert [name for name in names if len(name) > LETTERS] == []


def test_an_import_is_seen_wherever_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text("import bench.workers\n\n\ndef later() -> None:\n    from documents import pages as p\n")
    assert list(imported(file)) == ["bench.workers", "documents.pages"]
