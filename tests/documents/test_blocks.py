"""Each block of commands is run by a test, or says to its readers that none runs it; what code names is there."""

import re
from collections.abc import Iterable

import pytest

from documents.pages import pages
from tests.documents.reading import CODE, pieces
from tests.support.commands import CI, NOT_RUN, Block, all_blocks, blocks
from tools.dryrun import Request, ask
from tools.manifests import Manifest
from tools.repository import REPOSITORY
from tools.texts import load_yaml

# Of a fence; whatever else one writes could be commands that nobody runs.
LANGUAGES = {"sh", "mermaid", "yaml", "json", "text", "nginx"}
RECORDS = REPOSITORY / "docs" / "decisions"  # of their day: what they name may be gone


def wrong(found: Iterable[Block], tests: str) -> list[str]:
    """Return what is wrong with blocks, given the source of all tests."""

    def faults(block: Block) -> str:
        if block.language not in LANGUAGES:
            return f"a fence of the language '{block.language}'"
        if block.language != "sh":
            return ""
        if not block.mark:
            return "nobody runs it: put '<!-- run: NAME -->' above it, and ask for NAME in a test"
        if block.mark == NOT_RUN:
            return "" if block.explained else "nobody runs it, and no quote above its mark says why"
        return "" if block.mark == CI or f'"{block.mark}"' in tests else f"no test asks for '{block.mark}'"

    return [f"{block.place}: {fault}" for block in found if (fault := faults(block))]


def sources() -> str:
    """Return the source of all tests."""
    return "".join(path.read_text() for path in (REPOSITORY / "tests").rglob("*.py") if path.name != "test_blocks.py")


def test_every_block_is_run_or_says_that_it_is_not() -> None:
    assert wrong(all_blocks(), sources()) == []


def objects_of(found: Iterable[Block]) -> list[tuple[str, Manifest]]:
    """Return the whole objects of Kubernetes that blocks of YAML have, each with its place."""
    shown = [(block.place, block.text) for block in found if block.language == "yaml"]
    loaded = [(place, one) for place, text in shown for one in load_yaml(text, place)]
    return [(place, one) for place, one in loaded if isinstance(one, dict) and {"apiVersion", "kind"} <= one.keys()]


def test_no_object_that_a_page_shows_would_be_refused() -> None:
    shown = objects_of(all_blocks())
    assert shown
    (answers,) = ask([Request([one for _, one in shown])]).answers
    refused = [(place, answer.findings) for (place, _), answer in zip(shown, answers, strict=True) if answer.refusals]
    assert refused == []
    assert "ExternalSecret" in {one["kind"] for (_, one), answer in zip(shown, answers, strict=True) if answer.known}


@pytest.mark.parametrize(
    ("page", "told"),
    [
        ("```sh\nmake test\n```\n", "page:1: nobody runs it"),
        ("<!-- run: a -->\n```sh\nmake test\n```\n", ""),
        ("<!-- run: a -->\n\n```sh\nmake test\n```\n", ""),
        ("<!-- run: b -->\n```sh\nmake test\n```\n", "page:2: no test asks for 'b'"),
        ("<!-- run: a -->\nText.\n```sh\nmake test\n```\n", "page:3: nobody runs it"),
        ("<!-- run: a -->\n```sh\nmake\n```\n```sh\nmake test\n```\n", "page:5: nobody runs it"),
        ("<!-- ran: a -->\n```sh\nmake test\n```\n", "page:2: nobody runs it"),
        ("> No GitHub here.\n\n<!-- not run -->\n```sh\ngh\n```\n", ""),
        ("<!-- not run -->\n```sh\ngh\n```\n", "page:2: nobody runs it, and no quote"),
        ("    make test\n", "page:1: a fence of the language ''"),
        ("```bash\nmake test\n```\n", "page:1: a fence of the language 'bash'"),
    ],
)
def test_what_nobody_runs_is_found(page: str, told: str) -> None:
    found = wrong(blocks(page, "page"), 'commands("a")')
    assert len(found) == bool(told)
    assert all(one.startswith(told) for one in found)


def test_ci_runs_what_the_pages_say() -> None:
    """That file is not Python; it has the lines as they stand in the pages."""
    lines = (REPOSITORY / CI).read_text().splitlines()
    of_ci = [line for block in all_blocks() if block.mark == CI for line in block.text.splitlines()]
    assert of_ci
    assert [line for line in of_ci if line not in lines] == []


TARGETS = set(re.findall(r"^([a-z0-9-]+):.*## ", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
TOP = {path.name for path in REPOSITORY.iterdir() if path.is_dir()} - {".git", ".venv", ".build"}


def gone(code: str) -> list[str]:
    """Return what code names that is not there: targets of make, and files of the repository."""
    targets = [f"make {name}" for name in re.findall(r"(?:^|[\s;&|(])make ([a-z][\w-]*)", code) if name not in TARGETS]
    named = re.findall(r"(?<![\w./$<{-])([\w.-]+/[\w./-]*\w)(?![\w<*{…$])", code)
    return targets + [name for name in named if name.split("/")[0] in TOP and not (REPOSITORY / name).exists()]


def test_what_the_code_of_a_page_names_is_there() -> None:
    found = [
        f"{page.relative_to(REPOSITORY)}:{piece.line}: {name}"
        for page in pages()
        if page.parent != RECORDS
        for piece in pieces(page.read_text())
        if piece.kind == CODE
        for name in gone(piece.text)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("make deployment ENV=dev", ["make deployment"]),
        ("tools/page.py", ["tools/page.py"]),
        (
            "make pages; make check, deploy/overlays/<nom>/front.yaml, tests/**, deploy/$ENV, /etc/nginx, a/b",
            [],
        ),
    ],
)
def test_what_is_gone_is_found(code: str, found: list[str]) -> None:
    assert gone(code) == found
