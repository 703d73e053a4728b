"""What is told of a mistake in flows.yaml where it is read; the rule `flows` of tools/check has a case of each."""

from pathlib import Path

import pytest

from tools.command import RefusedError
from tools.network.flows import FLOWS, deployed, load


def test_a_name_of_nothing_is_refused(tmp_path: Path) -> None:
    right, wrong = "[recette/api:http, ", "[recette/api:htpp, "
    text = FLOWS.read_text()
    assert text.count(right) == 1
    file = tmp_path / FLOWS.name
    file.write_text(text.replace(right, wrong))
    with pytest.raises(RefusedError, match=r"flows\.yaml: 'recette/api:htpp' is none of .*recette/api:http"):
        load(deployed(), file)
