"""What the README counts of the tests is what there is of them, as it stands or rounded down to hundreds."""

import re
from collections.abc import Callable

import pytest

from tests.cluster.load import CLIENTS, PERIOD_SECONDS
from tests.cluster.test_diff_predictions import ROUNDS
from tests.cluster.test_overlays import REQUESTS
from tests.mutants import gunicorn, manifests, nginx
from tools.render import REPOSITORY

README = REPOSITORY / "README.md"
# Words of the README around a number → that number, and to what it is rounded.
COUNTS: dict[str, tuple[Callable[[], int], int]] = {
    "(.+) mutants, generated": (lambda: len(list(manifests.mutants())), 100),
    "its (.+) mutants": (lambda: len([*nginx.mutants(), *gunicorn.mutants()]), 100),
    "- (.+) changes do what": (lambda: sum(map(len, ROUNDS)), 1),
    "moves, (.+) requests": (lambda: REQUESTS, 1),
    "under (.+) requests a second": (lambda: int(CLIENTS / PERIOD_SECONDS), 1),
}


@pytest.mark.parametrize("words", COUNTS)
def test_the_readme_counts_right(words: str) -> None:
    count, step = COUNTS[words]
    text = " ".join(README.read_text().split())
    (said,) = re.findall(words.replace("(.+)", r"([\d,]+)"), text)
    assert int(said.replace(",", "")) == count() // step * step
