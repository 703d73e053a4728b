"""Each block of commands is run by a test, or says to its readers that none runs it."""

import re
from collections import Counter

import pytest

from documents.pages import pages
from tests.documents.commands import CI, RUNS, Block, all_blocks, blocks
from tests.documents.reading import CODE, pieces
from tools.repository import REPOSITORY

# Of a fence; whatever else one writes could be commands that nobody runs.
LANGUAGES = {"sh", "mermaid", "yaml", "json", "text", "nginx"}


def missing(found: list[Block], runs: dict[str, list[str]]) -> list[str]:
    """Return what is wrong between the blocks and the table of what runs them."""
    strange = [f"{block.place}:{block.line}: '{block.language}'" for block in found if block.language not in LANGUAGES]
    counted = Counter(block.place for block in found if block.is_run)
    declared = Counter({place: len(tests) for place, tests in runs.items()})
    undeclared = [f"{place}: {count} without a test" for place, count in (counted - declared).items()]
    gone = [f"{place}: {count} tests without a block" for place, count in (declared - counted).items()]
    return strange + undeclared + gone


def test_every_block_is_run_or_says_that_it_is_not() -> None:
    assert missing(all_blocks(), RUNS) == []


@pytest.mark.parametrize(
    ("page", "told"),
    [
        ("# A\n\n```sh\nmake test\n```\n", ["page: A: 1 without a test"]),
        ("# A\n\n> **Not run by the tests**: no GitHub here.\n\n```sh\ngh\n```\n", []),
        ("# A\n\n> **Non exécuté par les tests** : il faut GitHub.\n\n```sh\ngh\n```\n", []),
        ("# A\n\n> **Not run by the tests**: \n\n```sh\ngh\n```\n", ["page: A: 1 without a test"]),
        ("# A\n\n> **Not run by the tests**: x.\n\nText.\n\n```sh\ngh\n```\n", ["page: A: 1 without a test"]),
        ("# A\n\n> **Not run by the tests**: x.\n\n```sh\na\n```\n```sh\nb\n```\n", ["page: A: 1 without a test"]),
        ("# B\n\n```sh\nmake test\n```\n", []),
        ("# B\n", ["page: B: 1 tests without a block"]),
        ("# A\n\n    make test\n", ["page: A:3: ''"]),
        ("# A\n\n```bash\nmake test\n```\n", ["page: A:3: 'bash'"]),
    ],
)
def test_what_nobody_runs_is_found(page: str, told: list[str]) -> None:
    runs = {"page: B": ["tests/documents/test_commands.py::test_b"]} if "# B" in page else {}
    assert missing(list(blocks(page, "page")), runs) == told


@pytest.mark.parametrize(("place", "tests"), RUNS.items(), ids=RUNS.keys())
def test_what_is_said_to_run_a_block_does_take_it(place: str, tests: list[str]) -> None:
    page, _, heading = place.partition(": ")
    for test in tests:
        path, _, function = test.partition("::")
        source = (REPOSITORY / path).read_text()
        if path == CI:
            continue
        assert f"def {function}(" in source
        assert f'"{heading}"' in source or "headings(" in source
        assert page.rpartition("/")[2] in source


def test_ci_runs_what_the_readme_says() -> None:
    """That file is not Python; it has the README's lines as they stand there."""
    lines = (REPOSITORY / CI).read_text().splitlines()
    of_ci = [place for place, tests in RUNS.items() if CI in tests]
    assert of_ci
    found = [block for block in all_blocks() if block.is_run]
    for place in of_ci:
        run = [block for block in found if block.place == place]
        for block, test in zip(run, RUNS[place], strict=True):
            assert test != CI or set(block.text.splitlines()) <= set(lines)


def test_every_target_of_make_that_a_page_names_is_there() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    targets = {line.partition(":")[0] for line in makefile.splitlines() if re.match(r"[a-z0-9-]+:.*## ", line)}
    named = [
        (f"{page.relative_to(REPOSITORY)}:{piece.line}", piece.text.split()[1])
        for page in pages()
        for piece in pieces(page.read_text())
        if piece.kind == CODE and piece.text.startswith("make ")
    ]
    assert len(named) > 20
    assert [place for place, target in named if target not in targets] == []
