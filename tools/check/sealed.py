"""What is wrong with a SealedSecret: https://github.com/bitnami-labs/sealed-secrets."""

import binascii
from base64 import b64decode
from collections.abc import Iterable, Iterator

from tools.check.catalogue import rule
from tools.check.rendering import Problem, Rendering
from tools.controller import unreadable
from tools.manifests import FieldPath, Manifest, get, title

_TEMPLATE: FieldPath = ("spec", "template", "metadata")
# Of a value that is for any name of a namespace, or for any namespace.
_WIDER = ("sealedsecrets.bitnami.com/namespace-wide", "sealedsecrets.bitnami.com/cluster-wide")


@rule(
    "sealed-secret",
    why="The controller makes no Secret of it, so the pods that read it wait, and those before them go on serving.",
    remedy="Seal the value again for the name and the namespace that the overlay renders: make seal ENV=… KEY=….",
)
def sealed_secrets(rendering: Rendering) -> Iterator[Problem]:
    """A SealedSecret for another name or namespace than it is rendered with, or a value that is not sealed."""
    for manifest in rendering.of_kind("SealedSecret"):
        advice = f"make seal ENV={rendering.environment} KEY={next(iter(manifest['spec']['encryptedData']), '…')}"
        for path, reason in [*_elsewhere(manifest), *_unsealed(manifest)]:
            yield rendering.problem(manifest, path, f"{title(manifest)} {reason}", advice)


def _elsewhere(manifest: Manifest) -> Iterator[tuple[FieldPath, str]]:
    annotations = manifest["metadata"].get("annotations") or {}
    if not any(annotations.get(name) == "true" for name in _WIDER):
        for field in ("name", "namespace"):
            said, actual = get(manifest, (*_TEMPLATE, field)), manifest["metadata"].get(field)
            if said and actual and said != actual:
                yield (*_TEMPLATE, field), f"is sealed for the {field} '{said}', and rendered with '{actual}'"


def _unsealed(manifest: Manifest) -> Iterator[tuple[FieldPath, str]]:
    for key, value in manifest["spec"]["encryptedData"].items():
        if not _is_sealed(value):
            yield ("spec", "encryptedData", key), f"has a value for {key} that is not sealed"


def _is_sealed(value: str) -> bool:
    """Tell whether a value begins with a session key of the length that it says, and has more than that."""
    try:
        data = b64decode(value, validate=True)
    except binascii.Error:
        return False
    wrapped = int.from_bytes(data[:2], "big")
    return 0 < wrapped < len(data) - 2


def unreadable_here(renderings: Iterable[Rendering]) -> Iterator[tuple[Rendering, Problem]]:
    """Give the SealedSecrets that the controller of the current cluster cannot read; it is looked for once.

    Raises:
        RefusedError: if it cannot be asked.
    """
    sealed = [(rendering, one) for rendering in renderings for one in rendering.of_kind("SealedSecret")]
    lost, context = unreadable([one for _, one in sealed]) if sealed else ([], "")
    for rendering, manifest in ((where, one) for where, one in sealed if one in lost):
        reason = f"the controller of {context} cannot read {title(manifest)}: it was sealed for another cluster or key"
        advice = f"if {rendering.environment} belongs there, restore the controller's former key, or seal again"
        yield rendering, rendering.problem(manifest, ("spec", "encryptedData"), reason, advice, note=True)
