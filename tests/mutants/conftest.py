"""The table of what was caught."""

from collections import Counter

import pytest

from tests.mutants.judging import Count, is_free
from tests.mutants.plugin import Verdict

COUNTS = pytest.StashKey[dict[str, Counter[str]]]()


@pytest.fixture
def count(pytestconfig: pytest.Config) -> Count:
    """Keep verdicts for the table that closes the run."""
    counts = pytestconfig.stash.setdefault(COUNTS, {})

    def keep(what: str, verdicts: list[Verdict]) -> None:
        for verdict in verdicts:
            outcome = "caught" if verdict.caught_by else "free" if is_free(what, verdict) else "uncaught"
            counts.setdefault(verdict.kind, Counter())[outcome] += 1

    return keep


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print how many mutants of each kind were caught."""
    counts = config.stash.get(COUNTS, {})
    if not counts:
        return
    terminalreporter.section("mutants caught")
    for kind, count in [*sorted(counts.items()), ("all", sum(counts.values(), Counter()))]:
        rest = "".join(f", {count[one]} {one}" for one in ("free", "uncaught") if count[one])
        terminalreporter.write_line(f"{kind:<25} {count['caught']:>5} of {count.total():>5}{rest}")
