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
VENV_BIN = Path(sys.executable).parent


def environments(overlays: Path = OVERLAYS) -> list[str]:
    """Return the names of the overlays, sorted."""
    return sorted(path.parent.name for path in overlays.glob("*/kustomization.yaml"))


def followed(applications: Path = APPLICATION.parent) -> dict[str, Mapping[str, Any]]:
    """Return the environments that Argo CD follows, each with the source in its Application.

    Raises:
        UnreadableError: if one of the files is no YAML.
    """
    documents = [one for file in sorted(applications.glob("*.yaml")) if file.is_file() for one in read_yaml(file)]
    sources = [get(one, ("spec", "source")) for one in documents if get(one, ("kind",)) == "Application"]
    return {Path(str(source["path"])).name: source for source in sources if get(source, ("path",))}
