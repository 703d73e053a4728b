"""The manifests of an environment, and ways to find one among them."""

from dataclasses import dataclass
from typing import Any

from tools.manifests import Manifest, base_name

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
        found = [manifest for manifest in self.of_kind(kind) if base_name(manifest) == name]
        assert len(found) == 1, f"{kind} {name}: {len(found)} of them in {self.name}"
        return found[0]

    def pod(self, name: str) -> Manifest:
        template: Manifest = self.get("Deployment", name)["spec"]["template"]
        return template

    def container(self, name: str) -> dict[str, Any]:
        containers: list[dict[str, Any]] = self.pod(name)["spec"]["containers"]
        assert len(containers) == 1
        return containers[0]
