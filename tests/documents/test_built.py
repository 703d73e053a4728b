"""The hash by which a built document knows its sources."""

from collections.abc import Callable
from pathlib import Path

import pytest

from documents.stamp import keyword, source_hash


def sources(directory: Path) -> list[Path]:
    directory.mkdir()
    for name, text in {"page.md": "# Titre\n", "print.css": "p {}\n"}.items():
        (directory / name).write_text(text)
    return sorted(directory.iterdir())


def test_neither_order_nor_place_counts(tmp_path: Path) -> None:
    here, there = sources(tmp_path / "here"), sources(tmp_path / "there")
    assert source_hash(here) == source_hash(reversed(there))
    assert keyword(here) == f"sources-sha256-{source_hash(here)}"


def edit(directory: Path) -> None:
    (directory / "page.md").write_text("# Titres\n")


def rename(directory: Path) -> None:
    (directory / "page.md").rename(directory / "pages.md")


def move_text(directory: Path) -> None:
    (directory / "page.md").write_text("")
    (directory / "print.css").write_text("# Titre\np {}\n")


def add(directory: Path) -> None:
    (directory / "page.png").write_bytes(b"")


@pytest.mark.parametrize("change", [edit, rename, move_text, add])
def test_a_changed_source_is_noticed(change: Callable[[Path], None], tmp_path: Path) -> None:
    before = source_hash(sources(tmp_path / "sources"))
    change(tmp_path / "sources")
    assert source_hash((tmp_path / "sources").iterdir()) != before
