"""The commands of docs/runbooks that need no cluster, run as they stand there."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.clones import git, make_clone, make_origin
from tools.render import OVERLAYS, REPOSITORY

CONFIG = OVERLAYS.relative_to(REPOSITORY) / "recette" / "config.json"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A developer's clone, whose origin has what is committed here."""
    return make_clone(make_origin(tmp_path), tmp_path / "clone")


def preview(clone: Path) -> str:
    text = (REPOSITORY / "docs" / "runbooks" / "previsualiser.md").read_text()
    (commands,) = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    # Without what the make that runs the tests tells its own children.
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(["bash", "-c", commands], cwd=clone, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_preview_shows_what_a_merge_would_change(clone: Path) -> None:
    assert "recette: nothing changes" in preview(clone)
    config = clone / CONFIG
    config.write_text(config.read_text().replace("Environnement de recette", "Autre bannière"))
    git(clone, "commit", "--quiet", "--all", "--message=not merged")
    lines = [line.strip() for line in preview(clone).splitlines()]
    assert lines[0].startswith("The files here, against origin/main (")
    assert any(line.startswith("- Environnement de recette") for line in lines)
    assert any(line.startswith("+ Autre bannière") for line in lines)
    (restarts,) = [line for line in lines if line.startswith("restarts")]
    assert "Deployment datapress-api, Deployment datapress-front: 2 pods, 1 at a time" in restarts
