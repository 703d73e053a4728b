"""The manifests of each environment, rendered once. Needs nothing but the Python packages and .build/bin/kustomize."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tools.manifests import Manifest
from tools.render import render, render_deployed
from tools.repository import OVERLAYS, REPOSITORY, environments, followed

API = "datapress-api"
FRONT = "datapress-front"
ARGOCD = "argocd"
SYNCED = {f"synced-{name}": name for name in followed()}  # as Argo CD renders it → its name
SUPPORTED = ["1.34.0", "1.37.0"]  # versions of Kubernetes: the oldest (preStop sleep is stable there) and the newest


@dataclass(frozen=True)
class Environment:
    """The objects of one overlay, and ways to find one among them."""

    name: str
    objects: tuple[Manifest, ...]

    @property
    def namespace(self) -> str:
        return f"datapress-{self.name}"

    def of_kind(self, kind: str) -> list[Manifest]:
        return [manifest for manifest in self.objects if manifest["kind"] == kind]

    def get(self, kind: str, name: str) -> Manifest:
        """Return the one object of this kind and name; a generated name is given without its hash."""
        found = [manifest for manifest in self.of_kind(kind) if unhashed(manifest) == name]
        assert len(found) == 1, f"{kind} {name}: {len(found)} of them in {self.name}"
        return found[0]

    def pod(self, name: str) -> Manifest:
        template: Manifest = self.get("Deployment", name)["spec"]["template"]
        return template

    def container(self, name: str) -> dict[str, Any]:
        containers: list[dict[str, Any]] = self.pod(name)["spec"]["containers"]
        assert len(containers) == 1
        return containers[0]


def unhashed(manifest: Manifest) -> str:
    """Return an object's name without the hash that a generator gave it."""
    name: str = manifest["metadata"]["name"]
    return re.sub("-[a-z0-9]{10}$", "", name) if manifest["kind"] in {"ConfigMap", "Secret"} else name


@cache
def rendered(name: str) -> list[Manifest]:
    """The objects of argocd/, or of an overlay, also as Argo CD renders it; tests/mutants changes them here."""
    if name in SYNCED:
        return render_deployed(SYNCED[name])
    return render(REPOSITORY / ARGOCD if name == ARGOCD else OVERLAYS / name)


@pytest.fixture(params=environments())
def environment(request: pytest.FixtureRequest) -> Environment:
    """Each environment in turn."""
    return Environment(request.param, tuple(rendered(request.param)))


@pytest.fixture
def recette() -> Environment:
    return Environment("recette", tuple(rendered("recette")))


@pytest.fixture(params=SYNCED)
def synced(request: pytest.FixtureRequest) -> Environment:
    """Each overlay that Argo CD follows, as it renders it."""
    return Environment(SYNCED[request.param], tuple(rendered(request.param)))


@pytest.fixture
def overlay(synced: Environment) -> Environment:
    """The same overlay without what Argo CD adds."""
    return Environment(synced.name, tuple(rendered(synced.name)))


@pytest.fixture
def argocd() -> Mapping[str, list[Manifest]]:
    """The objects of argocd/, by their kinds."""
    kinds = [manifest["kind"] for manifest in rendered(ARGOCD)]
    return {kind: [manifest for manifest in rendered(ARGOCD) if manifest["kind"] == kind] for kind in kinds}


@pytest.fixture
def deploy_copy(tmp_path: Path) -> Path:
    """A copy of deploy/ that a test may edit."""
    copy = tmp_path / "deploy"
    shutil.copytree(OVERLAYS.parent, copy)
    return copy
