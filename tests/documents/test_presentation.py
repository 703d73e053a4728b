"""The presentation as its source has it: editable, legible, and nothing missing; its PDF, and what makes it stale.

LibreOffice is not asked here, it is too large for `make test`; `make docs` has it make the PDF.
"""

import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from pptx.dml.color import RGBColor
from pptx.enum.shapes import MSO_CONNECTOR, MSO_SHAPE_TYPE
from pptx.util import Cm, Pt
from pypdf import PdfReader

from documents.slides.deck import fingerprint
from documents.slides.source import PDF, SOURCE, filled, load
from tests.documents import built
from tests.documents import deck as faults
from tests.support.product import FOLLOWED
from tools.command import RefusedError

CHECKS: list[Callable[[Any], list[str]]] = [
    faults.outside,
    faults.overlapping,
    faults.overflowing,
    faults.small,
    faults.faint,
    faults.undescribed,
    faults.unsaid,
    faults.foreign,
    faults.unglued,
    faults.ambiguous,
    faults.pictured,
    faults.mistyped,
]


@pytest.fixture
def deck() -> Any:
    return built.deck()


def count(deck: Any, kind: MSO_SHAPE_TYPE) -> int:
    return sum(shape.shape_type == kind for _, _, shape in faults.shapes(deck))


def titles(deck: Any) -> list[str]:
    return [slide.shapes.title.text_frame.text for slide in deck.slides]


def test_a_changed_port_or_figure_changes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (f"{FOLLOWED}.front.exposure", f"{FOLLOWED}.api.replicas", "mesure.commit-to-served"):
        with monkeypatch.context() as patch:
            patch.setattr("documents.slides.source.value", lambda asked, name=name: "7" if asked == name else "x")
            one = load()
            patch.setattr("documents.slides.source.value", lambda asked, name=name: "8" if asked == name else "x")
            assert load() != one, name


def test_all_in_it_can_be_edited(deck: Any) -> None:
    source = yaml.safe_load(SOURCE.read_text())["diapositives"]
    assert len(deck.slides) == len(source)
    drawn = [slide["schéma"] for slide in source if "schéma" in slide]
    assert count(deck, MSO_SHAPE_TYPE.LINE) == sum(len(part.get("liens", [])) for part in drawn) >= 10
    nodes = {node["id"] for part in drawn for node in part["noeuds"]}
    assert nodes <= {shape.name for _, _, shape in faults.shapes(deck)}
    assert count(deck, MSO_SHAPE_TYPE.TABLE) == sum("tableau" in slide for slide in source) >= 3
    assert count(deck, MSO_SHAPE_TYPE.CHART) == sum("graphique" in slide for slide in source) >= 1
    assert count(deck, MSO_SHAPE_TYPE.PICTURE) == sum("image" in slide for slide in source) == 1
    bodies = [slide for slide in deck.slides if len(list(slide.placeholders)) > 1]
    assert len(bodies) >= 5


@pytest.mark.parametrize("check", CHECKS)
def test_nothing_is_wrong(deck: Any, check: Callable[[Any], list[str]]) -> None:
    assert check(deck) == []


def test_its_pdf_is_of_it(deck: Any) -> None:
    built.skip_if_stale(PDF)
    pdf = PdfReader(PDF)
    assert len(pdf.pages) == len(deck.slides)
    for page, title in zip(pdf.pages, titles(deck), strict=True):
        assert _plain(title) in _plain(page.extract_text())


def _plain(text: str) -> str:
    return re.sub(r"\s", "", text)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(RefusedError, match=rf"no value '{FOLLOWED}\.api\.port\.htp'"):
        filled({"titre": f"Port {{{FOLLOWED}.api.port.htp}}"})


def _push_out(slide: Any) -> None:
    slide.shapes.title.left = -Cm(1)


def _cover(slide: Any) -> None:
    slide.shapes.add_textbox(*map(Cm, (2, 1, 9, 1)))


def _say_too_much(slide: Any) -> None:
    run = slide.shapes.title.text_frame.paragraphs[0].runs[0]
    run.text = run.text * 9


def _shrink(slide: Any) -> None:
    slide.shapes.title.text_frame.paragraphs[0].runs[0].font.size = Pt(12)


def _fade(slide: Any) -> None:
    slide.shapes.title.text_frame.paragraphs[0].runs[0].font.color.rgb = RGBColor(0xBB, 0xBB, 0xBB)


def _say_nothing_of_a_shape(slide: Any) -> None:
    slide.shapes.add_connector(MSO_CONNECTOR.STRAIGHT, 0, 0, Cm(1), Cm(1))


def _forget_the_notes(slide: Any) -> None:
    slide.notes_slide.notes_text_frame.text = ""


def _speak_english(slide: Any) -> None:
    slide.shapes.title.text_frame.paragraphs[0].runs[0]._r.get_or_add_rPr().set("lang", "en-US")


def _number_twice(slide: Any) -> None:
    slide.shapes.title._element.xpath(".//p:cNvPr")[0].set("id", str(slide.shapes[1].shape_id))


def _paste_a_picture_of_a_slide(slide: Any) -> None:
    slide.shapes.add_picture(str(SOURCE.parent.parent / "images" / "page.png"), 0, 0, Cm(33), Cm(18))


def _type_it_plainly(slide: Any) -> None:
    slide.shapes.title.text_frame.paragraphs[0].runs[0].text = "L'API : 2 réplicas"


@pytest.mark.parametrize(
    ("damage", "check"),
    [
        (_push_out, faults.outside),
        (_cover, faults.overlapping),
        (_say_too_much, faults.overflowing),
        (_shrink, faults.small),
        (_fade, faults.faint),
        (_say_nothing_of_a_shape, faults.undescribed),
        (_forget_the_notes, faults.unsaid),
        (_speak_english, faults.foreign),
        (_say_nothing_of_a_shape, faults.unglued),
        (_number_twice, faults.ambiguous),
        (_paste_a_picture_of_a_slide, faults.pictured),
        (_type_it_plainly, faults.mistyped),
    ],
)
def test_what_is_wrong_is_found(deck: Any, damage: Callable[[Any], None], check: Callable[[Any], list[str]]) -> None:
    damage(deck.slides[4])
    assert [fault.partition(":")[0] for fault in check(deck)] == ["5"]
    assert fingerprint(deck) != fingerprint(built.deck())
