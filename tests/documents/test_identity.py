"""One identity: the page, the technical document, its diagrams and the slides share blue, ink and letters."""

import json
import re

import pytest
from pptx.dml.color import RGBColor

from documents.pdf import DIAGRAMS, MARK, PRINT
from documents.slides import design
from tools.local.front import SITE

STYLE = (SITE / "app.css").read_text()
PRINTED = (PRINT / "print.css").read_text()


def of_page(name: str) -> str:
    """Return a colour of the page, as it is by day."""
    found = re.search(rf"--{name}: (#[0-9a-f]{{6}})", STYLE)
    assert found
    return found[1]


BLUES = {of_page("accent"), of_page("accent-strong")}


def blues(text: str) -> set[str]:
    """Return the colours of a text that are strong and blue: by far more blue than red in them."""
    found = set(re.findall(r"#[0-9a-f]{6}", text.lower()))
    return {one for one in found if int(one[5:], 16) - int(one[1:3], 16) > 0x40}


def diagrams() -> str:
    variables = json.loads((DIAGRAMS / "mermaid.json").read_text())["themeVariables"]
    return " ".join(map(str, variables.values()))


def slides() -> str:
    return " ".join(f"#{colour}" for colour in vars(design).values() if isinstance(colour, RGBColor))


@pytest.mark.parametrize("text", [MARK.read_text(), PRINTED, diagrams(), slides()], ids=["mark", "pdf", "mmd", "pptx"])
def test_there_is_one_blue(text: str) -> None:
    assert of_page("accent") in blues(text)
    assert blues(text) <= BLUES


def test_ink_and_letters_are_the_same() -> None:
    assert of_page("text") in PRINTED
    assert f"#{design.INK}".lower() == of_page("text")
    family = re.search(r"font: 1rem/[\d.]+ ([^,]+), \"([^\"]+)\"", STYLE)
    assert family
    assert (family[1], f'"{family[2]}"' in PRINTED) == (design.FONT, True)


def test_sizes_are_a_quarter_apart() -> None:
    """As those of the technical document: its headings by its text."""
    page = [1.0, *(float(size) for size in re.findall(r"--(?:large|largest): ([\d.]+)rem", STYLE))]
    base, second, third = (float(re.search(pattern, PRINTED)[1]) for pattern in SIZES)  # type: ignore[index]
    assert page == [1.25**step for step in range(3)]
    assert [third / base, second / base] == pytest.approx(page[1:], rel=0.05)


SIZES = [r"html \{ font: ([\d.]+)pt", r"h2 \{ font-size: ([\d.]+)pt", r"h3 \{ font-size: ([\d.]+)pt"]
