"""Environments beside each other."""

import json
from typing import Any

import pytest

from tests.support.manifests import Environment
from tests.support.product import FOLLOWED, deployed
from tools.manifests import base_name
from tools.repository import environments

# What an overlay is there to decide.
OF_THE_OVERLAY = ("replicas", "image", "resources")


def test_all_environments_fit_in_one_cluster() -> None:
    objects = [manifest for name in environments() for manifest in deployed(name)]
    identities = [(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in objects]
    assert len(set(identities)) == len(identities)


@pytest.mark.parametrize("name", environments())
def test_deployments_differ_only_in_what_overlays_decide(name: str) -> None:
    mine, others = (common(Environment(one, tuple(deployed(one)))) for one in (name, FOLLOWED))
    assert all(mine[name] == others[name] for name in mine.keys() & others.keys())


def common(environment: Environment) -> dict[str, Any]:
    """Return the Deployments without what an overlay decides, and without names that it makes."""
    text = json.dumps({one.manifest["metadata"]["name"]: without(one.manifest) for one in environment.deployments})
    for manifest in environment.of_kind("ConfigMap", "Secret"):
        text = text.replace(manifest["metadata"]["name"], base_name(manifest))
    found: dict[str, Any] = json.loads(text.replace(environment.namespace, "NAMESPACE"))
    return found


def without(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without(item) for key, item in value.items() if key not in OF_THE_OVERLAY}
    return [without(item) for item in value] if isinstance(value, list) else value
