"""What operators do, and what breaks, under steady traffic."""

import time
from collections.abc import Iterator

import pytest

from documents import figures
from tests.cases.operations import OPERATIONS
from tests.cluster.load import Load, load
from tests.support.cluster import Measure, Release

AFTERMATH = 3  # seconds in which what an operation leaves behind would show


@pytest.fixture(scope="module")
def record(pytestconfig: pytest.Config, kubernetes: str) -> Iterator[dict[str, Load]]:
    """What users saw of each operation; kept for docs/ after a whole run, if that was asked for."""
    loads: dict[str, Load] = {}
    yield loads
    if pytestconfig.getoption("record") and loads.keys() == OPERATIONS.keys():
        figures.record_operations((row(name, seen) for name, seen in loads.items()), kubernetes)


def row(name: str, seen: Load) -> figures.Operation:
    return figures.Operation(
        name=name,
        allowed=str(OPERATIONS[name].seen),
        requests=len(seen.answers),
        failed=len(seen.failed),
        gap=seen.longest_gap(),
    )


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", OPERATIONS)
def test_operation(followed: Release, measure: Measure, record: dict[str, Load], name: str) -> None:
    followed.settle()
    with load(followed.url) as seen:
        OPERATIONS[name].do(followed)
        time.sleep(AFTERMATH)
    measure(name, str(seen))
    assert OPERATIONS[name].seen.allows(seen.failed), seen.failed
    record[name] = seen
