"""The manifests of each environment, rendered once. Needs nothing but the Python packages and .build/bin/kustomize."""

import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tools.render import OVERLAYS, Manifest, environments, render

API = "datapress-api"
FRONT = "datapress-front"


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
        found = [m for m in self.of_kind(kind) if m["metadata"]["name"] == name or _without_hash(m) == name]
        assert len(found) == 1, f"{kind} {name}: {len(found)} of them in {self.name}"
        return found[0]

    def pod(self, name: str) -> Manifest:
        template: Manifest = self.get("Deployment", name)["spec"]["template"]
        return template

    def container(self, name: str) -> dict[str, Any]:
        containers: list[dict[str, Any]] = self.pod(name)["spec"]["containers"]
        assert len(containers) == 1
        return containers[0]


def _without_hash(manifest: Manifest) -> str:
    name: str = manifest["metadata"]["name"]
    return name.rpartition("-")[0] if manifest["kind"] in {"ConfigMap", "Secret"} else name


@cache
def load(name: str) -> Environment:
    return Environment(name, tuple(render(OVERLAYS / name)))


@pytest.fixture(params=environments())
def environment(request: pytest.FixtureRequest) -> Environment:
    """Each environment in turn."""
    return load(request.param)


@pytest.fixture
def recette() -> Environment:
    return load("recette")


@pytest.fixture
def dev() -> Environment:
    return load("dev")


@pytest.fixture
def deploy_copy(tmp_path: Path) -> Path:
    """A copy of deploy/ that a test may edit."""
    copy = tmp_path / "deploy"
    shutil.copytree(OVERLAYS.parent, copy)
    return copy
