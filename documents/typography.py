"""How French is typeset."""

import re

NO_BREAK, NARROW = "\N{NO-BREAK SPACE}", "\N{NARROW NO-BREAK SPACE}"
_AT_PUNCTUATION = re.compile(r"(?<=«) | (?=[:;?!»])")
_APOSTROPHE = re.compile(r"(?<=\w)'(?=[\w«]|\Z)")


def typeset(text: str) -> str:
    """Return a text with typographic apostrophes, in which no line can break between a word and its punctuation."""
    return _APOSTROPHE.sub("\N{RIGHT SINGLE QUOTATION MARK}", _AT_PUNCTUATION.sub(NO_BREAK, text))
