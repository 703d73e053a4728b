"""How French is typeset."""

import re

NO_BREAK, NARROW = "\N{NO-BREAK SPACE}", "\N{NARROW NO-BREAK SPACE}"
_AT_PUNCTUATION = re.compile(r"(?<=«) | (?=[:;?!»])")


def keep_punctuation(text: str) -> str:
    """Return a text in which no line can break between a word and its punctuation."""
    return _AT_PUNCTUATION.sub(NO_BREAK, text)
