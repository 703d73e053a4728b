"""The manifests as Kubernetes would get them: the one place that renders a kustomization."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from tools.dryrun.program import NotBuiltError, running
from tools.manifests import Manifest, get
from tools.repository import OVERLAYS, REPOSITORY, VENV_BIN, followed, kustomization_of
from tools.texts import load_yaml, read_yaml


class RenderError(Exception):
    """Kustomize refused a kustomization; the message is what it said."""


def kubectl() -> str:
    """Return the kubectl that the lock file pins: a system's own may embed a Kustomize that renders differently."""
    pinned = VENV_BIN / "kubectl"
    return os.fspath(pinned) if pinned.exists() else "kubectl"


def build(directory: Path) -> tuple[str, str]:
    """Return the YAML that `kubectl kustomize` makes of a directory, and what it warns of.

    Raises:
        RenderError: if Kustomize refuses it.
    """
    try:
        process = running()
    except NotBuiltError:
        return build_with_kubectl(directory)
    # kubectl's own code, which has Kubernetes' schemas in memory from the first time on: a fifth of the time.
    made = process.answer({"kustomize": str(directory.absolute())})
    if "error" in made:
        raise RenderError(f"error: {made['error'].strip()}")
    return made["yaml"], made.get("warnings", "").strip()


def build_with_kubectl(directory: Path) -> tuple[str, str]:
    """Return the same by kubectl itself.

    Raises:
        RenderError: if Kustomize refuses it.
    """
    # It ends before a collection of its garbage would pay: without one it takes a third less time.
    environ = os.environ | {"GOGC": "off"}
    done = subprocess.run(
        [kubectl(), "kustomize", directory], env=environ, capture_output=True, encoding="utf-8", check=False
    )
    if done.returncode:
        raise RenderError(done.stderr.strip())
    return done.stdout, done.stderr.strip()


def kustomize(directory: Path) -> str:
    """Return the YAML that `kubectl kustomize` makes of a directory.

    Raises:
        RenderError: if Kustomize refuses it.
    """
    return build(directory)[0]


def render(directory: Path) -> list[Manifest]:
    """Return the objects that Kustomize makes of a directory, in the order in which `kubectl apply -k` sends them.

    Raises:
        RenderError: if Kustomize refuses it.
        UnreadableError: if it makes something that is no YAML.
    """
    return load_yaml(kustomize(directory), f"what Kustomize makes of {directory}")


def render_deployed(environment: str) -> list[Manifest]:
    """Return the objects of an environment as it is deployed: Argo CD adds components to the overlay that it follows.

    Raises:
        RenderError: if Kustomize refuses it.
    """
    source = followed().get(environment)
    if source is None:
        return render(OVERLAYS / environment)
    with TemporaryDirectory() as directory:
        copy = Path(directory)
        copy_tree(OVERLAYS.parent, copy / OVERLAYS.parent.relative_to(REPOSITORY))
        add_components(copy, source)
        return render(copy / source["path"])


def add_components(tree: Path, source: Mapping[str, Any]) -> None:
    """Write into an overlay of a copy of the repository the components that an Application's source adds to it.

    As `kustomize edit add component` does, which Argo CD calls in its own clone.
    """
    file = kustomization_of(tree / str(source.get("path")))
    components = get(source, ("kustomize", "components")) or []
    if components and file.is_file():
        (kustomization,) = read_yaml(file)
        kustomization["components"] = [*(kustomization.get("components") or []), *components]
        file.write_text(yaml.safe_dump(kustomization))


def copy_tree(directory: Path, into: Path, ignore: Callable[[str, list[str]], set[str]] | None = None) -> None:
    """Copy a directory with its links as links: one may lead nowhere, as an editor's lock does.

    Args:
        directory: which one
        into: the copy, which is not there yet
        ignore: what of a directory is left out, as in shutil.copytree
    """
    shutil.copytree(directory, into, symlinks=True, ignore=ignore)
