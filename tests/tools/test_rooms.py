"""Who may import whom: what overlay editors and operators need never waits for what makes documents or measures."""

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tools.repository import REPOSITORY

LETTERS = 60  # of the name of a test
# A directory → the list of the packages that are installed for it, in requirements/.
PACKAGES = {
    "src": "../src/api/requirements.in",
    "tools": "run.in",
    "documents": "documents.in",
    "bench": "bench.in",
    "tests": "test.in",
}
# A command → what is installed for it alone.
MORE = {"tools/seal.py": "seal.in"}
# A directory → those that nothing in it may import.
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


@pytest.mark.parametrize(("room", "listed"), PACKAGES.items())
def test_what_a_room_imports_is_what_its_packages_bring(room: str, listed: str) -> None:
    """What setup.sh installs for a command is all that it has; what another package happens to bring may go with it."""
    own = {"datapress_api"} | {path.name for path in REPOSITORY.iterdir()}
    given = declared(REPOSITORY / "requirements" / listed)
    files = {str(file.relative_to(REPOSITORY)): file for file in (REPOSITORY / room).rglob("*.py")}
    names = {(place, name.partition(".")[0]) for place, file in files.items() for name in imported(file)}
    foreign = {(place, name) for place, name in names if name not in sys.stdlib_module_names | own}
    assert foreign
    assert [one for one in sorted(foreign) if not (given | more_for(one[0])) & distributions(one[1])] == []


def more_for(place: str) -> set[str]:
    """Return the packages that are installed for a command alone."""
    return declared(REPOSITORY / "requirements" / MORE[place]) if place in MORE else set()


providers = cache(packages_distributions)


def distributions(name: str) -> set[str]:
    """Return the packages that may bring a module; of one that is not installed here, those called like it."""
    installed = providers().get(name, [name, f"{name}-binary"])
    return {re.sub(r"[-_.]+", "-", distribution).lower() for distribution in installed}


def declared(file: Path) -> set[str]:
    """Return the packages that a .in file names, and those that it includes."""
    lines = [line.partition("#")[0].strip() for line in file.read_text().splitlines()]
    included = [declared(file.parent / line.removeprefix("-r ")) for line in lines if line.startswith("-r ")]
    return {re.split(r"[^\w.-]", line)[0] for line in lines if line[:1].isalnum()}.union(*included)


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
