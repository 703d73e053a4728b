"""Pages of Markdown as their readers see them: texts, code, links and anchors, each with its line."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
TEXT, CODE, FENCE, LINK, IMAGE = "text", "code", "fence", "link", "image"


@dataclass(frozen=True)
class Piece:
    """A part of a page.

    Attributes:
        kind: text; code within a line; a line of a fenced block; a link or an image
        text: of a link or an image, its target
        label: of an image, its alternative text; of a line of a block, its language
    """

    line: int
    kind: str
    text: str
    label: str = ""


def pieces(page: str) -> Iterator[Piece]:
    """Give the parts of a page in their order; comments and other HTML are none."""
    for token in PARSER.parse(page):
        first = token.map[0] + 1 if token.map else 0
        if token.type in ("fence", "code_block"):
            opening = 1 if token.type == "fence" else 0
            for number, line in enumerate(token.content.splitlines(), first + opening):
                yield Piece(number, FENCE, line, token.info.strip())
        elif token.type == "inline":
            yield from _inline(token, first)


def _inline(token: Token, line: int) -> Iterator[Piece]:
    for child in token.children or []:
        match child.type:
            case "text":
                yield Piece(line, TEXT, child.content)
            case "code_inline":
                yield Piece(line, CODE, child.content)
            case "link_open":
                yield Piece(line, LINK, str(child.attrs["href"]))
            case "image":
                yield Piece(line, IMAGE, str(child.attrs["src"]), child.content)
            case "softbreak" | "hardbreak":
                line += 1


def anchors(page: str) -> set[str]:
    """Return the anchors that GitHub gives a page's headings; a second heading of the same words gets a number."""
    tokens = PARSER.parse(page)
    headings = [inline for before, inline in pairwise(tokens) if before.type == "heading_open"]
    found: set[str] = set()
    seen: Counter[str] = Counter()
    for heading in headings:
        parts = [child.content for child in heading.children or [] if child.type in ("text", "code_inline")]
        slug = re.sub(r"[^\w\- ]", "", "".join(parts).strip().lower()).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found
