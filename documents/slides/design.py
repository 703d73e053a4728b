"""How the slides look: one accent colour, one family of letters, and the sizes that a room can read."""

from dataclasses import dataclass

from pptx.dml.color import RGBColor
from pptx.util import Cm, Pt

WIDTH, HEIGHT = Cm(33.87), Cm(19.05)  # 16:9
FONT, CODE_FONT = "Arial", "Courier New"
INK, ACCENT, PALE, WHITE = (RGBColor.from_string(code) for code in ("111827", "0B4A8F", "E5EDF7", "FFFFFF"))
GREY = RGBColor.from_string("4B5563")
TITLE, BODY, SMALL = Pt(32), Pt(20), Pt(18)


@dataclass(frozen=True)
class Style:
    """The colours of a shape."""

    fill: RGBColor
    line: RGBColor
    text: RGBColor


STYLES = {
    "clair": Style(PALE, ACCENT, INK),
    "accent": Style(ACCENT, ACCENT, WHITE),
    "sombre": Style(INK, INK, WHITE),
    "groupe": Style(WHITE, GREY, GREY),
    "console": Style(INK, INK, WHITE),
}
