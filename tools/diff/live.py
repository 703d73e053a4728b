"""What the files here would change on a cluster, by the cluster's own word: nothing is changed there."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml

from tools.command import FailedError, RefusedError, ask, one_line
from tools.diff.changes import identity
from tools.diff.consequences import Consequence
from tools.diff.rules import Effect
from tools.manifests import Manifest
from tools.render import kubectl
from tools.texts import load_json

# What the API server keeps for itself, and what says who applied an object.
BOOKKEEPING = {"managedFields", "resourceVersion", "uid", "creationTimestamp", "generation"}
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
TRACKING = "argocd.argoproj.io/tracking-id"
AS_ARGO_CD = ["--server-side", "--force-conflicts", "--field-manager=argocd-controller"]
Names = set[tuple[str, str]]


def require_cluster() -> None:
    """Make sure that a cluster answers.

    Raises:
        RefusedError: if none does.
    """
    answer = ask(kubectl(), "get", "--raw", "/version", "--request-timeout=5s")
    if answer.returncode:
        raise RefusedError(
            "no cluster answers: see 'kubectl config current-context' and KUBECONFIG,"
            f" or give a REF in place of --live: {one_line(answer.stderr)}"
        )


def kinds_of(manifests: Iterable[Manifest]) -> str:
    """Return the kinds of objects in namespaces, as kubectl takes them."""
    return ",".join(sorted({_resource(item) for item in manifests if "namespace" in item["metadata"]}))


def present(wanted: Sequence[Manifest], kinds: str, scratch: Path) -> list[Manifest]:
    """Return what the cluster has of what is wanted, and what of these kinds was applied beside it.

    Raises:
        FailedError: if the cluster does not tell.
    """
    file = _write(wanted, scratch)
    found = _get(f"--filename={file}", "--ignore-not-found")
    names = _names(found)
    for namespace in sorted({item["metadata"]["namespace"] for item in wanted if "namespace" in item["metadata"]}):
        beside = _get(kinds, f"--namespace={namespace}")
        found += [item for item in beside if _was_applied(item) and not _names([item]) & names]
    return found


def attempt(
    wanted: Sequence[Manifest], found: Sequence[Manifest], as_argo_cd: bool, scratch: Path
) -> tuple[list[Manifest], list[Consequence]]:
    """Return what the cluster would have of what is wanted, and what it refuses.

    Args:
        wanted: the manifests.
        found: what it has of them now.
        as_argo_cd: whether they are applied as Argo CD does it, or else as `kubectl apply` does.
        scratch: a directory to write to.

    Raises:
        FailedError: if its answer cannot be understood.
    """
    there = {item["metadata"]["name"] for item in found if item["kind"] == "Namespace"}
    # Nothing can be tried in a namespace that is not there yet.
    absent = [item for item in wanted if item["metadata"].get("namespace", item["metadata"]["name"]) not in there]
    rest = [item for item in wanted if item not in absent]
    made, refusals = _try(rest, AS_ARGO_CD if as_argo_cd else [], scratch) if rest else ([], [])
    missing = _names(rest) - _names(made)
    return [*absent, *made, *(item for item in found if _names([item]) <= missing)], refusals


def bare(manifest: Manifest) -> Manifest:
    """Return an object without what no manifest says."""
    metadata = {key: value for key, value in manifest["metadata"].items() if key not in BOOKKEEPING}
    annotations = metadata.pop("annotations", {})
    kept = {key: value for key, value in annotations.items() if key not in {LAST_APPLIED, TRACKING}}
    body = {key: value for key, value in manifest.items() if key != "status"}
    return {**body, "metadata": {**metadata, **({"annotations": kept} if kept else {})}}


def _try(wanted: Sequence[Manifest], how: Sequence[str], scratch: Path) -> tuple[list[Manifest], list[Consequence]]:
    made = ask(kubectl(), "apply", "--dry-run=server", "--output=json", *how, f"--filename={_write(wanted, scratch)}")
    if made.returncode == 0:
        return _items(made.stdout), []
    if len(wanted) > 1:
        # kubectl prints none of them if one is refused.
        each = [_try([item], how, scratch) for item in wanted]
        return [item for items, _ in each for item in items], [one for _, refused in each for one in refused]
    said = one_line(made.stderr)
    return [], [Consequence("API server", Effect.REFUSED, str(identity(wanted[0])), f"the API server says: {said}")]


def _get(*what: str) -> list[Manifest]:
    asked = ask(kubectl(), "get", *what, "--output=json")
    if asked.returncode:
        raise FailedError(f"the cluster does not tell what it has: {one_line(asked.stderr)}")
    return _items(asked.stdout)


def _items(said: str) -> list[Manifest]:
    document = load_json(said, "what kubectl says") if said.strip() else {"items": []}
    items: list[Manifest] = document.get("items", [document])
    return items


def _write(manifests: Sequence[Manifest], scratch: Path) -> Path:
    file = scratch / f"{'-'.join(identity(manifests[0]))}-{len(manifests)}.yaml"
    file.write_text(yaml.safe_dump_all(manifests))
    return file


def _names(manifests: Sequence[Manifest]) -> Names:
    return {(item["kind"], item["metadata"]["name"]) for item in manifests}


def _resource(manifest: Manifest) -> str:
    group, _, version = str(manifest.get("apiVersion")).rpartition("/")
    return f"{manifest['kind']}.{version}.{group}".lower() if group else manifest["kind"].lower()


def _was_applied(manifest: Manifest) -> bool:
    """Return whether somebody applied it: the rest was made by the cluster itself, or by hand."""
    return bool({LAST_APPLIED, TRACKING} & (manifest["metadata"].get("annotations") or {}).keys())
