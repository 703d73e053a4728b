"""The manifests as Kubernetes would get them: the one place that renders a kustomization."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parent.parent
OVERLAYS = REPOSITORY / "deploy" / "overlays"
VENV_BIN = Path(sys.executable).parent

Manifest = dict[str, Any]


class RenderError(Exception):
    """Kustomize refused a kustomization; the message is what it said."""


def environments() -> list[str]:
    """Return the names of the overlays, sorted."""
    return sorted(path.parent.name for path in OVERLAYS.glob("*/kustomization.yaml"))


def kubectl() -> str:
    """Return the kubectl that the lock file pins: a system's own may embed a Kustomize that renders differently."""
    pinned = VENV_BIN / "kubectl"
    return os.fspath(pinned) if pinned.exists() else "kubectl"


def kustomize(directory: Path) -> str:
    """Return the YAML that `kubectl kustomize` makes of a directory.

    Raises:
        RenderError: if Kustomize refuses it.
    """
    done = subprocess.run([kubectl(), "kustomize", directory], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RenderError(done.stderr.strip())
    return done.stdout


def render(directory: Path) -> list[Manifest]:
    """Return the objects that Kustomize makes of a directory, in the order in which `kubectl apply -k` sends them.

    Raises:
        RenderError: if Kustomize refuses it.
    """
    return [document for document in yaml.safe_load_all(kustomize(directory)) if document]
