"""Lengths of time, as Prometheus writes them.

https://prometheus.io/docs/prometheus/latest/querying/basics/#float-literals-and-time-durations
"""

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> int:
    """Return how many seconds a number of one unit has."""
    return int(text[:-1]) * UNITS[text[-1]]
