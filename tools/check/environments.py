"""What is wrong between environments, and between them and Argo CD."""

import re
from collections.abc import Iterator
from pathlib import Path

from tools.check.application import place_of, variables
from tools.check.catalogue import Scope, rule
from tools.check.rendering import APPLICATION_PATH, Problem, Rendering, Tree, nearest
from tools.check.sources import Document, Place, items_of, read, scalars, value_of
from tools.manifests import (
    Manifest,
    Project,
    base_name,
    get,
    group_of,
    namespace_of,
    project_of,
    title,
)
from tools.repository import kustomization_of

# By which the product's programs know their environment.
_VARIABLE = "APP_ENV"
# Objects that are meant to be in some environments only.
ALLOWED = Path("deploy", "differences.yaml")


@rule(
    "one-environment",
    Scope.RENDERINGS,
    why="What only one environment has is not tried before it counts, or was forgotten in the others.",
    remedy="Add the object to the others too, or to deploy/differences.yaml if the difference is meant.",
    own=True,
)
def one_environment(tree: Tree, renderings: list[Rendering]) -> Iterator[Problem]:
    """An object that some environments have and others not, unless deploy/differences.yaml has it."""
    alone = [rendering for rendering in renderings if not rendering.added]
    owned = {one.environment: {_identity(manifest): manifest for manifest in one.objects} for one in alone}
    everywhere = set.intersection(*map(set, owned.values()))
    allowed = {(name, text): place for name, text, place in _allowed(tree)}
    for rendering in alone:
        for identity, manifest in owned[rendering.environment].items():
            if identity not in everywhere and (rendering.environment, identity) not in allowed:
                others = ", ".join(name for name, objects in owned.items() if identity not in objects)
                yield rendering.problem(
                    manifest,
                    ("metadata", "name"),
                    f"{title(manifest)} is not in {others}",
                    f"add it there, or '{identity}' to {rendering.environment} in {ALLOWED} if that is meant",
                )
    for (name, identity), place in allowed.items():
        different = set(owned.get(name, {})) - everywhere
        if identity not in different:
            reason = f"'{identity}' is in every environment, or not in {name}"
            yield Problem(place, reason, f"remove this line{nearest(identity, different)}")


def _identity(manifest: Manifest) -> str:
    # A namespace is called otherwise in each environment.
    return "Namespace" if manifest["kind"] == "Namespace" else f"{manifest['kind']}/{base_name(manifest)}"


def _allowed(tree: Tree) -> Iterator[tuple[str, str, Place]]:
    for document in read(tree.root / ALLOWED):
        for name in document.data or {}:
            for node in items_of(document.node, name):
                yield name, str(node.value), document.place(node)


@rule(
    "node-port",
    Scope.RENDERINGS,
    why="A cluster has each node port once, so the second Service is refused.",
    remedy="Take a free number from 30000 to 32767, or leave it to the cluster.",
)
def node_ports(tree: Tree, renderings: list[Rendering]) -> Iterator[Problem]:
    """A node port that two Services ask for."""
    asked: dict[tuple[str, int], str] = {}
    for rendering in renderings:
        # Elsewhere, each environment may have a cluster of its own.
        cluster = "" if tree.own else rendering.environment
        for service in rendering.of_kind("Service"):
            for index, port in enumerate(get(service, ("spec", "ports")) or []):
                here = f"{title(service)} of {rendering.environment}"
                number, path = port.get("nodePort"), ("spec", "ports", index, "nodePort")
                if number and asked.setdefault((cluster, number), here) != here:
                    reason = f"{asked[cluster, number]} has node port {number} too, and a cluster has it once"
                    yield rendering.problem(service, path, reason, "take a free one from 30000 to 32767")


@rule(
    "namespace",
    Scope.RENDERINGS,
    why="Objects land in a namespace that nobody makes, or two environments overwrite each other's.",
    remedy="Set `namespace` in the overlay, and have a Namespace of that name among its resources.",
    own=True,
)
def namespaces(_: Tree, renderings: list[Rendering]) -> Iterator[Problem]:
    """Objects in a namespace that the overlay does not make, or that is another environment's."""
    owners: dict[str, str] = {}
    for rendering in renderings:
        namespace = rendering.namespace
        owner = owners.setdefault(namespace, rendering.environment)
        if namespace not in [one["metadata"]["name"] for one in rendering.of_kind("Namespace")]:
            reason = f"the objects of {rendering.environment} go to namespace '{namespace}', which it does not make"
            yield Problem(_namespace_of(rendering), reason, "set `namespace`, and have a Namespace among the resources")
        elif owner != rendering.environment:
            reason = f"{owner} has namespace {namespace} too: each would overwrite the other's objects"
            yield Problem(_namespace_of(rendering), reason, "give it a namespace of its own")


def _namespace_of(rendering: Rendering) -> Place:
    document = rendering.sources.kustomizations[-1].document
    named = value_of(document.node, "namespace")
    return document.place(named) if named else rendering.sources.last()


@rule(
    "environment-name",
    Scope.RENDERINGS,
    why="The program takes itself for another environment's: its logs, its metrics and what it allows are that one's.",
    remedy="Give APP_ENV the name of the overlay's directory.",
    own=True,
)
def environment_names(_: Tree, renderings: list[Rendering]) -> Iterator[Problem]:
    """An APP_ENV that is not the name of the overlay's own environment."""
    others = {rendering.environment for rendering in renderings}
    for rendering in renderings:
        own = rendering.environment
        for container in rendering.containers:
            for path, name, text, source in variables(rendering, container):
                if name == _VARIABLE and _is_of_another(text, own, others - {own}):
                    place = place_of(rendering, container.manifest, path, source)
                    reason = f"{container.name} takes itself for '{text}' in the environment {own}"
                    yield Problem(place, reason, f"write {_VARIABLE}={own}")


def _is_of_another(text: str, own: str, others: set[str]) -> bool:
    # prod and production are one; what is no name at all, the program itself refuses.
    is_short_form = text.startswith(own) or own.startswith(text)
    return bool(re.fullmatch("[a-z0-9-]+", text)) and (text in others or not is_short_form)


@rule(
    "project",
    Scope.RENDERINGS,
    why="Argo CD refuses the whole sync for one object that its project does not allow.",
    remedy=(
        "Allow the kind or the namespace in argocd/project.yaml, and have that applied first, or leave the object out."
    ),
)
def project(tree: Tree, renderings: list[Rendering]) -> Iterator[Problem]:
    """An object of a kind, or in a namespace, that Argo CD's project does not allow, so that no sync succeeds."""
    argocd = [one.data for kind in ("Application", "AppProject") for one in tree.argocd(kind)]
    for rendering in renderings:
        if found := project_of(argocd, f"deploy/overlays/{rendering.environment}"):
            yield from _not_allowed(rendering, tree.taken(rendering, rendering.objects), found)


def _not_allowed(rendering: Rendering, objects: list[Manifest], project: Project) -> Iterator[Problem]:
    for manifest in objects:
        if not project.permits_kind(manifest):
            scope, path = ("namespace", ("kind",)) if namespace_of(manifest) else ("cluster", ("metadata", "name"))
            allowed = [str(one.get("name")) for one in project.manifest["spec"].get(f"{scope}ResourceWhitelist") or []]
            yield rendering.problem(
                manifest,
                path,
                f"Argo CD's project does not allow {title(manifest)} of group '{group_of(manifest)}', and refuses the"
                " whole sync",
                f"add '{_entry(manifest)}' to {scope}ResourceWhitelist of argocd/project.yaml, or leave the object out"
                f"{nearest(manifest['metadata']['name'], allowed)}",
            )
        elif not project.permits(manifest):
            namespace = manifest["metadata"]["namespace"]
            allowed = [str(one.get("namespace")) for one in project.manifest["spec"].get("destinations") or []]
            yield rendering.problem(
                manifest,
                ("metadata", "namespace"),
                f"Argo CD's project allows no object in namespace {namespace}",
                f"name one of its destinations{nearest(namespace, allowed)}",
            )


def _entry(manifest: Manifest) -> str:
    """Return the line of a project's list that allows an object; of the whole cluster, this one alone."""
    name = "" if namespace_of(manifest) else f", name: {manifest['metadata']['name']}"
    group = group_of(manifest) or '""'
    return f"- {{group: {group}, kind: {manifest['kind']}{name}}}"


@rule(
    "application",
    Scope.FILES,
    why="Argo CD deploys nothing any more of what such an Application follows.",
    remedy="Name a directory that has a kustomization.yaml, and a project of argocd/.",
    own=True,
)
def application(tree: Tree) -> Iterator[Problem]:
    """A directory, or a project, that an Application of Argo CD names and that is not there."""
    projects = [str(get(one.data, ("metadata", "name"))) for one in tree.argocd("AppProject")]
    for document in tree.argocd("Application"):
        said = str(get(document.data, APPLICATION_PATH))
        overlay = tree.root / said
        components = get(document.data, ("spec", "source", "kustomize", "components")) or []
        named = [(overlay / one, str(one)) for one in components] if overlay.is_dir() else [(overlay, said)]
        for directory, text in named:
            if not kustomization_of(directory).is_file():
                near = [one.name for one in directory.resolve().parent.glob("*")]
                reason = f"Argo CD's Application names {text}, where there is no kustomization"
                yield Problem(_place_of(document, text), reason, f"correct it{nearest(directory.name, near)}")
        wanted = str(get(document.data, ("spec", "project")))
        # This one is there without anybody making it.
        if wanted not in (*projects, "default"):
            reason = f"Argo CD's Application is of project {wanted}, which argocd/ does not make"
            yield Problem(_place_of(document, wanted), reason, f"correct it{nearest(wanted, projects)}")


def _place_of(document: Document, text: str) -> Place:
    named = (document.place(node) for node in scalars(document.node) if node.value == text)
    return next(named, Place(document.file, 1))
