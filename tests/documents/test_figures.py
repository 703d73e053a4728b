"""Figures: what documents/figures.yaml declares, what docs/mesures.json has, and how both come to a page."""

import json
from pathlib import Path

import pytest
import yaml

from documents import figures
from documents.figures import MEASURED, english, french, record, record_operations, runs, value
from tests.support.cluster import Measures
from tools.command import RefusedError
from tools.repository import REPOSITORY

OPERATION = figures.Operation("un pod supprimé", "aucun échec", 700, 1, 0.123)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of figures with a few of them, in place of the repository's."""
    copy = tmp_path / "docs" / "mesures.json"
    copy.parent.mkdir()
    copy.write_text('{"figures": {}}')
    monkeypatch.setattr(figures, "FILE", copy)
    monkeypatch.setattr(figures, "REPOSITORY", tmp_path)
    record({"commit-to-served": 13.44, "rate-api": 2152, "memory-api": 35.7, "layers-front": 0.026}, "1.34.4")
    return copy


@pytest.mark.usefixtures("file")
@pytest.mark.parametrize(
    ("key", "in_english", "in_french"),
    [
        ("commit-to-served", "13.4 s", "13,4\N{NO-BREAK SPACE}s"),
        ("rate-api", "2,152/s", "2\N{NARROW NO-BREAK SPACE}152\N{NO-BREAK SPACE}requêtes/s"),
        ("memory-api", "36 MiB", "36\N{NO-BREAK SPACE}Mio"),
        ("layers-front", "0.03 MB", "0,03\N{NO-BREAK SPACE}Mo"),
    ],
)
def test_a_figure_is_written_as_its_language_writes_it(key: str, in_english: str, in_french: str) -> None:
    assert english(key) == in_english
    assert french(key) == in_french


def test_a_partial_run_changes_its_own_figures_only(file: Path) -> None:
    before = json.loads(file.read_text())["figures"]
    record({"make-check": 0.7123})
    after = json.loads(file.read_text())["figures"]
    assert after.pop("make-check")["value"] == 0.71
    assert after == before


@pytest.mark.usefixtures("file")
def test_a_figure_says_when_and_where_it_was_measured() -> None:
    record({"make-check": 0.7})
    with_cluster, without = runs(["commit-to-served"]), runs(["make-check"])
    assert [run.kubernetes for run in with_cluster + without] == ["1.34.4", ""]
    assert all(run.cpus and run.date for run in with_cluster + without)
    assert runs(["make-check", "commit-to-served"]) == without + with_cluster
    assert figures.french_runs(["commit-to-served"]).endswith("processeurs, Kubernetes\N{NO-BREAK SPACE}1.34.4.")


@pytest.mark.usefixtures("file")
def test_a_figure_that_is_not_declared_is_an_error() -> None:
    with pytest.raises(RefusedError, match=r"figures\.yaml declares no figure 'commit-to-serve': "):
        french("commit-to-serve")


@pytest.mark.usefixtures("file")
@pytest.mark.parametrize(
    ("key", "command"),
    [
        ("crash-revert", "make e2e"),
        ("hostile-front", "make drills"),
        ("rate-page", "make bench-recette"),
        ("make-diff", "make bench"),
        ("operations", "make drills"),
    ],
)
def test_a_figure_without_a_value_names_the_command_to_run(key: str, command: str) -> None:
    with pytest.raises(RefusedError, match=rf"^docs/mesures\.json has no '{key}': run '{command} RECORD=1'$"):
        english(key)


@pytest.mark.usefixtures("file")
def test_sums_are_of_their_parts() -> None:
    parts = figures.FIGURES["gitops-requests"].parts
    assert "commit-to-served-requests" in parts
    assert "drift-service-requests" not in parts
    record(dict.fromkeys(parts[1:], 10))
    record({parts[0]: 7})
    assert value("gitops-requests") == 10 * (len(parts) - 1) + 7


@pytest.mark.usefixtures("file")
def test_operations_are_kept_and_counted() -> None:
    record_operations([OPERATION, OPERATION], "1.34.4")
    assert [row.gap for row in figures.operations()] == [0.12, 0.12]
    counted = {key: value(key) for key in ("operations", "operations-requests", "operations-failed")}
    assert counted == {"operations": 2, "operations-requests": 1400, "operations-failed": 2}


def test_the_figures_of_a_test_that_fails_are_not_kept() -> None:
    measures = Measures()
    measures.keep("make-deploy", 12.0)
    measures.keep("something else", "told only")
    measures.end_test(passed=True)
    measures.keep("make-deploy", 99.0)
    measures.end_test(passed=False)
    assert measures.passed == {"make-deploy": 12.0}
    assert [figure for _, figure in measures.told] == ["12.0 s", "told only", "99.0 s"]


def test_every_figure_is_measured_by_what_its_declaration_names() -> None:
    declared = yaml.safe_load(figures.DECLARATIONS.read_text())
    for tests in declared.values():
        for test, keys in tests.items():
            source = (REPOSITORY / test).read_text()
            assert [key for key in keys if f'"{key}"' not in source] == [], test


def test_every_recorded_figure_is_declared() -> None:
    assert json.loads(figures.FILE.read_text())["figures"].keys() - MEASURED.keys() == set()
