"""What the application itself says of the values that an overlay gives it, and values that no program means."""

import importlib
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tools.check.catalogue import Scope, rule
from tools.check.rendering import Problem, Rendering, Tree
from tools.check.sources import Place
from tools.command import RefusedError
from tools.images import SOURCES, deployment_of
from tools.local.container import environment_of
from tools.manifests import Container, FieldPath, Manifest, Read, entries, pod_of, read_of, title
from tools.repository import REPOSITORY
from tools.texts import read_text

API = REPOSITORY / SOURCES / "api"
_QUOTED = re.compile(r"(['\"]).*\1", re.DOTALL)


@rule(
    "settings",
    Scope.RENDERINGS,
    why="The API reads its variables at its start, and ends there if one is wrong: the rollout stands still.",
    remedy="Give the variable a value that the message allows.",
    own=True,
)
def settings(tree: Tree, renderings: list[Rendering]) -> Iterator[Problem]:
    """A variable that the API refuses, by its own code."""
    # The code that it would run is this repository's, and no other's.
    if (tree.root / SOURCES / API.name).resolve() != API:
        return
    for rendering in renderings:
        if container := _container_of(rendering):
            yield from _refusals(rendering, container)


def _container_of(rendering: Rendering) -> Container | None:
    try:
        pod = pod_of(deployment_of(rendering.objects, API.name))
    except RefusedError:
        return None
    return next((one for one in pod.containers if one.data.get("name") == API.name), None) if pod else None


def _refusals(rendering: Rendering, container: Container) -> Iterator[Problem]:
    variables = {str(item["name"]): (path, item) for path, item in container.items("env")}
    known = [item for _, item in variables.values() if not _unknown(rendering, read_of(item))]
    sources = [item for _, item in container.items("envFrom") if not _unknown(rendering, read_of(item))]
    values = environment_of(rendering.objects, {**container.data, "env": known, "envFrom": sources}, container.template)
    # What a controller will make, such as a SealedSecret's Secret, nobody knows here.
    complete = len(sources) == len(container.data.get("envFrom") or [])
    for name, refusal in _refused(values):
        if name in values or (complete and name not in variables):
            path, item = variables.get(name, (container.path, {}))
            place = place_of(rendering, container.manifest, path, read_of(item))
            yield Problem(place, f"the API does not start: {refusal}", "correct the value")


def _unknown(rendering: Rendering, read: Read | None) -> bool:
    """Tell whether a variable reads what the overlay does not make."""
    if read is None:
        return False
    return read.key not in _held(rendering, read) if read.key else not rendering.find(read.kind, read.name)


def _refused(values: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Give the name of each variable that the API refuses, and what it says."""
    module = _settings_module()
    try:
        module.read_settings(values)
    except module.SettingsError as error:
        for refusal in re.split(r"; (?=[A-Z_]+ )", str(error)):
            yield refusal.partition(" ")[0], refusal


@cache
def _settings_module() -> Any:
    sys.path.append(str(API))
    return importlib.import_module("datapress_api.settings")


def place_of(rendering: Rendering, manifest: Manifest, path: FieldPath, read: Read | None) -> Place:
    """Return where the value of a variable comes from: the key of a ConfigMap or a Secret, or the variable itself."""
    if not read:
        return rendering.sources.locate(manifest, (*path, "value"))
    source = rendering.find(read.kind, read.name)
    found = [entry for entry, _ in entries(source) if entry[-1] == read.key] if source else []
    return rendering.sources.locate(source, found[0]) if source and found else rendering.sources.locate(manifest, path)


@rule(
    "value",
    why="The program gets the quotes, the space or the line break as part of the value, and hardly ever means them.",
    remedy="Write the value without them; a key that a variable reads is one of `literals` or `envs`, not of `files`.",
)
def values(rendering: Rendering) -> Iterator[Problem]:
    """A variable with quotes around its value, or space or a line break at an end."""
    for container in rendering.containers:
        for path, name, text, read in variables(rendering, container):
            if wrong := _around(text):
                reason = f"{container.name} gets {name} with {wrong}: {text[:40]!r}"
                yield Problem(place_of(rendering, container.manifest, path, read), reason, _advice(wrong))


def variables(rendering: Rendering, container: Container) -> Iterator[tuple[FieldPath, str, str, Read | None]]:
    """Give a container's variables: where each is set, its name, its value, and what it reads if it does."""
    for path, item in container.items("env"):
        if read := read_of(item):
            yield path, item["name"], _held(rendering, read).get(read.key, ""), read
        else:
            yield path, item["name"], str(item.get("value") or ""), None
    for path, item in container.items("envFrom"):
        if read := read_of(item):
            yield from ((path, key, text, read._replace(key=key)) for key, text in _held(rendering, read).items())


def _held(rendering: Rendering, read: Read) -> dict[str, str]:
    manifest = rendering.find(read.kind, read.name)
    return {str(path[-1]): text for path, text in entries(manifest)} if manifest else {}


def _around(text: str) -> str:
    if len(text) > 1 and _QUOTED.fullmatch(text):
        return "the quotes"
    if text.endswith("\n"):
        return "a line break at its end"
    return "space around it" if text != text.strip() else ""


def _advice(wrong: str) -> str:
    return "write it among `literals`, or in a file of `envs`" if "line break" in wrong else "write it without them"


@rule(
    "env-file",
    why="Kustomize takes the value from the environment of whoever renders: another on each machine, none in Argo CD.",
    remedy="Write KEY=value.",
)
def env_files(rendering: Rendering) -> Iterator[Problem]:
    """A line of a generator's env file without '='."""
    for manifest in rendering.of_kind("ConfigMap", "Secret"):
        for file in rendering.sources.env_files(manifest["kind"], manifest["metadata"]["name"]):
            yield from _lines_without_value(file, title(manifest))


def _lines_without_value(file: Path, owner: str) -> Iterator[Problem]:
    for number, line in enumerate(read_text(file).splitlines(), 1):
        if (said := line.strip()) and not said.startswith("#") and "=" not in said:
            reason = f"{owner} gets '{said}' from the environment of whoever renders: the line has no '='"
            yield Problem(Place(file, number), reason, f"write {said}=value")
