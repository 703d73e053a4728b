"""The documents that are files, and whether each is of today's sources."""

from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pptx import Presentation

from documents import pdf
from documents.slides import source
from documents.slides.deck import build, fingerprint
from documents.stamp import MARK, keyword, keywords_of
from tools.repository import REPOSITORY


@cache
def _saved() -> bytes:
    file = BytesIO()
    build(source.load()).save(file)
    return file.getvalue()


def deck() -> Any:
    """Return the presentation as `make docs` would build it now: the caller's own, to change."""
    return Presentation(BytesIO(_saved()))


CURRENT: dict[Path, Callable[[], bool]] = {
    pdf.PDF: lambda: keywords_of(pdf.PDF) == keyword(pdf.sources()),
    source.PDF: lambda: keywords_of(source.PDF) == deck().core_properties.keywords,
    source.PRESENTATION: lambda: (
        MARK + fingerprint(Presentation(str(source.PRESENTATION))) == deck().core_properties.keywords
    ),
}


@cache
def stale(document: Path) -> str:
    """Return what to do about a document that is of other sources; nothing for one that is current."""
    name = document.relative_to(REPOSITORY)
    return "" if CURRENT[document]() else f"{name} is of other sources: run 'make docs', and commit it"


def skip_if_stale(document: Path) -> None:
    """Leave out what compares a document with sources that it is not of."""
    if told := stale(document):
        pytest.skip(told)
