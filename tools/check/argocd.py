"""What Argo CD is told by words that it does not know: it passes over them and says nothing."""

import re
from collections.abc import Iterator

import yaml

from tools.check.catalogue import Scope, rule
from tools.check.rendering import Problem, Rendering, Tree, nearest
from tools.check.sources import items_of, mappings, value_of
from tools.manifests import title

_PREFIX = "argocd.argoproj.io/"
_SWITCHES = (
    *("ApplyOutOfSyncOnly", "ClientSideApplyMigration", "CreateNamespace", "Delete", "FailOnSharedResource", "Force"),
    *("Prune", "PruneLast", "Replace", "RespectIgnoreDifferences", "ServerSideApply", "SkipDryRunOnMissingResource"),
    "Validate",
)
# https://argo-cd.readthedocs.io/en/stable/user-guide/sync-options/
_SYNC_OPTIONS = {f"{name}={value}" for name in _SWITCHES for value in ("true", "false")}
_SYNC_OPTIONS |= {"Prune=confirm", "Delete=confirm"}
_SYNC_OPTIONS |= {f"PrunePropagationPolicy={value}" for value in ("foreground", "background", "orphan")}
# https://argo-cd.readthedocs.io/en/stable/user-guide/compare-options/ and .../user-guide/diff-strategies/
_COMPARE_OPTIONS = {"IgnoreExtraneous"}
_COMPARE_OPTIONS |= {
    f"{name}={value}" for name in ("ServerSideDiff", "IncludeMutationWebhook") for value in ("true", "false")
}
# https://argo-cd.readthedocs.io/en/stable/user-guide/sync-waves/ and .../user-guide/resource_hooks/
_WORDS = {
    "sync-options": _SYNC_OPTIONS,
    "compare-options": _COMPARE_OPTIONS,
    "hook": {"PreSync", "Sync", "PostSync", "SyncFail", "PreDelete", "PostDelete", "Skip"},
    "hook-delete-policy": {"HookSucceeded", "HookFailed", "BeforeHookCreation"},
}


@rule(
    "argocd-word",
    why="Argo CD passes over a word that it does not know: the object is no hook, or is pruned where it should stay.",
    remedy="Write the word as Argo CD's documentation has it, capital letters included.",
)
def words(rendering: Rendering) -> Iterator[Problem]:
    """An annotation of an object for Argo CD with a word that Argo CD does not know."""
    for manifest in rendering.objects:
        for name, value in (manifest["metadata"].get("annotations") or {}).items():
            if wrong := _wrong(name, str(value)):
                reason, advice = wrong
                path = ("metadata", "annotations", name)
                yield rendering.problem(manifest, path, f"{title(manifest)} has {reason}", advice)


@rule(
    "argocd-option",
    Scope.FILES,
    why="Argo CD passes over an option that it does not know, and syncs as if nobody had set it.",
    remedy="Write the option as Argo CD's documentation has it, capital letters included.",
)
def options(tree: Tree) -> Iterator[Problem]:
    """An option of an Application of Argo CD that Argo CD does not know."""
    for document in tree.argocd("Application", "ApplicationSet"):
        for mapping in mappings(document.node):
            said = [("sync-options", node) for node in items_of(mapping, "syncOptions")]
            annotations = value_of(mapping, "annotations")
            pairs = annotations.value if isinstance(annotations, yaml.MappingNode) else []
            said += [(str(key.value).removeprefix(_PREFIX), value) for key, value in pairs]
            for name, node in said:
                if wrong := _wrong(f"{_PREFIX}{name}", str(node.value)):
                    yield Problem(document.place(node), f"the Application has {wrong[0]}", wrong[1])


def _wrong(annotation: str, value: str) -> tuple[str, str] | None:
    """Return what Argo CD does not know of an annotation, and what to do; None if it knows all of it."""
    name = annotation.removeprefix(_PREFIX)
    if annotation == name:
        return None
    if name == "sync-wave":
        wrong = not re.fullmatch(r"[+-]?\d+", value)
        return (f"the sync wave '{value}', which is no number", "write a whole number in quotes") if wrong else None
    known = _WORDS.get(name, set())
    for word in filter(None, map(str.strip, value.split(",") if known else [])):
        if word not in known:
            near = nearest(word, known) or f": {', '.join(sorted(known))}"
            return f"'{word}' for {name}, which Argo CD does not know", f"write a word that it knows{near}"
    return None
