"""What is taken from a manifest, or weakened in it, turns a test of tests/manifests red, or is declared free."""

from pathlib import Path

import pytest

from documents.facts import promises
from tests.mutants import manifests
from tests.mutants.judging import Count, is_free, judge, require_all_caught
from tests.mutants.plugin import Verdict
from tests.support.product import API, FOLLOWED

pytestmark = pytest.mark.timeout(300)


def test_every_mutant_of_the_manifests_is_caught(tmp_path: Path, count: Count) -> None:
    verdicts = judge(tmp_path, "manifests", "tests/manifests")
    count("manifests", verdicts)
    assert len(verdicts) >= promises()["mutants-of-manifests"]
    require_all_caught("manifests", verdicts)


@pytest.mark.parametrize(
    ("place", "added", "named"),
    [
        ("  type: ClusterIP\n", "  publishNotReadyAddresses: true\n", True),
        (f"  name: {API}\nspec", "  annotations: {new: field}\n  labels: {new: label}\n", False),
    ],
    ids=["a field", "an annotation and a label"],
)
def test_a_field_that_no_test_knows_is_named(tmp_path: Path, place: str, added: str, named: bool) -> None:
    """The suite itself bites; and a choice that is declared free turns nothing red."""
    start = place.removesuffix("spec")
    plant = ("deploy/base/api/service.yaml", place, f"{start}{added}{place.removeprefix(start)}")
    verdicts = judge(tmp_path, "manifests", "tests/manifests", "--only", f"{FOLLOWED} Service/{API}", plant=plant)
    key = added.split(maxsplit=1)[0].removesuffix(":")
    assert any(key in verdict.name for verdict in verdicts)
    unseen = {verdict.name for verdict in verdicts if not verdict.caught_by and not is_free("manifests", verdict)}
    field = f"{FOLLOWED} Service/{API}.spec.{key}"
    assert unseen == ({f"{field}: deleted", f"{field}: True → False"} if named else set())


def test_what_is_unseen_and_not_declared_fails() -> None:
    unseen = Verdict(f"{FOLLOWED} Service/{API}.spec.new: deleted", "Service", None)
    with pytest.raises(pytest.fail.Exception, match=r"make a test see these(?s:.*)spec\.new"):
        require_all_caught("manifests", [unseen])


def test_an_entry_that_explains_nothing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifests, "EQUIVALENT", {"dev *.spec.old: deleted": "it is the default"})
    with pytest.raises(pytest.fail.Exception, match=r"take this out of .*spec\.old"):
        require_all_caught("manifests", [])
