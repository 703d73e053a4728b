"""docs/operations.md is of the operations that the drills declare: who adds one runs `make drills RECORD=1`."""

from tests.cluster.drills.test_operations import OPERATIONS, PAGE, TABLE_HEAD


def test_the_page_has_each_operation_and_what_it_allows() -> None:
    rows = [line.strip("| ").split(" | ") for line in PAGE.read_text().partition(TABLE_HEAD)[2].splitlines()]
    expected = [[name, str(operation.seen)] for name, operation in OPERATIONS.items()]
    assert [row[:2] for row in rows[:-1]] == expected
