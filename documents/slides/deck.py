"""The deck: its page, its layouts, and its slides one after the other."""

import copy
import hashlib
from datetime import UTC, datetime
from typing import Any

from lxml import etree
from pptx import Presentation
from pptx.enum.shapes import MSO_SHAPE, PP_PLACEHOLDER
from pptx.enum.text import MSO_ANCHOR, PP_ALIGN
from pptx.oxml.ns import qn
from pptx.shapes.picture import Picture
from pptx.slide import Slide
from pptx.text.text import Font
from pptx.util import Cm, Pt

from documents.slides.design import ACCENT, BODY, FONT, GREY, HEIGHT, INK, SMALL, TITLE, WHITE, WIDTH
from documents.slides.parts import PARTS, drop_style, write
from documents.stamp import MARK

LANGUAGE = "fr-FR"
# Of the layouts of python-pptx's own template.
TITLE_SLIDE, WITH_BODY, WITHOUT_BODY = 0, 1, 5
# https://learn.microsoft.com/openspecs/office_standards/ms-odrawxml: [MS-ODRAWXML] 2.14, decorative
DECORATIVE = (
    '<a:extLst xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main">'
    '<a:ext uri="{C183D7F6-B498-43B3-948B-1728B52AA6E4}"><adec:decorative '
    'xmlns:adec="http://schemas.microsoft.com/office/drawing/2017/decorative" val="1"/></a:ext></a:extLst>'
)
FOOTERS = {PP_PLACEHOLDER.FOOTER: (1.5, 17.5, 22.0, 1.1), PP_PLACEHOLDER.SLIDE_NUMBER: (28.4, 17.5, 4.0, 1.1)}


def build(source: dict[str, Any]) -> Any:
    """Return the presentation of a source that has been filled."""
    deck = Presentation()
    deck.slide_width, deck.slide_height = WIDTH, HEIGHT
    _set_layouts(deck)
    for number, content in enumerate(source["diapositives"]):
        slide = _title_slide(deck, content) if number == 0 else _slide(deck, content)
        _footer(slide, source["pied"])
        slide.notes_slide.notes_text_frame.text = content["notes"]
    _set_language(deck)
    properties = deck.core_properties
    properties.author, properties.title, properties.language = source["auteur"], source["pied"], LANGUAGE
    properties.comments, properties.last_modified_by = "", source["auteur"]
    # The day of a build says nothing of what was built.
    properties.created = properties.modified = datetime(2026, 1, 1, tzinfo=UTC)
    # LibreOffice hands it on to the PDF.
    properties.keywords = MARK + fingerprint(deck)
    return deck


def fingerprint(deck: Any) -> str:
    """Return a hash of all that its readers see, which two builds of a source have in common; their files differ."""
    found = hashlib.sha256()
    for slide in deck.slides:
        for element in (slide._element, slide.notes_slide._element):
            found.update(etree.tostring(element, method="c14n"))
        for shape in slide.shapes:
            if shape.has_chart:
                found.update(etree.tostring(shape.chart._chartSpace, method="c14n"))
            if isinstance(shape, Picture):
                found.update(shape.image.sha1.encode())
    return found.hexdigest()


def _set_layouts(deck: Any) -> None:
    """Move the placeholders of the template, which is 4:3, to where this page has them."""
    for layout in (deck.slide_master, *deck.slide_layouts):
        for shape in layout.placeholders:
            kind = shape.placeholder_format.type
            if kind in FOOTERS:
                shape.left, shape.top, shape.width, shape.height = map(Cm, FOOTERS[kind])
            elif kind == PP_PLACEHOLDER.TITLE:
                shape.left, shape.top, shape.width, shape.height = map(Cm, (1.5, 0.9, 30.9, 1.9))
            elif kind in (PP_PLACEHOLDER.BODY, PP_PLACEHOLDER.OBJECT):
                shape.left, shape.top, shape.width, shape.height = map(Cm, (1.5, 3.6, 30.9, 12.9))
    scheme = deck.slide_master.part.part_related_by(
        "http://schemas.openxmlformats.org/officeDocument/2006/relationships/theme"
    )
    scheme._blob = scheme.blob.replace(b'typeface="Calibri"', f'typeface="{FONT}"'.encode())


def _slide(deck: Any, content: dict[str, Any]) -> Slide:
    slide: Slide = deck.slides.add_slide(deck.slide_layouts[WITH_BODY if "points" in content else WITHOUT_BODY])
    _write_title(slide, content["titre"], TITLE, INK)
    line = slide.shapes.add_shape(MSO_SHAPE.RECTANGLE, Cm(1.5), Cm(2.9), Cm(4), Cm(0.12))
    line.name = "filet"
    _decorate(line, ACCENT)
    for name, part in PARTS.items():
        if name in content:
            part(slide, content[name])
    return slide


def _title_slide(deck: Any, content: dict[str, Any]) -> Slide:
    slide: Slide = deck.slides.add_slide(deck.slide_layouts[TITLE_SLIDE])
    band = slide.shapes.add_shape(MSO_SHAPE.RECTANGLE, 0, 0, WIDTH, Cm(11.6))
    band.name = "bandeau"
    _decorate(band, ACCENT)
    # Behind the title, and so read before it.
    slide.shapes._spTree.insert(2, band._element)
    title = slide.shapes.title
    title.left, title.top, title.width, title.height = map(Cm, (2.0, 4.2, 29.8, 4.4))
    _write_title(slide, content["titre"], Pt(44), WHITE)
    subtitle = slide.placeholders[1]
    subtitle.left, subtitle.top, subtitle.width, subtitle.height = map(Cm, (2.0, 12.2, 29.8, 4.0))
    frame = subtitle.text_frame
    frame.vertical_anchor = MSO_ANCHOR.TOP
    for number, (line, size, colour) in enumerate(
        ((content["sous-titre"], Pt(24), INK), (content["mention"], BODY, GREY))
    ):
        paragraph = frame.paragraphs[0] if number == 0 else frame.add_paragraph()
        paragraph.alignment, paragraph.space_after = PP_ALIGN.LEFT, Pt(10)
        write(paragraph, line, size, colour)
    return slide


def _write_title(slide: Slide, words: str, size: Any, colour: Any) -> None:
    title = slide.shapes.title
    title.text_frame.vertical_anchor = MSO_ANCHOR.MIDDLE
    title.text_frame.word_wrap = True
    paragraph = title.text_frame.paragraphs[0]
    paragraph.alignment = PP_ALIGN.LEFT
    write(paragraph, words, size, colour, bold=True)


def _decorate(shape: Any, colour: Any) -> None:
    """Paint a shape that says nothing, and tell who cannot see it that it is so."""
    drop_style(shape)
    shape.fill.solid()
    shape.fill.fore_color.rgb = colour
    shape.line.fill.background()
    shape._element.xpath(".//p:cNvPr")[0].append(etree.fromstring(DECORATIVE))


def _footer(slide: Slide, words: str) -> None:
    """Put the footer and the number of the slide where its layout has them; python-pptx leaves them out."""
    for shape in slide.slide_layout.placeholders:
        kind = shape.placeholder_format.type
        if kind not in FOOTERS:
            continue
        element = copy.deepcopy(shape._element)
        # A connector finds its ends by this number.
        element.xpath(".//p:cNvPr")[0].set("id", str(slide.shapes._next_shape_id))
        slide.shapes._spTree.append(element)
        (own,) = [each for each in slide.placeholders if each._element is element]
        own.left, own.top, own.width, own.height = map(Cm, FOOTERS[kind])
        paragraph = own.text_frame.paragraphs[0]
        if kind == PP_PLACEHOLDER.FOOTER:
            own.text_frame.clear()
            paragraph.alignment = PP_ALIGN.LEFT
            write(paragraph, words, SMALL, GREY)
        else:
            paragraph.alignment = PP_ALIGN.RIGHT
            for properties in own._element.iter(qn("a:rPr")):
                font = Font(properties)
                font.size, font.color.rgb = SMALL, GREY


def _set_language(deck: Any) -> None:
    """Say of every text, notes included, that it is French, or PowerPoint checks it as English."""
    for slide in deck.slides:
        for root in (slide._element, slide.notes_slide._element):
            for run in root.iter(qn("a:r"), qn("a:fld")):
                run.get_or_add_rPr().set("lang", LANGUAGE)
        for shape in slide.shapes:
            if shape.has_chart:
                for properties in shape.chart._chartSpace.iter(qn("a:rPr"), qn("a:defRPr")):
                    properties.set("lang", LANGUAGE)
