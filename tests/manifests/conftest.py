"""The manifests of each environment, rendered once. Needs nothing but the Python packages and .build/bin/kustomize."""

from copy import copy
from functools import cache
from pathlib import Path

import pytest

from tests.support import product
from tests.support.manifests import Environment
from tests.support.product import deployed, overlay
from tools.check.rendering import Rendering, open_tree
from tools.manifests import Manifest
from tools.repository import REPOSITORY, environments, followed


@pytest.fixture(params=environments())
def environment(request: pytest.FixtureRequest) -> Environment:
    """Each environment in turn, as it is deployed; tests/mutants changes its objects."""
    return Environment(request.param, tuple(deployed(request.param)))


@pytest.fixture(params=followed())
def followed_environment(request: pytest.FixtureRequest) -> Environment:
    """Each of those that Argo CD follows, in the same way."""
    return Environment(request.param, tuple(deployed(request.param)))


@pytest.fixture
def argocd() -> dict[str, list[Manifest]]:
    """The objects of argocd/, by their kinds."""
    kinds = {manifest["kind"] for manifest in product.argocd()}
    return {kind: [manifest for manifest in product.argocd() if manifest["kind"] == kind] for kind in kinds}


@cache
def _rendering(environment: str) -> Rendering:
    """Return an environment as it is deployed, as `make check` renders it."""
    with open_tree(REPOSITORY) as tree:
        return tree.render(overlay(environment), _added(environment))


def _added(environment: str) -> list[Path]:
    """Return the components that Argo CD adds to an environment."""
    source = followed().get(environment, {})
    named = source.get("kustomize", {}).get("components", [])
    return [(overlay(environment) / one).resolve() for one in named]


@pytest.fixture
def rendering(environment: Environment) -> Rendering:
    """The environment for the rules of `make check`, with the objects as they are now."""
    found = copy(_rendering(environment.name))
    for derived in ("pods", "namespace"):
        found.__dict__.pop(derived, None)
    found.__dict__["objects"] = list(environment.objects)
    return found
