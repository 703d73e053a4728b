"""What `make pages` writes into pages is current, and a page that asks for something unknown is refused."""

import re
from pathlib import Path

import pytest

from documents.facts import promises
from documents.pages import DRAWN, LISTED, REGIONS, fill, pages, region, value
from tests.support.product import FOLLOWED
from tools.command import RefusedError
from tools.repository import REPOSITORY

BEGIN, END = "<!-- début sept : écrit par make docs, ne pas modifier -->\n", "<!-- fin sept -->"
MADE = {"sept": "7\n"}


def make(name: str) -> str:
    """Stand in for a registry of regions or values."""
    if name not in MADE:
        raise RefusedError(f"there is no '{name}'")
    return MADE[name]


@pytest.mark.parametrize("path", pages(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_a_page_is_current(path: Path) -> None:
    where = str(path.relative_to(REPOSITORY))
    text = path.read_text()
    assert fill(text, where) == text, f"run `make docs`, and commit {where}"


def test_a_stale_region_is_found_and_written() -> None:
    right = f"Before\n\n{BEGIN}7\n{END}\n\nAfter\n"
    assert fill(right, "page.md", make) == right
    for stale in (f"{BEGIN}8\n{END}", f"{BEGIN}{END}", f"{BEGIN}7\nand more\n{END}"):
        assert fill(f"Before\n\n{stale}\n\nAfter\n", "page.md", make) == right


def test_a_stale_value_is_found_and_written() -> None:
    def value(name: str) -> str:
        return name.upper()

    text = "Of <!-- v:a.b -->x<!-- /v -->, and <!-- v:c --><!-- /v -->."
    assert fill(text, "page.md", make, value) == "Of <!-- v:a.b -->A.B<!-- /v -->, and <!-- v:c -->C<!-- /v -->."


WRONG = {
    "no end": f"{BEGIN}7\n",
    "no begin": f"\n{END}\n",
    "a begin within": f"{BEGIN}{BEGIN}7\n{END}\n",
    "another's end": f"{BEGIN}7\n<!-- fin huit -->\n",
    "begin misspelt": f"{BEGIN.replace('écrit', 'écrite')}7\n{END}\n",
    "unknown name": f"{BEGIN.replace('sept', 'huit')}7\n{END.replace('sept', 'huit')}\n",
    "value without an end": "A <!-- v:sept -->7\n",
    "value without a begin": "7<!-- /v -->\n",
    "value over two lines": "A <!-- v:sept -->\n7<!-- /v -->\n",
    "value without a name": "A <!-- v: -->7<!-- /v -->\n",
    "value that begins a line": "Of\n  <!-- v:sept -->7<!-- /v --> and [a link](page.md)\n",
    "value of an unknown name": "A <!-- v:huit -->7<!-- /v -->\n",
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_a_wrong_mark_is_refused_with_its_place(text: str) -> None:
    line = next(number for number, line in enumerate(text.splitlines(), 3) if "<!--" in line)
    with pytest.raises(
        RefusedError, match=rf"^page\.md:({line}|{line + 1}): .*(there is no 'huit'|no counterpart|begins the line)"
    ):
        fill(f"Before\n\n{text}", "page.md", make, make)


def test_an_unknown_region_or_value_is_refused() -> None:
    with pytest.raises(RefusedError, match=f"there is no region 'nothing'; choose one of .*{next(iter(REGIONS))}"):
        region("nothing")
    with pytest.raises(RefusedError, match=rf"there is no value '{FOLLOWED}\.api\.replica': .*--values"):
        value(f"{FOLLOWED}.api.replica")
    with pytest.raises(RefusedError, match="declares no figure 'nothing'"):
        value("mesure.nothing")


def test_every_promise_is_kept_by_a_test() -> None:
    tests = "".join(path.read_text() for path in (REPOSITORY / "tests").rglob("*.py"))
    assert [name for name in promises() if f'promises()["{name}"]' not in tests] == []


@pytest.mark.parametrize("name", [name for name in REGIONS if name not in (DRAWN | LISTED)])
def test_a_region_is_a_table_of_rows_with_as_many_cells(name: str) -> None:
    tables = re.findall(r"(?:^\|.*\n)+", region(name), re.MULTILINE)
    assert tables
    for table in tables:
        lines = table.splitlines()
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1, lines
        assert re.fullmatch(r"\|( --- \|)+", lines[1])
