"""What the README counts of the tests is what there is of them, or at least as many as it says."""

import re
from collections.abc import Callable

import pytest

from tests.cases.changes import ROUNDS
from tests.cluster.load import CLIENTS, PERIOD_SECONDS
from tests.mutants import gunicorn, manifests, nginx
from tests.support.cluster import REQUESTS
from tools.repository import REPOSITORY

README = REPOSITORY / "README.md"
# Words of the README around a number → that number, and whether it is the least that there is: an environment more has
# objects of its own, and so more mutants.
COUNTS: dict[str, tuple[Callable[[], int], bool]] = {
    "(.+) mutants, generated": (lambda: len(list(manifests.mutants())), True),
    "its (.+) mutants": (lambda: len([*nginx.mutants(), *gunicorn.mutants()]), True),
    "- (.+) changes do what": (lambda: sum(map(len, ROUNDS)), False),
    "moves, (.+) requests": (lambda: REQUESTS, False),
    "under (.+) requests a second": (lambda: int(CLIENTS / PERIOD_SECONDS), False),
}


@pytest.mark.parametrize("words", COUNTS)
def test_the_readme_counts_right(words: str) -> None:
    count, at_least = COUNTS[words]
    text = " ".join(README.read_text().split())
    (said,) = re.findall(words.replace("(.+)", r"([\d,]+)"), text)
    number = int(said.replace(",", ""))
    assert 0 < number <= count() if at_least else number == count()
