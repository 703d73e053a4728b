"""What tests take from the product instead of knowing it: environments, names, images and ports.

A copy that renames them, or that adds some, has nothing to change in the tests.
"""

import json
from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from tools.images import Image, images_of
from tools.manifests import Manifest
from tools.render import render, render_deployed
from tools.repository import APPLICATION, OVERLAYS, REPOSITORY, environments, followed

BASE = OVERLAYS.parent / "base"


def _deployment(directory: str) -> Manifest:
    manifest: Manifest = yaml.safe_load((BASE / directory / "deployment.yaml").read_text())
    return manifest


# The two Deployments of the base, by their names; a copy may have more.
API, FRONT = (_deployment(directory)["metadata"]["name"] for directory in ("api", "front"))
DEPLOYMENTS = [API, FRONT]
# With which the names of the product's objects and namespaces begin, and their label app.kubernetes.io/part-of.
PREFIX = API.rpartition("-")[0]

# An environment that Argo CD follows, and one that it does not.
FOLLOWED = next(iter(followed()))
BY_HAND = next(name for name in environments() if name not in followed())


def overlay(environment: str) -> Path:
    """Return the directory of an environment's overlay."""
    return OVERLAYS / environment


def path(environment: str) -> Path:
    """Return that directory in a clone."""
    return overlay(environment).relative_to(REPOSITORY)


@cache
def namespace(environment: str) -> str:
    """Return the namespace of an environment."""
    kustomization = yaml.safe_load((overlay(environment) / "kustomization.yaml").read_text())
    return str(kustomization["namespace"])


def configuration(environment: str) -> dict[str, str]:
    """Return what the page of an environment reads."""
    fields: dict[str, str] = json.loads((overlay(environment) / "config.json").read_text())
    return fields


@cache
def rendered(environment: str) -> list[Manifest]:
    """Return the manifests of an environment, rendered once a process: kubectl takes its time."""
    return render(overlay(environment))


@cache
def deployed(environment: str) -> list[Manifest]:
    """Return them as they are deployed: with the components that Argo CD adds, where it follows the environment."""
    return render_deployed(environment)


@cache
def argocd() -> list[Manifest]:
    """Return the manifests of argocd/."""
    return render(APPLICATION.parent)


def manifest(environment: str, kind: str, name: str) -> Manifest:
    """Return one of them."""
    (found,) = [one for one in rendered(environment) if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def container_of(environment: str, deployment: str) -> dict[str, Any]:
    """Return the one container of a Deployment's pods."""
    (found,) = manifest(environment, "Deployment", deployment)["spec"]["template"]["spec"]["containers"]
    return dict(found)


def image(deployment: str) -> Image:
    """Return the image of a Deployment."""
    (found,) = images_of([manifest(FOLLOWED, "Deployment", deployment)])
    return found


def node_port(environment: str) -> int | None:
    """Return the port of each node by which an environment's page is reached, if it is reached so."""
    (port,) = manifest(environment, "Service", FRONT)["spec"]["ports"]
    number: int | None = port.get("nodePort")
    return number


def _free_node_ports() -> Iterator[int]:
    """Give ports that a cluster may give out, and that no environment asks for."""
    taken = {node_port(environment) for environment in environments()}
    return (number for number in range(30000, 32768) if number not in taken)


# Two of them.
NODE_PORTS = list(islice(_free_node_ports(), 2))
