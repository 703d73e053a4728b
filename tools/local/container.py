"""The values of an overlay as its containers get them, read from the rendered manifests."""

from collections.abc import Mapping, Sequence
from typing import Any

from tools.command import RefusedError
from tools.images import deployment_of
from tools.manifests import Manifest, entries, read_of


def pod_of(manifests: Sequence[Manifest], source: str) -> dict[str, Any]:
    """Return the specification of the pods that run what is built from a directory of src/.

    Raises:
        RefusedError: unless exactly one Deployment does.
    """
    pod: dict[str, Any] = deployment_of(manifests, source)["spec"]["template"]["spec"]
    return pod


def container_of(manifests: Sequence[Manifest], source: str) -> dict[str, Any]:
    """Return the container that runs what is built from a directory of src/.

    Raises:
        RefusedError: unless exactly one Deployment does.
    """
    container: dict[str, Any]
    (container,) = [one for one in pod_of(manifests, source)["containers"] if one["name"] == source]
    return container


def data_of(manifests: Sequence[Manifest], kind: str, name: str) -> dict[str, str]:
    """Return what a ConfigMap or a Secret holds, decoded.

    Raises:
        RefusedError: if it is not among the manifests.
    """
    for item in manifests:
        if (item["kind"], item["metadata"]["name"]) == (kind, name):
            return {str(path[-1]): text for path, text in entries(item)}
    raise RefusedError(
        f"the overlay uses the {kind} '{name}' and does not make it: see the generators in its kustomization.yaml"
    )


def environment_of(manifests: Sequence[Manifest], container: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables that Kubernetes sets in a container, without those that tell about its pod.

    Raises:
        RefusedError: if the ConfigMap or Secret that a variable is taken from does not have it.
    """
    values = {item["name"]: item["value"] for item in container["env"] if "value" in item}
    for item in container["env"]:
        if read := read_of(item):
            values[item["name"]] = _entry(manifests, read.kind, read.name, read.key)
    return values


def configuration_of(manifests: Sequence[Manifest], pod: Mapping[str, Any]) -> dict[str, str]:
    """Return the files that a pod's containers get from ConfigMaps: name and content of each.

    Raises:
        RefusedError: if a ConfigMap does not have one of them.
    """
    return {
        item["path"]: _entry(manifests, "ConfigMap", volume["configMap"]["name"], item["key"])
        for volume in pod["volumes"]
        if "configMap" in volume
        for item in volume["configMap"]["items"]
    }


def _entry(manifests: Sequence[Manifest], kind: str, name: str, key: str) -> str:
    data = data_of(manifests, kind, name)
    if key not in data:
        raise RefusedError(
            f"the overlay's {kind} '{name}' has no '{key}', which a container uses: add it in its kustomization.yaml"
        )
    return data[key]
