"""Links and images of every page lead somewhere: to a file that Git has, and to a heading that is in it."""

import subprocess
from collections.abc import Callable, Iterator, Set
from functools import cache
from pathlib import PurePosixPath
from posixpath import normpath
from urllib.parse import unquote, urlsplit

import pytest

from documents import pages
from tests.documents.reading import IMAGE, LINK, Piece, anchors, pieces
from tools.repository import REPOSITORY

PAGES = [str(page.relative_to(REPOSITORY)) for page in pages.pages()]


@cache
def tracked() -> frozenset[str]:
    """Return the files that Git has or will have, and their directories."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.split("\0")
    files = [PurePosixPath(name) for name in listed if name and (REPOSITORY / name).exists()]
    return frozenset(str(path) for file in files for path in (file, *file.parents))


def read(path: str) -> str:
    return (REPOSITORY / path).read_text()


def broken(name: str, page: str, known: Set[str], read: Callable[[str], str]) -> Iterator[str]:
    """Give what is wrong with the links of a page, each with its place.

    Args:
        name: the page's path in the repository
        page: its text
        known: the paths that there are
        read: what gives the text of another page
    """
    for piece in pieces(page):
        if piece.kind == IMAGE and not piece.label.strip():
            yield f"{name}:{piece.line}: the image {piece.text} has no alternative text"
        if piece.kind in (IMAGE, LINK) and (wrong := _wrong(piece, name, page, known, read)):
            yield f"{name}:{piece.line}: {piece.text}: {wrong}"


def _wrong(piece: Piece, name: str, page: str, known: Set[str], read: Callable[[str], str]) -> str:
    url = urlsplit(piece.text)
    if url.scheme or url.netloc:
        return "" if url.scheme in ("https", "mailto", "http") and _is_host(url.netloc, url.scheme) else "no address"
    if url.path.startswith("/"):
        return "a link within the repository is relative"
    target = normpath(PurePosixPath(name).parent / unquote(url.path)) if url.path else name
    if target not in known:
        return "there is no such file, or Git does not have it"
    if not url.fragment:
        return ""
    if not target.endswith(".md"):
        return "only a page of Markdown has anchors"
    other = page if target == name else read(target)
    return "" if unquote(url.fragment) in anchors(other) else "there is no such heading"


def _is_host(netloc: str, scheme: str) -> bool:
    return scheme == "mailto" or "." in netloc or netloc.partition(":")[0] == "localhost"


@pytest.mark.parametrize("path", PAGES)
def test_every_link_leads_somewhere(path: str) -> None:
    assert list(broken(path, read(path), tracked(), read)) == []


KNOWN = {"docs", "docs/page.md", "docs/other.md", "docs/images/one.png", "src/app.py", "docs/images", "src"}
OTHER = "# Deux réplicas : l'API, `/health` & co.\n\n## Suite\n\n## Suite\n"
GOOD = """
[a](other.md), [b](../src/app.py), [c](images/), [d](other.md#deux-réplicas--lapi-health--co), [e](other.md#suite-1),
[f](#titre), [g](https://example.org/a#b), [h](http://localhost:8081), [i](mailto:a@example.org), [j][ref],
![a page](images/one.png), `[not](a-link.md)`, <!-- [nor](this.md) -->

    [nor](that.md)

# Titre

[ref]: other.md#suite
"""
BAD = {
    "[a](absent.md)": "there is no such file",
    "[a](../absent/)": "there is no such file",
    "[a](../../docs/page.md)": "there is no such file",
    "![an image](images/two.png)": "there is no such file",
    "![](images/one.png)": "has no alternative text",
    "[a](other.md#suites)": "there is no such heading",
    "[a](other.md#suite-2)": "there is no such heading",
    "[a](#suite)": "there is no such heading",
    "[a](../src/app.py#L3)": "only a page of Markdown",
    "[a](/docs/other.md)": "is relative",
    "[a](https:///path)": "no address",
    "[a](https://example/path)": "no address",
    "[a](htps://example.org)": "no address",
    "[a][ref]\n\n[ref]: absent.md": "there is no such file",
    "| a |\n| --- |\n| [a](absent.md) |": "there is no such file",
}


def test_good_links_are_let_pass() -> None:
    assert list(broken("docs/page.md", GOOD, KNOWN, {"docs/other.md": OTHER}.__getitem__)) == []


@pytest.mark.parametrize(("text", "why"), BAD.items())
def test_a_broken_link_is_found_at_its_line(text: str, why: str) -> None:
    line = 3 + next(number for number, line in enumerate(text.splitlines()) if "[a" in line or "![" in line)
    (found,) = broken("docs/page.md", f"# Page\n\n{text}\n", KNOWN, {"docs/other.md": OTHER}.__getitem__)
    assert found.startswith(f"docs/page.md:{line}: ")
    assert why in found
