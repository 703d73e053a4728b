"""What is told of a mistake in flows.yaml."""

from functools import cache
from pathlib import Path

import pytest

from tools.command import RefusedError
from tools.manifests import Manifest
from tools.network.flows import FLOWS, deployed, load


@cache
def manifests() -> dict[str, list[Manifest]]:
    return deployed()


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
