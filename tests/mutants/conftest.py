"""The table of what was caught."""

from collections import Counter

import pytest

from tests.mutants.judging import Count
from tests.mutants.plugin import Verdict

COUNTS = pytest.StashKey[dict[str, Counter[str]]]()


@pytest.fixture
def count(pytestconfig: pytest.Config) -> Count:
    """Keep verdicts for the table that closes the run."""
    counts = pytestconfig.stash.setdefault(COUNTS, {})

    def keep(verdicts: list[Verdict]) -> None:
        for verdict in verdicts:
            counts.setdefault(verdict.kind, Counter())["caught" if verdict.caught_by else "uncaught"] += 1

    return keep


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print how many mutants of each kind were caught."""
    counts = config.stash.get(COUNTS, {})
    if not counts:
        return
    terminalreporter.section("mutants caught")
    for kind, count in [*sorted(counts.items()), ("all", sum(counts.values(), Counter()))]:
        rest = f", {count['uncaught']} uncaught" if count["uncaught"] else ""
        terminalreporter.write_line(f"{kind:<25} {count['caught']:>5} of {count.total():>5}{rest}")
