"""What is told of a mistake in flows.yaml where it is read; the rule `flows` of tools/check has a case of each."""

from pathlib import Path

import pytest

from tests.support.product import FOLLOWED
from tools.command import RefusedError
from tools.network.flows import FLOWS, deployed, load


def test_a_name_of_nothing_is_refused(tmp_path: Path) -> None:
    right, wrong = f"[{FOLLOWED}/api:http, ", f"[{FOLLOWED}/api:htpp, "
    text = FLOWS.read_text()
    assert text.count(right) == 1
    file = tmp_path / FLOWS.name
    file.write_text(text.replace(right, wrong))
    with pytest.raises(RefusedError, match=rf"flows\.yaml: '{FOLLOWED}/api:htpp' is none of .*{FOLLOWED}/api:http"):
        load(deployed(), file)
