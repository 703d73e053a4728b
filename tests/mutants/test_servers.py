"""What is taken from NGINX's or gunicorn's configuration, or weakened in it, turns a test of theirs red. Minutes."""

from importlib import import_module
from pathlib import Path

import pytest

from documents.facts import promises
from tests.mutants.judging import Count, judge, require_all_caught

pytestmark = pytest.mark.timeout(900)
TESTS = {"nginx": "tests/front/test_nginx.py", "gunicorn": "tests/api/test_gunicorn.py"}


def test_there_are_as_many_mutants_as_the_pages_say() -> None:
    found = [mutant for what in TESTS for mutant in import_module(f"tests.mutants.{what}").mutants()]
    assert len(found) >= promises()["mutants-of-servers"]


@pytest.mark.parametrize("what", TESTS)
def test_every_mutant_of_a_configuration_is_caught(tmp_path: Path, count: Count, what: str) -> None:
    verdicts = judge(tmp_path, what, "--twice", TESTS[what])
    count(what, verdicts)
    require_all_caught(what, verdicts)


@pytest.mark.parametrize(
    ("what", "file", "before", "new"),
    [
        ("nginx", "src/front/nginx.conf", "log_not_found off;", "reset_timedout_connection on"),
        ("gunicorn", "src/api/gunicorn.conf.py", "keepalive = 75", "backlog = 1024"),
    ],
)
def test_a_setting_that_no_test_knows_is_named(tmp_path: Path, what: str, file: str, before: str, new: str) -> None:
    after = f"{before}\n{new}{';' if what == 'nginx' else ''}"
    verdicts = judge(tmp_path, what, "--only", new, TESTS[what], plant=(file, before, after))
    assert [verdict.caught_by for verdict in verdicts] == [None, None]  # deleted, and another value
