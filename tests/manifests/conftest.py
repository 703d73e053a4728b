"""The manifests of each environment, rendered once. Needs nothing but the Python packages and .build/bin/kustomize."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.manifests import Environment
from tests.support.product import ARGOCD, SYNCED, rendered
from tools.manifests import Manifest
from tools.repository import OVERLAYS, environments


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
