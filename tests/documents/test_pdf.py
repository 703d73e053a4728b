"""The built technical document: of today's sources, and with everything that its page has."""

import re
import shutil
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from documents import pdf, stamp
from documents.pdf import PAGE, PDF
from tests.documents.built import skip_if_stale
from tests.documents.reading import PARSER

LETTERS = re.compile(r"[\s\u00ad\u2010-]+")  # what a line that is broken may have lost or gained


def packed(text: str) -> str:
    return LETTERS.sub("", text).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")


@cache
def reader() -> PdfReader:
    return PdfReader(PDF)


def text() -> str:
    """Return what the PDF says, if that is what its sources say."""
    skip_if_stale(PDF)
    return _text()


@cache
def _text() -> str:
    return packed("".join(page.extract_text() for page in reader().pages))


def shown(of: str) -> list[str]:
    """Return the text of the page's headings, or of other tokens of Markdown."""
    tokens = PARSER.parse(PAGE.read_text())
    inline = [after for before, after in pairwise(tokens) if before.type == of]
    return [
        "".join(one.content for one in token.children or [] if one.type in ("text", "code_inline")) for token in inline
    ]


def test_its_sources_are_the_page_its_pictures_and_its_style() -> None:
    names = {path.name for path in pdf.sources()}
    assert {PAGE.name, "page.png", "print.css", "template.html", "mermaid.json"} <= names
    assert all(path.is_file() for path in pdf.sources())


@pytest.mark.parametrize("heading", shown("heading_open"))
def test_it_has_each_heading(heading: str) -> None:
    assert text().count(packed(heading)) >= (1 if heading == shown("heading_open")[0] else 2)  # contents and page


def test_it_has_each_cell_of_each_table() -> None:
    cells = [cell for cell in shown("td_open") if "<!--" not in cell]
    assert cells
    assert [cell for cell in cells if packed(cell) not in text()] == []


def test_it_has_each_value_and_each_caption() -> None:
    values = re.findall(r"<!-- v:\S+ -->([^\n]*?)<!-- /v -->", PAGE.read_text())
    captions = re.findall(r"^\*(Figure \d+\. .+)\*$", PAGE.read_text(), re.MULTILINE)
    assert values
    assert [one for one in (*values, *captions) if packed(one) not in text()] == []


def test_its_apostrophes_are_typographic() -> None:
    skip_if_stale(PDF)
    said = reader().pages[2].extract_text()  # the summary: neither code nor diagrams
    assert "\N{RIGHT SINGLE QUOTATION MARK}" in said
    assert not re.search(r"\w'\w", said)


def test_diagrams_are_drawn() -> None:
    """Their text is in the PDF, as it stands between quotes in their source, and none of their own syntax is."""
    fences = re.findall(r"```mermaid\n(.*?)```", PAGE.read_text(), re.DOTALL)
    labels = [part for fence in fences for label in re.findall(r'\["(.+?)"\]', fence) for part in label.split("<br>")]
    assert labels
    assert [label for label in labels if packed(label) not in text()] == []
    assert not re.search(r"flowchart(?:LR|TB)|sequenceDiagram|subgraph|classDef|<!--|\?\?|```", text())


def test_it_can_be_read_by_all_and_printed_anywhere() -> None:
    root: Any = reader().root_object
    assert root["/Lang"] == "fr"
    assert root["/MarkInfo"]["/Marked"]
    resources: list[Any] = [page["/Resources"].get_object() for page in reader().pages]
    fonts = [font.get_object() for one in resources for font in one.get("/Font", {}).values()]
    descriptors = [font["/DescendantFonts"][0].get_object()["/FontDescriptor"] for font in fonts]
    assert descriptors
    assert all({"/FontFile2", "/FontFile3"} & one.get_object().keys() for one in descriptors)


def edit(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


def drop_picture(path: Path) -> None:
    path.write_text(re.sub(r"^!\[.*\n", "", path.read_text(), flags=re.MULTILINE))


@pytest.mark.parametrize(
    ("name", "change"), [(PAGE.name, edit), (PAGE.name, drop_picture), ("print.css", edit), ("page.png", edit)]
)
def test_a_change_makes_it_stale(
    name: str, change: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(PAGE.parent / "images", tmp_path / "images")
    shutil.copytree(pdf.PRINT, tmp_path / "print")
    shutil.copy(PAGE, tmp_path)
    monkeypatch.setattr(pdf, "PAGE", tmp_path / PAGE.name)
    monkeypatch.setattr(pdf, "PRINT", tmp_path / "print")
    before = stamp.keyword(pdf.sources())
    (changed,) = [path for path in pdf.sources() if path.name == name]
    change(changed)
    assert stamp.keyword(pdf.sources()) != before
