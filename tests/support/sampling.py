"""A pytest plugin: with SAMPLE=N in the environment, one test in N, other ones for each value of SAMPLE_FROM.

Chosen by their names, so that a test that is added leaves all others in or out as they were.
"""

import os
import zlib

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    every, first = int(os.environ.get("SAMPLE", "1")), int(os.environ.get("SAMPLE_FROM", "0"))

    def is_taken(item: pytest.Item) -> bool:
        return zlib.crc32(item.nodeid.encode()) % every == first % every

    config.hook.pytest_deselected(items=[item for item in items if not is_taken(item)])
    items[:] = filter(is_taken, items)
