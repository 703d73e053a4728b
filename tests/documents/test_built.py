"""Documents that are files are of today's sources; the hash by which each knows its own.

A stale one is a note: who edits a sentence need not have LibreOffice. With CURRENT_DOCUMENTS set it is an error.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from documents.stamp import keyword, source_hash
from tests.documents.built import CURRENT, skip_if_stale, stale


@pytest.mark.parametrize("document", CURRENT, ids=lambda document: document.name)
def test_a_document_is_current(document: Path) -> None:
    if os.environ.get("CURRENT_DOCUMENTS"):
        assert stale(document) == ""
    skip_if_stale(document)


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
