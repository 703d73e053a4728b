"""The objects of an environment as it is deployed, and ways to find some among them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import product
from tools import dryrun
from tools.manifests import Container, Manifest, Pod, base_name, pods_of, selects


def _required(module: str) -> str:
    found = re.search(r"k8s\.io/kubernetes v(\d+\.\d+)", (Path(dryrun.__file__).parent / module).read_text())
    assert found
    return found[1]


# Versions of Kubernetes: the oldest (a preStop sleep is stable there) and the newest.
SUPPORTED = [_required("go.mod"), _required("newest.mod")]


@dataclass(frozen=True)
class Environment:
    """An environment and its objects."""

    name: str
    objects: tuple[Manifest, ...]

    @property
    def namespace(self) -> str:
        return product.namespace(self.name)

    @property
    def deployments(self) -> list[Pod]:
        """Return the pods of each Deployment."""
        return pods_of(self.of_kind("Deployment"))

    @property
    def pods(self) -> list[Pod]:
        return pods_of(self.objects)

    @property
    def containers(self) -> Iterator[tuple[Pod, Container]]:
        """Give each container, with its pod."""
        return ((pod, container) for pod in self.pods for container in pod.containers)

    def selected(self, selector: Mapping[str, Any] | None) -> list[Pod]:
        """Return the pods that a label selector selects."""
        return [pod for pod in self.pods if selects(selector, pod.labels)]

    def of_kind(self, *kinds: str) -> list[Manifest]:
        return [manifest for manifest in self.objects if manifest["kind"] in kinds]

    def get(self, kind: str, name: str) -> Manifest:
        """Return the one object of this kind and name; a generated name is given without its hash."""
        found = [manifest for manifest in self.of_kind(kind) if base_name(manifest) == name]
        assert len(found) == 1, f"{kind} {name}: {len(found)} of them in {self.name}"
        return found[0]

    def pod(self, deployment: str) -> Pod:
        """Return the pods of a Deployment."""
        (found,) = [pod for pod in self.deployments if pod.manifest["metadata"]["name"] == deployment]
        return found

    def container(self, deployment: str) -> Container:
        """Return the one container of a Deployment's pods."""
        (container,) = self.pod(deployment).containers
        return container
