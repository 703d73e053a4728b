"""What is taken from a rendered manifest, or weakened in it, turns a test of tests/manifests red."""

from pathlib import Path

import pytest

from documents.facts import promises
from tests.mutants.judging import Count, judge, require_all_caught

pytestmark = pytest.mark.timeout(300)


def test_every_mutant_of_the_manifests_is_caught(tmp_path: Path, count: Count) -> None:
    verdicts = judge(tmp_path, "manifests", "tests/manifests")
    count(verdicts)
    assert len(verdicts) >= promises()["mutants-of-manifests"]
    require_all_caught("manifests", verdicts)


def test_a_field_that_no_test_knows_is_named(tmp_path: Path) -> None:
    """The suite itself bites: what is added tomorrow without a test is uncaught, in each rendering that has it."""
    name = "kind: Service\nmetadata:\n  name: datapress-api\n"
    plant = ("deploy/base/api/service.yaml", name, f"{name}  annotations: {{new: field}}\n")
    verdicts = judge(
        tmp_path, "manifests", "tests/manifests", "--only", "recette Service/datapress-api.meta", plant=plant
    )
    field = "recette Service/datapress-api.metadata.annotations"
    uncaught = {verdict.name for verdict in verdicts if not verdict.caught_by}
    assert uncaught == {
        f"{field}: deleted",
        f"{field}: emptied",
        f"{field}.new: deleted",
        f"{field}.new: 'field' → ''",
        f"{field}.new: 'field' → '…-mutant'",
    }
    with pytest.raises(pytest.fail.Exception, match=r"make a test see these(?s:.*)annotations\.new"):
        require_all_caught("manifests", verdicts)


def test_an_entry_that_explains_nothing_is_named() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"take this out of .*spec\.description"):
        require_all_caught("manifests", [])
