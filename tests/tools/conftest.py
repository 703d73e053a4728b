"""What the tests of tools/ share: a copy of the repository to edit."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tools.repository import REPOSITORY

AWAY = {
    "clusters": [{"name": "away", "cluster": {"server": "https://127.0.0.1:1"}}],
    "users": [{"name": "away", "user": {"token": "none"}}],
    "contexts": [{"name": "away", "context": {"cluster": "away", "user": "away"}}],
    "current-context": "away",
}


@pytest.fixture
def away(tmp_path: Path) -> Path:
    """A kubeconfig whose cluster does not answer. Without one, kubectl asks whatever listens on port 8080 here."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **AWAY}))
    return kubeconfig


@pytest.fixture(scope="session")
def copy_repository() -> Callable[[Path], Path]:
    """A function that copies what `tools.run` reads, so that a test may edit it."""

    def copy(into: Path) -> Path:
        for name in ("src", "deploy", "tools"):
            shutil.copytree(REPOSITORY / name, into / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(REPOSITORY / "pyproject.toml", into)
        (into / ".build").mkdir()
        (into / ".build" / "bin").symlink_to(REPOSITORY / ".build" / "bin")
        return into

    return copy
