"""A plugin of pytest that changes one thing of the product at a time, and asks the collected tests whether they see it.

python -m pytest -p tests.mutants.plugin --mutate manifests --verdicts FILE tests/manifests
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path

import pytest


def any_test(_: pytest.Item) -> bool:
    """Let every test that was collected judge a mutant."""
    return True


@dataclass(frozen=True)
class Mutant:
    """One change to the product.

    Attributes:
        name: Where it is and what it changes.
        kind: What it counts as.
        applied: The context in which it is there.
        judge: Which tests may say that they see it.
    """

    name: str
    kind: str
    applied: Callable[[], AbstractContextManager[None]]
    judge: Callable[[pytest.Item], bool] = any_test


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant: the test that turned red, or none."""

    name: str
    kind: str
    caught_by: str | None


class Suite:
    """Runs, in place of pytest's own loop, the tests for each mutant until one turns red."""

    def __init__(self, config: pytest.Config) -> None:
        self._option = config.option
        self._seconds: dict[pytest.Item, float] = {}
        self._sightings: dict[pytest.Item, float] = {}  # those of late weigh more
        self._red = False
        self._spent = 0.0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take note of what a test did."""
        self._red = self._red or report.failed
        self._spent += report.duration

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Judge every mutant; the exit status says only whether that was possible."""
        module = import_module(f"tests.mutants.{self._option.mutate}")
        mutants: list[Mutant] = [mutant for mutant in module.mutants() if self._option.only in mutant.name]
        mine = mutants[self._option.part :: self._option.parts]
        judges = {mutant.judge for mutant in mine}
        session.items = [item for item in session.items if any(judge(item) for judge in judges)]
        self._seconds = self._seconds_when_green(session)
        verdicts = [asdict(self._verdict(mutant, session)) for mutant in mine]
        self._seconds_when_green(session)  # or an earlier mutant was left behind, and turned tests red in vain
        self._option.verdicts.write_text(json.dumps(verdicts))
        session.testsfailed = 0
        return True

    def _seconds_when_green(self, session: pytest.Session) -> dict[pytest.Item, float]:
        """Run every test without a mutant, and return how long each takes."""
        seconds: dict[pytest.Item, float] = {}
        for item, following in _with_next(session.items):
            self._spent = 0
            if self._turns_red(item, following) and self._is_certain(item, session):
                raise pytest.UsageError(f"{item.nodeid} is red without a mutant: run it, and mend that first")
            seconds[item] = self._spent
        return seconds

    def _verdict(self, mutant: Mutant, session: pytest.Session) -> Verdict:
        items = sorted(filter(mutant.judge, session.items), key=self._order)
        with mutant.applied():
            for item, following in _with_next(items):
                if self._turns_red(item, following) and self._is_certain(item, session):
                    self._remember(item)
                    return Verdict(mutant.name, mutant.kind, item.nodeid)
        return Verdict(mutant.name, mutant.kind, None)

    def _order(self, item: pytest.Item) -> float:
        """Quick tests come first, and those that saw the mutants just before, which are neighbours."""
        return self._seconds[item] / (0.02 + self._sightings.get(item, 0))

    def _remember(self, seer: pytest.Item) -> None:
        self._sightings = {item: weight * 0.8 for item, weight in self._sightings.items()}
        self._sightings[seer] = self._sightings.get(seer, 0) + 1

    def _is_certain(self, item: pytest.Item, session: pytest.Session) -> bool:
        """End what tests share, such as a server with the mutant's configuration; ask again where time plays a part."""
        with suppress(Exception):  # a server that does not end well is red too, and it is red already
            session._setupstate.teardown_exact(None)  # pytest's own way where a run is cut short
        return not self._option.twice or self._turns_red(item, None)

    def _turns_red(self, item: pytest.Item, following: pytest.Item | None) -> bool:
        if not self._option.twice:
            return self._turns_red_at_once(item, following)
        self._red = False
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
        return self._red

    def _turns_red_at_once(self, item: pytest.Item, following: pytest.Item | None) -> bool:
        """Run a test without the hooks around it, which take ten times as long as a test that only compares values."""
        started = time.monotonic()
        item._initrequest()  # type: ignore[attr-defined]
        try:
            item.session._setupstate.setup(item)
            item.runtest()
        except (Exception, pytest.fail.Exception):
            return True
        finally:
            item.session._setupstate.teardown_exact(following)
            self._spent = time.monotonic() - started
        return False


def _with_next(items: list[pytest.Item]) -> Iterator[tuple[pytest.Item, pytest.Item | None]]:
    """Return each test with the one after it, for pytest to keep what both use."""
    return zip(items, [*items[1:], None], strict=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what the command line says."""
    parser.addoption("--mutate", help="the module of tests/mutants that makes the mutants")
    parser.addoption("--only", default="", help="a text that a mutant's name must hold")
    parser.addoption("--part", type=int, default=0, help="which part of the mutants, from 0")
    parser.addoption("--parts", type=int, default=1, help="of how many")
    parser.addoption("--twice", action="store_true", help="a test must turn red twice: a busy machine can do it once")
    parser.addoption("--verdicts", type=Path, help="the JSON file to write")


def pytest_configure(config: pytest.Config) -> None:
    """Take the loop over."""
    config.pluginmanager.register(Suite(config))
