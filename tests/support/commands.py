"""The commands of the pages: where they stand, which test runs each, and how.

A block of commands is a fence of the language `sh`. The line above it says who runs it, and what one calls it there:

    <!-- run: two-commands -->        a test asks for it: commands("two-commands")
    <!-- run: .ci/run -->             that file has its lines
    <!-- not run -->                  no test machine can; the quote above tells readers why
"""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt

from documents.pages import pages
from tests.support.clones import shell_environment
from tests.support.git import IDENTITY
from tools.repository import REPOSITORY, VENV_BIN

NOT_RUN = "not run"
CI = ".ci/run"
_MARK = re.compile(r"<!-- (?:run: (\S+)|not run) -->\n?")


@dataclass(frozen=True)
class Block:
    """A block of a page that is marked as code.

    Attributes:
        place: page and line
        language: of the fence; empty for one that has none, or is indented
        mark: the name by which a test asks for it, NOT_RUN, or nothing
        explained: whether a quote stands above its mark
    """

    place: str
    language: str
    text: str
    mark: str
    explained: bool


def blocks(page: str, name: str) -> Iterator[Block]:
    """Give the blocks of a page's Markdown."""
    tokens = [token for token in MarkdownIt("commonmark").parse(page) if not token.level]
    for (above, mark), token in zip(pairwise([None, None, *tokens]), tokens, strict=False):
        if token.type in ("fence", "code_block"):
            found = _MARK.fullmatch(mark.content) if mark and mark.type == "html_block" else None
            line = (token.map or [0])[0] + 1
            quote = bool(above and above.type == "blockquote_close")
            yield Block(f"{name}:{line}", token.info, token.content, (found[1] or NOT_RUN) if found else "", quote)


def all_blocks() -> list[Block]:
    """Return those of every page."""
    found = [(page.read_text(), str(page.relative_to(REPOSITORY))) for page in pages()]
    return [block for text, name in found for block in blocks(text, name)]


def steps(name: str) -> list[str]:
    """Return the commands of all blocks of a name, in their order."""
    return [block.text for block in all_blocks() if block.mark == name]


def commands(name: str) -> str:
    """Return the commands of the one block of a name."""
    (found,) = steps(name)
    return found


def run(text: str, directory: Path, **variables: str) -> str:
    """Run commands as a reader would, each only if the one before succeeded; return what they print."""
    environ = shell_environment()
    # The packages' kubectl, as the Makefile has it.
    environ |= IDENTITY | {"PATH": f"{VENV_BIN}:{environ['PATH']}"} | variables
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=directory,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return done.stdout
