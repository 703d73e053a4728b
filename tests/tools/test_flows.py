"""flows.yaml as a document, and what is told of a mistake in it."""

from functools import cache
from pathlib import Path

import pytest

from tools.command import RefusedError
from tools.flows import DOCUMENT, FLOWS, deployed, document, load
from tools.render import Manifest


@cache
def manifests() -> list[Manifest]:
    return deployed()


def test_the_document_is_current() -> None:
    assert DOCUMENT.read_text() == document(load(manifests())), "run `make docs`, and commit what it wrote"


def test_the_document_shows_each_flow() -> None:
    flows = load(manifests())
    allowed = sum(flows.allowed(source, target) for source in flows.reaches for target in flows.targets_of(source))
    assert document(flows).count("| ✓") == allowed > 0


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("[recette/api:http, ", "[recette/api:htpp, ", "flows.yaml: 'recette/api:htpp' is none of .*recette/api:http"),
        ("  recette/api: []", "  recette/ap: []", "'recette/ap' is none of .*recette/api"),
        ("workload: datapress-api}\n  recette/smoke", "workload: api}\n  recette/smoke", "has no workload 'api'"),
    ],
)  # fmt: skip
def test_a_name_of_nothing_is_told(tmp_path: Path, right: str, wrong: str, told: str) -> None:
    text = FLOWS.read_text()
    assert text.count(right) == 1
    file = tmp_path / FLOWS.name
    file.write_text(text.replace(right, wrong))
    with pytest.raises(RefusedError, match=told):
        load(manifests(), file)
