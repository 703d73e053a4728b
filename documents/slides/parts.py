"""The parts of a slide, each as a native object of the presentation."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lxml import etree
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE, XL_LABEL_POSITION
from pptx.enum.shapes import MSO_CONNECTOR, MSO_SHAPE
from pptx.enum.text import MSO_ANCHOR, PP_ALIGN
from pptx.oxml.ns import qn
from pptx.slide import Slide
from pptx.util import Cm, Length, Pt

from documents import figures
from documents.slides.design import ACCENT, BODY, CODE_FONT, FONT, GREY, INK, PALE, SMALL, STYLES, WHITE, Style
from documents.slides.source import DIRECTORY

_CODE = re.compile(r"`([^`]+)`")
# Where a connector may be glued to a rectangle, as PowerPoint numbers its sides.
SIDES = {"haut": 0, "gauche": 1, "bas": 2, "droite": 3}


def box(at: list[float]) -> tuple[Length, Length, Length, Length]:
    """Return a place of the source, in centimetres, as python-pptx takes it."""
    left, top, width, height = at
    return Cm(left), Cm(top), Cm(width), Cm(height)


def describe(shape: Any, text: str) -> None:
    """Give a shape its alternative text."""
    shape._element.xpath(".//p:cNvPr")[0].set("descr", text)


def write(paragraph: Any, text: str, size: Pt, colour: Any, bold: bool = False) -> None:
    """Write a paragraph; what stands between backquotes is code."""
    for number, part in enumerate(_CODE.split(text)):
        if not part:
            continue
        run = paragraph.add_run()
        run.text = part
        run.font.name = CODE_FONT if number % 2 else FONT
        run.font.size, run.font.bold = size, bold
        run.font.color.rgb = colour


def points(slide: Slide, part: dict[str, Any]) -> None:
    """Write the lines of the body placeholder."""
    body = slide.placeholders[1]
    body.left, body.top, body.width, body.height = box(part["at"])
    frame = body.text_frame
    for number, line in enumerate(part["lignes"]):
        paragraph = frame.paragraphs[0] if number == 0 else frame.add_paragraph()
        paragraph.space_after = Pt(12)
        write(paragraph, line, BODY, INK)


def text(slide: Slide, part: dict[str, Any]) -> None:
    """Write a remark below the rest."""
    shape = slide.shapes.add_textbox(*box(part["at"]))
    shape.text_frame.word_wrap = True
    shape.text_frame.vertical_anchor = MSO_ANCHOR.MIDDLE
    write(shape.text_frame.paragraphs[0], part["texte"], BODY, ACCENT, bold=True)


def console(slide: Slide, part: dict[str, Any]) -> None:
    """Show what is typed into a terminal."""
    shape = slide.shapes.add_shape(MSO_SHAPE.RECTANGLE, *box(part["at"]))
    _paint(shape, STYLES["console"])
    frame = shape.text_frame
    frame.word_wrap, frame.vertical_anchor = True, MSO_ANCHOR.MIDDLE
    frame.margin_left = Cm(0.8)
    for number, line in enumerate(part["texte"].split("\n")):
        paragraph = frame.paragraphs[0] if number == 0 else frame.add_paragraph()
        paragraph.alignment = PP_ALIGN.LEFT
        paragraph.space_after = Pt(8)
        write(paragraph, f"`{line}`", BODY, WHITE)


def picture(slide: Slide, part: dict[str, Any]) -> None:
    """Show a picture, with a thin frame."""
    shape = slide.shapes.add_picture(str(DIRECTORY / Path(part["fichier"])), *box(part["at"]))
    shape.line.color.rgb = GREY
    describe(shape, part["texte-alternatif"])


def table(slide: Slide, part: dict[str, Any]) -> None:
    """Draw a table whose first row is its head."""
    rows = part["lignes"]
    left, top, width, height = box(part["at"])
    frame = slide.shapes.add_table(len(rows), len(rows[0]), left, top, width, height)
    describe(frame, part["texte-alternatif"])
    for column, centimetres in zip(frame.table.columns, part["colonnes"], strict=True):
        column.width = Cm(centimetres)
    for row, cells in enumerate(rows):
        for column, words in enumerate(cells):
            _cell(frame.table.cell(row, column), words, head=row == 0, odd=row % 2 == 1)


def _cell(cell: Any, words: str, head: bool, odd: bool) -> None:
    cell.fill.solid()
    cell.fill.fore_color.rgb = ACCENT if head else PALE if odd else WHITE
    cell.vertical_anchor = MSO_ANCHOR.MIDDLE
    cell.margin_left = cell.margin_right = Cm(0.35)
    write(cell.text_frame.paragraphs[0], words, SMALL, WHITE if head else INK, bold=head)


def chart(slide: Slide, part: dict[str, Any]) -> None:
    """Draw the bars of a measured table."""
    categories, numbers = SERIES[part["source"]]()
    data = CategoryChartData()
    data.categories = categories
    data.add_series(part["titre"], numbers)
    frame = slide.shapes.add_chart(XL_CHART_TYPE.BAR_CLUSTERED, *box(part["at"]), data)
    describe(frame, part["texte-alternatif"])
    drawn = frame.chart
    drawn.has_legend, drawn.has_title = False, True
    drawn.font.name, drawn.font.size, drawn.font.color.rgb = FONT, SMALL, INK
    heading = drawn.chart_title.text_frame.paragraphs[0]
    write(heading, part["titre"], SMALL, INK, bold=True)
    (plot,) = drawn.plots
    plot.gap_width, plot.vary_by_categories, plot.has_data_labels = 60, False, True
    plot.data_labels.font.size, plot.data_labels.font.name = SMALL, FONT
    plot.data_labels.position = XL_LABEL_POSITION.OUTSIDE_END
    plot.data_labels.number_format, plot.data_labels.number_format_is_linked = "0", False
    plot.series[0].format.fill.solid()
    plot.series[0].format.fill.fore_color.rgb = ACCENT
    drawn.category_axis.reverse_order = True
    drawn.category_axis.has_major_gridlines = False
    drawn.value_axis.visible, drawn.value_axis.has_major_gridlines = False, False
    # Room for the label of the longest bar.
    drawn.value_axis.maximum_scale = max(numbers) * 1.25


def _operations() -> tuple[list[str], list[int]]:
    """Return the operations in which requests failed, and the others together."""
    rows = figures.operations()
    failed = [row for row in rows if row.failed]
    others = f"les {len(rows) - len(failed)} autres"
    return [others, *(row.name for row in failed)], [0, *(row.failed for row in failed)]


SERIES: dict[str, Callable[[], tuple[list[str], list[int]]]] = {"opérations": _operations}


def diagram(slide: Slide, part: dict[str, Any]) -> None:
    """Draw groups, nodes in them, and connectors that are glued to the nodes."""
    for group in part.get("groupes", []):
        _group(slide, group)
    nodes = {node["id"]: _node(slide, node) for node in part["noeuds"]}
    names = {node["id"]: " ".join(node["texte"].split("\n")) for node in part["noeuds"]}
    for link in part.get("liens", []):
        connector = _link(slide, nodes[link["de"]], nodes[link["vers"]], link.get("côtés", ["droite", "gauche"]))
        describe(connector, link.get("alt") or f"{names[link['de']]}, vers {names[link['vers']]}")
        if "texte" in link:
            _label(slide, link)


def drop_style(shape: Any) -> None:
    """Take from a shape what the template's theme gives it: a shadow, first of all."""
    shape._element.remove(shape._element.find(qn("p:style")))


def _paint(shape: Any, style: Style) -> None:
    drop_style(shape)
    shape.fill.solid()
    shape.fill.fore_color.rgb = style.fill
    shape.line.color.rgb = style.line
    shape.line.width = Pt(1.5)


def _group(slide: Slide, group: dict[str, Any]) -> None:
    shape = slide.shapes.add_shape(MSO_SHAPE.RECTANGLE, *box(group["at"]))
    shape.name = f"groupe {group['id']}"
    _paint(shape, STYLES["groupe"])
    frame = shape.text_frame
    frame.vertical_anchor, frame.word_wrap = MSO_ANCHOR.TOP, True
    frame.paragraphs[0].alignment = PP_ALIGN.LEFT
    write(frame.paragraphs[0], group["texte"], SMALL, STYLES["groupe"].text, bold=True)


def _node(slide: Slide, node: dict[str, Any]) -> Any:
    shape = slide.shapes.add_shape(MSO_SHAPE.RECTANGLE, *box(node["at"]))
    shape.name = node["id"]
    style = STYLES[node["style"]]
    _paint(shape, style)
    frame = shape.text_frame
    frame.word_wrap, frame.vertical_anchor = True, MSO_ANCHOR.MIDDLE
    frame.margin_left = frame.margin_right = Cm(0.15)
    for number, line in enumerate(node["texte"].split("\n")):
        paragraph = frame.paragraphs[0] if number == 0 else frame.add_paragraph()
        paragraph.alignment = PP_ALIGN.CENTER
        write(paragraph, line, SMALL, style.text, bold=number == 0)
    return shape


def _link(slide: Slide, start: Any, end: Any, sides: list[str]) -> Any:
    connector = slide.shapes.add_connector(MSO_CONNECTOR.STRAIGHT, 0, 0, 0, 0)
    connector.begin_connect(start, SIDES[sides[0]])
    connector.end_connect(end, SIDES[sides[1]])
    drop_style(connector)
    connector.line.color.rgb, connector.line.width = INK, Pt(2)
    # python-pptx has no call for the head of an arrow.
    etree.SubElement(connector.line._get_or_add_ln(), qn("a:tailEnd"), type="triangle", w="med", len="med")
    return connector


def _label(slide: Slide, link: dict[str, Any]) -> None:
    shape = slide.shapes.add_textbox(*box(link["at"]))
    frame = shape.text_frame
    frame.word_wrap, frame.vertical_anchor = True, MSO_ANCHOR.MIDDLE
    frame.margin_left = frame.margin_right = frame.margin_top = frame.margin_bottom = 0
    frame.paragraphs[0].alignment = PP_ALIGN.CENTER
    write(frame.paragraphs[0], link["texte"], SMALL, INK)


PARTS: dict[str, Callable[[Slide, dict[str, Any]], None]] = {
    "points": points,
    "image": picture,
    "schéma": diagram,
    "graphique": chart,
    "tableau": table,
    "console": console,
    "texte": text,
}
