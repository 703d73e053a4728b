"""Waiting for what happens in another process, or in a cluster."""

import time
from collections.abc import Callable
from typing import Any

import pytest

SECONDS = 10  # enough for what another process of this machine does


def eventually(
    holds: Callable[[], Any], seconds: float = SECONDS, what: str | Callable[[], str] = "it happens"
) -> float:
    """Wait until a condition holds.

    Args:
        holds: the condition; it is asked often at first, then five times a second
        seconds: how long it may take
        what: the message if it takes longer, or a function that returns it then

    Returns:
        How many seconds it took.
    """
    started = time.monotonic()
    while not holds():
        waited = time.monotonic() - started
        if waited > seconds:
            pytest.fail(f"not within {seconds:.0f} s: {what if isinstance(what, str) else what()}")
        time.sleep(min(0.02 + waited / 10, 0.2))
    return time.monotonic() - started
