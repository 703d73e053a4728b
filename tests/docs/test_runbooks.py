"""The commands of docs/runbooks that need no cluster, run as they stand there."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tools.render import OVERLAYS, REPOSITORY, VENV_BIN

CONFIG = OVERLAYS.relative_to(REPOSITORY) / "recette" / "config.json"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A developer's clone, whose origin has what is committed here."""
    origin = tmp_path / "origin"
    subprocess.run(["git", "clone", "--quiet", REPOSITORY, origin], check=True)
    subprocess.run(["git", "checkout", "--quiet", "-B", "main"], cwd=origin, check=True)
    subprocess.run(["git", "clone", "--quiet", origin, tmp_path / "clone"], check=True)
    return tmp_path / "clone"


def preview(clone: Path) -> str:
    text = (REPOSITORY / "docs" / "runbooks" / "previsualiser.md").read_text()
    (commands,) = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    path = f"{VENV_BIN}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", commands],
        cwd=clone,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout


def test_preview_shows_what_a_merge_would_change(clone: Path) -> None:
    assert preview(clone) == ""
    config = clone / CONFIG
    config.write_text(config.read_text().replace("Environnement de recette", "Autre bannière"))
    lines = [line for line in preview(clone).splitlines() if re.match(r"[-+] ", line)]
    assert any(line.startswith("-") and "Environnement de recette" in line for line in lines)
    assert any(line.startswith("+") and "Autre bannière" in line for line in lines)
    renamed = {line[0] for line in lines if re.search(r"name: datapress-config-[a-z0-9]{10}$", line)}
    assert renamed == {"-", "+"}
    assert preview(clone), "what it needed is gone, so it works a second time"
