"""Whatever is wrong with a file, an argument or a variable: one line says so, and nothing crashes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.clones import shell_environment
from tests.support.programs import Fakes
from tests.support.wrong_inputs import VARIABLES

INPUTS, AT_ONCE = 240, 60
ENDS = {0, 1, 2}  # nothing found, something found or failed, refused


@pytest.mark.parametrize("first", range(0, INPUTS, AT_ONCE))
def test_a_wrong_input_is_told_on_one_line(clone: Path, fakes: Fakes, first: int) -> None:
    """Without Docker and a cluster, so that none of the commands begins anything."""
    environ = {name: value for name, value in shell_environment().items() if name not in VARIABLES}
    environ |= {"PATH": str(fakes.directory), "KUBECONFIG": "/nowhere", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.wrong_inputs", str(first), str(first + AT_ONCE)],
        cwd=clone,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    tried = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(tried) == AT_ONCE, done.stderr
    assert [one for one in tried if one["status"] not in ENDS] == []
    assert [one for one in tried if one["status"] == max(ENDS) and len(one["said"].splitlines()) != 1] == []
    assert "Traceback" not in done.stdout + done.stderr
