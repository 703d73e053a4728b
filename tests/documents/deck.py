"""What can be wrong with a presentation: each function gives its faults, as sentences."""

import itertools
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from PIL import ImageFont
from pptx.enum.shapes import MSO_SHAPE_TYPE
from pptx.oxml.ns import qn
from pptx.text.text import _Run
from pptx.util import Pt

from tests.support.contrast import LEAST_CONTRAST, contrast

LEAST = Pt(18)
PICTURE_SHARE = 0.6  # of the slide, at most
FONTS = Path("/usr/share/fonts/truetype/liberation")
FAMILIES = {"Arial": "LiberationSans", "Courier New": "LiberationMono"}  # of the same widths
LINE = 1.2  # of the size of the letters
WHITE = "FFFFFF"


def shapes(deck: Any) -> Iterator[tuple[int, Any, Any]]:
    for number, slide in enumerate(deck.slides, 1):
        for shape in slide.shapes:
            yield number, slide, shape


def place(number: int, shape: Any) -> str:
    return f"{number}: {shape.name}"


def is_connector(shape: Any) -> bool:
    return bool(shape.shape_type == MSO_SHAPE_TYPE.LINE)


def is_decorative(shape: Any) -> bool:
    return bool(shape._element.xpath(".//*[local-name() = 'decorative']"))


def edges(shape: Any) -> tuple[int, int, int, int]:
    return shape.left, shape.top, shape.left + shape.width, shape.top + shape.height


def outside(deck: Any) -> list[str]:
    def beyond(shape: Any) -> bool:
        left, top, right, bottom = edges(shape)
        return left < 0 or top < 0 or right > deck.slide_width or bottom > deck.slide_height

    return [place(number, shape) for number, _, shape in shapes(deck) if beyond(shape)]


def overlapping(deck: Any) -> list[str]:
    """Give what covers something else; a group's frame and a band are made to have things on them."""
    found = []
    for number, slide in enumerate(deck.slides, 1):
        solid = [
            shape
            for shape in slide.shapes
            if not is_connector(shape) and not is_decorative(shape) and not shape.name.startswith("groupe ")
        ]
        for one, other in itertools.combinations(solid, 2):
            a, b = edges(one), edges(other)
            if a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]:
                found.append(f"{place(number, one)}, {other.name}")
    return found


def frames(shape: Any) -> Iterator[tuple[Any, int, int, Any]]:
    """Give each text of a shape, with its room and its ground: a shape's own, or those of a table's cells."""
    if shape.has_text_frame:
        yield shape.text_frame, shape.width, shape.height, shape
    if shape.has_table:
        table = shape.table
        for row in range(len(table.rows)):
            for column in range(len(table.columns)):
                cell = table.cell(row, column)
                yield cell.text_frame, table.columns[column].width, table.rows[row].height, cell


def runs(deck: Any) -> Iterator[tuple[str, Any, Any, Any]]:
    """Give the pieces of text; the number of a slide is a field, which python-pptx does not count among them."""
    for number, slide, shape in shapes(deck):
        for frame, _, _, holder in frames(shape):
            for paragraph in frame.paragraphs:
                for element in paragraph._p.iterchildren(qn("a:r"), qn("a:fld")):
                    run = _Run(element, paragraph)
                    yield f"{place(number, shape)}: {run.text}", slide, holder, run


def small(deck: Any) -> list[str]:
    found = [where for where, _, _, run in runs(deck) if run.font.size is None or run.font.size < LEAST]
    for number, _, shape in shapes(deck):
        if shape.has_chart:
            sizes = [int(each.get("sz")) for each in shape.chart._chartSpace.iter() if each.get("sz")]
            found += [place(number, shape)] if not sizes or min(sizes) < LEAST.pt * 100 else []
    return found


def _fill(shape: Any) -> str:
    fill = getattr(shape, "fill", None)
    return str(fill.fore_color.rgb) if fill is not None and fill.type == 1 else ""


def _ground(slide: Any, holder: Any) -> str:
    """Return the colour behind a text: its own fill, or that of the last shape drawn below it."""
    if own := _fill(holder):
        return own
    ground = WHITE
    if not hasattr(holder, "left"):
        return ground
    left, top, right, bottom = edges(holder)
    for shape in slide.shapes:
        if shape._element is holder._element:
            break
        if is_connector(shape) or not _fill(shape):
            continue
        a = edges(shape)
        if a[0] <= left and a[1] <= top and a[2] >= right and a[3] >= bottom:
            ground = _fill(shape)
    return ground


def channels(colour: str) -> list[float]:
    """Return those of a colour that is written as RRGGBB."""
    return [int(colour[start : start + 2], 16) / 255 for start in (0, 2, 4)]


def faint(deck: Any) -> list[str]:
    return [
        where
        for where, slide, holder, run in runs(deck)
        if run.font.color.type is None
        or contrast(channels(str(run.font.color.rgb)), channels(_ground(slide, holder))) < LEAST_CONTRAST
    ]


def undescribed(deck: Any) -> list[str]:
    """Give what is no text and has none in its stead."""
    return [
        place(number, shape)
        for number, _, shape in shapes(deck)
        if (not shape.has_text_frame or not shape.text_frame.text.strip())
        and not is_decorative(shape)
        and not shape._element.xpath(".//p:cNvPr")[0].get("descr")
        and not shape.is_placeholder
    ]


def unsaid(deck: Any) -> list[str]:
    """Give the slides without notes for who speaks."""
    notes = [slide.notes_slide.notes_text_frame.text for slide in deck.slides]
    return [f"{number}: no notes" for number, text in enumerate(notes, 1) if not text.strip()]


def foreign(deck: Any) -> list[str]:
    """Give the texts that are not said to be French."""
    found = []
    for number, slide in enumerate(deck.slides, 1):
        for root in (slide._element, slide.notes_slide._element):
            for run in root.iter(qn("a:r")):
                properties = run.find(qn("a:rPr"))
                if properties is None or properties.get("lang") != "fr-FR":
                    found.append(f"{number}: {run.findtext(qn('a:t'))}")
    return found


def unglued(deck: Any) -> list[str]:
    """Give the connectors that would stay behind if one of their ends were moved."""
    found = []
    for number, slide, shape in shapes(deck):
        if not is_connector(shape):
            continue
        known = {other.shape_id: other for other in slide.shapes}
        ends = [shape._element.find(f".//{qn(tag)}") for tag in ("a:stCxn", "a:endCxn")]
        if any(end is None or int(end.get("id")) not in known for end in ends):
            found.append(place(number, shape))
    return found


def ambiguous(deck: Any) -> list[str]:
    """Give the slides on which two shapes have one number, so that a connector may hold the wrong one."""
    numbers = [[shape.shape_id for shape in slide.shapes] for slide in deck.slides]
    return [str(number) for number, found in enumerate(numbers, 1) if len(found) != len(set(found))]


def pictured(deck: Any) -> list[str]:
    """Give the pictures that stand for a slide."""
    most = PICTURE_SHARE * deck.slide_width * deck.slide_height
    pictures = [(number, shape) for number, _, shape in shapes(deck) if shape.shape_type == MSO_SHAPE_TYPE.PICTURE]
    return [place(number, shape) for number, shape in pictures if shape.width * shape.height > most]


def mistyped(deck: Any) -> list[str]:
    """Give what French typography has otherwise: apostrophes, and spaces that a line may break at."""
    return [
        where
        for where, _, _, run in runs(deck)
        if run.font.name != "Courier New" and re.search(r"\w'\w| [:;?!»]|« ", run.text)
    ]


@cache
def _letters(family: str, bold: bool, points: int) -> ImageFont.FreeTypeFont:
    style = "Bold" if bold else "Regular"
    return ImageFont.truetype(str(FONTS / f"{FAMILIES[family]}-{style}.ttf"), points * 10)


def _lines(paragraph: Any, room: float) -> int:
    """Count the lines that a paragraph takes in a room of so many points."""
    lines, used = 1, 0.0
    for run in paragraph.runs:
        letters = _letters(run.font.name, bool(run.font.bold), int(run.font.size.pt))
        for word in re.findall(r"[^ ]+ ?| ", run.text):
            width = letters.getlength(word.rstrip(" ")) / 10
            if used and used + width > room:
                lines, used = lines + 1, 0.0
            used += letters.getlength(word) / 10
    return lines


def overflowing(deck: Any) -> list[str]:
    """Give the texts that need more room than they have, by the widths of the letters."""
    found = []
    for number, _, shape in shapes(deck):
        for frame, width, height, _ in frames(shape):
            paragraphs = [paragraph for paragraph in frame.paragraphs if paragraph.runs]
            indent = 27 if shape.is_placeholder and len(paragraphs) > 1 else 0  # of a point's bullet
            room = Pt(1).pt * (width - frame.margin_left - frame.margin_right) / Pt(1) - indent
            needed = sum(
                _lines(each, room) * LINE * max(run.font.size.pt for run in each.runs)
                + (each.space_after.pt if each.space_after else 0)
                for each in paragraphs
            )
            if paragraphs and needed > (height - frame.margin_top - frame.margin_bottom) / Pt(1):
                found.append(f"{place(number, shape)}: {frame.text[:40]}")
    return found
