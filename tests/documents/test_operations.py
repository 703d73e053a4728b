"""The drills' table is of the operations that they declare: who adds one runs `make drills RECORD=1`."""

from documents import figures
from tests.cases.operations import OPERATIONS


def test_the_table_has_each_operation_and_what_it_allows() -> None:
    expected = [(name, str(operation.seen)) for name, operation in OPERATIONS.items()]
    assert [(row.name, row.allowed) for row in figures.operations()] == expected
