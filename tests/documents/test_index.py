"""Every page of docs/ is in its index, and every decision in theirs."""

from pathlib import Path

import pytest

from documents.pages import pages
from tests.documents.reading import LINK, pieces
from tools.repository import REPOSITORY

DOCS = REPOSITORY / "docs"
BUILT = ["documentation-technique.pdf", "presentation/presentation.pdf", "presentation/presentation.pptx"]


def linked(index: Path) -> set[Path]:
    found = [piece.text.partition("#")[0] for piece in pieces(index.read_text()) if piece.kind == LINK]
    return {(index.parent / target).resolve() for target in found if target and "://" not in target}


@pytest.mark.parametrize("index", [DOCS / "README.md", DOCS / "decisions" / "README.md"], ids=["docs", "decisions"])
def test_the_index_has_every_page(index: Path) -> None:
    decisions = DOCS / "decisions"
    of_docs = [page for page in pages() if page.is_relative_to(DOCS) and page.parent != decisions]
    of_decisions = [page for page in pages() if page.parent == decisions]
    expected = set(of_docs if index.parent == DOCS else of_decisions) - {index}
    assert expected - linked(index) == set()


def test_the_index_has_the_documents_that_are_files() -> None:
    assert {DOCS / name for name in BUILT} <= linked(DOCS / "README.md")
