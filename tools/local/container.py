"""What Kubernetes gives a container, read from the rendered manifests: its variables, its arguments and its files."""

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from tools.command import RefusedError
from tools.images import deployment_of
from tools.manifests import FieldPath, Manifest, get, read_of

# https://kubernetes.io/docs/concepts/workloads/pods/downward-api/: what the manifests say of it.
_FIELD = re.compile(r"(?P<path>[\w.]+)(?:\['(?P<key>.+)'\])?")
_REFERENCE = re.compile(r"\$(?:\$|\((?P<name>[^)]*)\))")


def pod_of(manifests: Sequence[Manifest], source: str) -> Manifest:
    """Return the template of the pods that run what is built from a directory of src/.

    Raises:
        RefusedError: unless exactly one Deployment does.
    """
    pod: Manifest = deployment_of(manifests, source)["spec"]["template"]
    return pod


def container_of(pod: Manifest, source: str) -> dict[str, Any]:
    """Return the container of a pod, perhaps one of several, that runs what is built from a directory of src/."""
    return dict(next(one for one in pod["spec"]["containers"] if one["name"] == source))


def data_of(manifests: Sequence[Manifest], kind: str, name: str) -> dict[str, bytes]:
    """Return what a ConfigMap or a Secret holds, decoded.

    Raises:
        RefusedError: if it is not among the manifests, or not encoded.
    """
    for item in manifests:
        if (item["kind"], item["metadata"]["name"]) == (kind, name):
            plain = {**(item.get("data") or {}), **(item.get("stringData") or {})}
            encoded = item.get("binaryData") or {}
            if kind == "Secret":
                plain, encoded = item.get("stringData") or {}, item.get("data") or {}
            decoded = {key: _decoded(value, f"{key} of the {kind} {name}") for key, value in encoded.items()}
            return decoded | {key: str(value).encode() for key, value in plain.items()}
    raise RefusedError(
        f"the overlay uses the {kind} '{name}' and does not make it: see the generators in its kustomization.yaml or,"
        " if a controller makes it in the cluster, take another environment"
    )


def _decoded(value: Any, what: str) -> bytes:
    try:
        return b64decode(str(value), validate=True)
    except ValueError as error:
        raise RefusedError(f"{what} is no base64 ({error}): write it under stringData, or encode it") from error


def environment_of(manifests: Sequence[Manifest], container: Mapping[str, Any], pod: Manifest) -> dict[str, str]:
    """Return the variables that Kubernetes sets in a container, without those that only a node knows: its address, say.

    As makeEnvironmentVariables in https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/kubelet_pods.go

    Args:
        manifests: where ConfigMaps and Secrets are
        container: which one
        pod: whose metadata a variable may take

    Raises:
        RefusedError: if the ConfigMap or Secret that a variable is taken from does not have it, and is not optional.
    """
    values: dict[str, str] = {}
    for item in container.get("envFrom") or []:
        found = _entries(manifests, item)
        values |= {
            f"{item.get('prefix') or ''}{key}": content.decode(errors="replace") for key, content in found.items()
        }
    for item in container.get("env") or []:
        if text := item.get("value"):
            values[item["name"]] = expanded(str(text), values)
        elif "valueFrom" not in item:
            values[item["name"]] = ""
        elif (taken := _taken(manifests, item, pod)) is not None:
            values[item["name"]] = taken
    return values


def _taken(manifests: Sequence[Manifest], item: Mapping[str, Any], pod: Manifest) -> str | None:
    """Return the value that a variable takes from elsewhere; None if it is optional, or known to a node alone."""
    if path := get(item, ("valueFrom", "fieldRef", "fieldPath")):
        return field_of(pod, str(path))
    return next((content.decode(errors="replace") for content in _entries(manifests, item).values()), None)


def field_of(pod: Manifest, path: str) -> str | None:
    """Return a field of a pod as a variable gets it; None if the manifests do not say it."""
    named = _FIELD.fullmatch(path)
    steps: FieldPath = (*named["path"].split("."), *filter(None, [named["key"]])) if named else ()
    value = get(pod, steps)
    return str(value) if isinstance(value, str | int) else None


def expanded(text: str, values: Mapping[str, str]) -> str:
    """Replace each $(NAME) that has a value; $$ is a dollar sign, so $$(NAME) stands for $(NAME) itself.

    https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
    """
    return _REFERENCE.sub(lambda found: "$" if found[0] == "$$" else values.get(found["name"], found[0]), text)


def arguments_of(container: Mapping[str, Any], values: Mapping[str, str]) -> list[str]:
    """Return the command line that stands in place of the image's; nothing if there is none."""
    words = [*(container.get("command") or []), *(container.get("args") or [])]
    return [expanded(str(word), values) for word in words]


def files_in(
    manifests: Sequence[Manifest], container: Mapping[str, Any], pod: Manifest, directory: str
) -> dict[str, bytes]:
    """Return the files that a container's mounts of ConfigMaps and Secrets put into a directory, by their paths in it.

    Raises:
        RefusedError: if one does not have what a mount takes of it, and is not optional.
    """
    volumes = {volume["name"]: volume for volume in get(pod, ("spec", "volumes")) or []}
    files: dict[PurePosixPath, bytes] = {}
    for mount in container.get("volumeMounts") or []:
        held = _files_of(manifests, volumes.get(mount["name"], {}))
        where, part = PurePosixPath(mount["mountPath"]), mount.get("subPath")
        files |= {where: held[part]} if part in held else {} if part else {where / name: held[name] for name in held}
    return {str(path.relative_to(directory)): held for path, held in files.items() if path.is_relative_to(directory)}


def _files_of(manifests: Sequence[Manifest], volume: Mapping[str, Any]) -> dict[str, bytes]:
    sources = get(volume, ("projected", "sources")) or [volume]
    return {name: content for source in sources for name, content in _projected(manifests, source)}


def _projected(manifests: Sequence[Manifest], source: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    for field, kind in {"configMap": "ConfigMap", "secret": "Secret"}.items():
        if found := source.get(field):
            # In a projected volume, the name of a Secret is called as that of a ConfigMap.
            held = _held(manifests, kind, found.get("secretName") or found["name"], bool(found.get("optional")))
            for item in found.get("items") or [{"key": key, "path": key} for key in held]:
                if item["key"] in held:
                    yield item["path"], held[item["key"]]
                elif not found.get("optional"):
                    raise _missing(kind, found.get("secretName") or found["name"], item["key"])


def _entries(manifests: Sequence[Manifest], item: Mapping[str, Any]) -> dict[str, bytes]:
    """Return what an entry of env or envFrom reads, by its key; nothing if it is optional and not there."""
    read = read_of(item)
    if read is None:
        return {}
    held = _held(manifests, read.kind, read.name, read.optional)
    if read.key and read.key not in held and not read.optional:
        raise _missing(read.kind, read.name, read.key)
    return {key: content for key, content in held.items() if read.key in ("", key)}


def _held(manifests: Sequence[Manifest], kind: str, name: str, optional: bool) -> dict[str, bytes]:
    try:
        return data_of(manifests, kind, name)
    except RefusedError:
        if optional:
            return {}
        raise


def _missing(kind: str, name: str, key: str) -> RefusedError:
    return RefusedError(
        f"the overlay's {kind} '{name}' has no '{key}', which a container uses: add it in its kustomization.yaml"
    )
