"""The repository's own layout: where things are, which environments there are, and which of them Argo CD follows."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools.manifests import get
from tools.texts import read_yaml

REPOSITORY = Path(__file__).resolve().parent.parent
OVERLAYS = REPOSITORY / "deploy" / "overlays"
APPLICATION = REPOSITORY / "argocd" / "application.yaml"  # the one that names the repository
# By the first of these that is there Kustomize knows a directory; of two, it refuses both.
KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
VENV_BIN = Path(sys.executable).parent


def environments(overlays: Path = OVERLAYS) -> list[str]:
    """Return the names of the overlays, sorted."""
    return sorted(path.name for path in overlays.glob("*") if kustomization_of(path).is_file())


def kustomization_of(directory: Path) -> Path:
    """Return a directory's kustomization; where there would be one, if it has none."""
    found = (file for name in KUSTOMIZATIONS if (file := directory / name).is_file())
    return next(found, directory / KUSTOMIZATIONS[0])


def followed(applications: Path = APPLICATION.parent) -> dict[str, Mapping[str, Any]]:
    """Return the environments that Argo CD follows, each with the source in its Application.

    Raises:
        UnreadableError: if one of the files is no YAML.
    """
    documents = [one for file in sorted(applications.glob("*.y*ml")) if file.is_file() for one in read_yaml(file)]
    sources = [get(one, ("spec", "source")) for one in documents if get(one, ("kind",)) == "Application"]
    return {Path(str(source["path"])).name: source for source in sources if get(source, ("path",))}
