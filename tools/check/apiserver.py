"""What a Kubernetes API server refuses of a rendering: its own code says so, and this finds the line to change."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from tools.check.catalogue import Scope, rule
from tools.check.rendering import Problem, Rendering, Tree, nearest
from tools.check.sources import Place, read
from tools.dryrun import OF_THE_OBJECT, Answer, Finding, Request, ask, path_of
from tools.manifests import FieldPath, Manifest, Pod, fields, get, is_encrypted, pod_of, title

_ENFORCE = "pod-security.kubernetes.io/enforce"
_DIGEST = f"@sha256:{64 * '0'}"
_WRONG_TYPE = re.compile(r"json: cannot unmarshal (\w+) into Go .* of type (\S+)")
_TYPES = {"int32": "a number", "int64": "a number", "float64": "a number", "bool": "true or false", "string": "text"}
_TYPES |= {"number": "a number", "array": "a list", "object": "a mapping"}
_UNSUPPORTED = re.compile(r'Unsupported value: "(.*)": supported values: (.*)')
# Only in these may a template stand beside what else decides about a pod's security.
_POD_OR_CONTAINER = ("initContainers", "containers", "volumes")


def judge(tree: Tree, renderings: Sequence[Rendering]) -> list[list[Answer]]:
    """Return what the API server says of each object of each rendering.

    Raises:
        NotBuiltError: if it cannot be asked.
    """
    present = [*_definitions(tree), *tree.platform]
    said = ask([Request(list(map(_promoted, one.objects)), present=present) for one in renderings]).answers
    return [
        [_of_encrypted(answer) if _is_sent_otherwise(tree, manifest) else answer for manifest, answer in pairs]
        for pairs in (zip(one.objects, answers, strict=True) for one, answers in zip(renderings, said, strict=True))
    ]


def _is_sent_otherwise(tree: Tree, manifest: Manifest) -> bool:
    """Tell whether an object is perhaps sent otherwise than it stands here: elsewhere, what deploys may decrypt it."""
    return not tree.own and is_encrypted(manifest)


def _of_encrypted(answer: Answer) -> Answer:
    return replace(answer, known=False, findings=())


def _definitions(tree: Tree) -> list[Manifest]:
    """Return the definitions of kinds that the repository has."""
    documents = [document.data for file in tree.files("*.y*ml") for document in read(file)]
    return [one for one in documents if isinstance(one, dict) and one.get("kind") == "CustomResourceDefinition"]


def _promoted(manifest: Manifest) -> Manifest:
    """Return an object as a promotion leaves it: that its images have no digest yet is another rule's business."""
    pod = pod_of(manifest)
    images = {(*one.path, "image"): one.data.get("image") for one in pod.containers} if pod else {}
    copy = _copy(manifest)
    for path, image in images.items():
        if isinstance(image, str) and "@" not in image:
            get(copy, path[:-1])["image"] += _DIGEST
    return copy


def _copy(manifest: Manifest) -> Manifest:
    copy: Manifest = json.loads(json.dumps(manifest, default=str))
    return copy


@rule(
    "refused",
    Scope.JUDGED,
    why="The API server refuses the object: the sync fails, and so does `kubectl apply`.",
    remedy="Correct the field that the message names; a merge patch removes what it sets to null.",
)
def refused(rendering: Rendering, answers: Sequence[Answer]) -> Iterator[Problem]:
    """What the API server refuses, by its own code."""
    yield from _problems(rendering, answers, *OF_THE_OBJECT)


@rule(
    "pod-security",
    Scope.JUDGED,
    why="The namespace refuses such a pod, so a rollout stands still.",
    remedy="Set the field to the value that the message names, in the base rather than in an overlay.",
)
def pod_security(rendering: Rendering, answers: Sequence[Answer]) -> Iterator[Problem]:
    """What Pod Security refuses at the level of the namespace, by its own code."""
    yield from _problems(rendering, answers, "pod-security")


@rule(
    "restricted",
    why="A namespace that does not enforce the level lets in pods that can leave their container.",
    remedy="Label the Namespace as those of the other overlays are.",
    own=True,
)
def restricted(rendering: Rendering) -> Iterator[Problem]:
    """A namespace that does not enforce the restricted level of Pod Security."""
    for namespace in rendering.of_kind("Namespace"):
        if get(namespace, ("metadata", "labels", _ENFORCE)) != "restricted":
            reason = f"{title(namespace)} does not enforce the restricted level of Pod Security"
            path = ("metadata", "labels", _ENFORCE)
            yield rendering.problem(namespace, path, reason, f"label it {_ENFORCE}: restricted")


@rule(
    "policy",
    Scope.JUDGED,
    why="A cluster that has the platform's policies refuses the object.",
    remedy="Do what the message says; deploy/platform/README.md says for which namespaces each policy is.",
)
def policies(rendering: Rendering, answers: Sequence[Answer]) -> Iterator[Problem]:
    """What a policy of deploy/platform refuses, by the API server's own code."""
    yield from _problems(rendering, answers, "policy")


@rule(
    "warned",
    Scope.JUDGED,
    why="The API server accepts it and warns, of what is deprecated or has no effect for example. It is a note.",
    remedy="Do what the message says.",
)
def warned(rendering: Rendering, answers: Sequence[Answer]) -> Iterator[Problem]:
    """What the API server warns of, by its own code."""
    yield from _problems(rendering, answers, "warning")


@rule(
    "unknown-kind",
    Scope.JUDGED,
    why="Nothing here can check it, and an API server refuses it where the definition is missing. It is a note.",
    remedy="Nothing, if the cluster has the definition; with it in deploy/, the object is held to it.",
)
def unknown_kinds(rendering: Rendering, answers: Sequence[Answer]) -> Iterator[Problem]:
    """A kind that Kubernetes does not have and no definition in the repository makes, or what SOPS has encrypted."""
    for manifest, answer in zip(rendering.objects, answers, strict=True):
        if not answer.known:
            place = rendering.sources.locate(manifest, ("kind",))
            reason = f"nothing here can check {title(manifest)} of {manifest.get('apiVersion')}"
            known = "what deploys it decrypts it" if is_encrypted(manifest) else "the cluster has this kind"
            yield Problem(place, reason, f"nothing to do, if {known}", note=True)


def _problems(rendering: Rendering, answers: Sequence[Answer], *by: str) -> Iterator[Problem]:
    for manifest, answer in zip(rendering.objects, answers, strict=True):
        for finding in answer.findings:
            if finding.by in by:
                yield _problem(rendering, manifest, finding, answer)


def _problem(rendering: Rendering, manifest: Manifest, finding: Finding, answer: Answer) -> Problem:
    path = path_of(finding, manifest)
    if finding.by == "pod-security" and (pod := pod_of(manifest)):
        path = security_path(pod, finding.message)
    of = f"{'.'.join(map(str, path))} of {title(manifest)}" if path else title(manifest)
    verb = "refuses" if finding.refuses else "warns of"
    reason = f"Kubernetes {verb} {of}: {_in_words(finding.message)}"
    excluding = _excluding(manifest, path, finding, answer) if finding.by == "validation" else []
    if len(excluding) > 1:
        return _choice(rendering, manifest, excluding, reason)
    place = _place(rendering, manifest, path or ("metadata", "name"))
    advice = _advice(finding, manifest) or _advice_on_an_item(rendering, manifest, path, place) or "correct it"
    return Problem(place, reason, advice, note=not finding.refuses)


def _place(rendering: Rendering, manifest: Manifest, path: FieldPath) -> Place:
    """Return where a field comes from; of a mapping, where a patch last added to it."""
    value, own = get(manifest, path), rendering.sources.file_of(manifest)
    below = fields(value, path) if isinstance(value, dict) else ()
    added = [place for leaf, _ in below if (place := rendering.sources.locate(manifest, leaf)).file != own]
    return added[-1] if added and own else rendering.sources.locate(manifest, path)


def _in_words(message: str) -> str:
    """Return what the API server says, without the words of its programming language and of its policies' delivery."""
    if wrong := _WRONG_TYPE.search(message):
        return f"it is {_TYPES.get(wrong[1], wrong[1])} and must be {_TYPES.get(wrong[2], 'a mapping or a list')}"
    return message.rpartition("denied request: ")[2]


def _advice(finding: Finding, manifest: Manifest) -> str:
    if finding.reason == "NotServed":
        return _advice_on_a_kind(f"{manifest['apiVersion']} {manifest['kind']}", manifest["kind"], finding.known)
    if finding.known:
        wrong = finding.message.rpartition(".")[2].rstrip('"')
        return f"take it out, or correct it{nearest(wrong, finding.known)}"
    if unsupported := _UNSUPPORTED.search(finding.message):
        supported = re.findall(r'"([^"]+)"', unsupported[2])
        return f"write one of {', '.join(supported)}{nearest(unsupported[1], supported)}"
    if finding.message.startswith("quantities must match"):
        return "write a number and one of k, M, G, Ki, Mi, Gi, as in 128Mi, or m for thousandths"
    wrong_type = _WRONG_TYPE.search(finding.message)
    if wrong_type and wrong_type[1] == "string":
        return "take the quotes off"
    return "put it in quotes" if wrong_type and wrong_type[2] == "string" else ""


def _advice_on_a_kind(wrong: str, kind: str, known: Sequence[str]) -> str:
    """Return what to write in place of a kind that is not served: it in another version, or one of a like name."""
    versions = [one.removesuffix(f" {kind}") for one in known if one.endswith(f" {kind}")]
    return f"write {' or '.join(versions)}" if versions else f"write a kind that Kubernetes has{nearest(wrong, known)}"


def _advice_on_an_item(rendering: Rendering, manifest: Manifest, path: FieldPath, place: Place) -> str:
    """Return what to do where a patch adds an item to a list, perhaps instead of changing one."""
    depth = max((depth for depth, step in enumerate(path, 1) if isinstance(step, int)), default=0)
    item, items = get(manifest, path[:depth]), get(manifest, path[: max(depth - 1, 0)])
    if not depth or not isinstance(item, dict) or place.file == rendering.sources.file_of(manifest):
        return ""
    key = next((key for key in ("containerPort", "port", "mountPath", "name") if key in item), "")
    near = nearest(str(item.get(key)), [str(one.get(key)) for one in items if one is not item])
    return f"if the patch is to change an item of the base, give that item's own {key}{near}"


# --- fields that exclude each other


def _excluding(manifest: Manifest, path: FieldPath, finding: Finding, answer: Answer) -> list[FieldPath]:
    """Return those fields of which one must go: without any of them, the API server does not refuse this any more."""
    others = _refusals(answer) - {(finding.field, finding.reason)}
    owners = [owner for owner in (path, path[:-1]) if owner and isinstance(get(manifest, owner), dict)]
    candidates = [(*owner, key) for owner in owners for key in get(manifest, owner)]
    without = [_without(manifest, candidate) for candidate in candidates]
    (answers,) = ask([Request(list(map(_promoted, without)))]).answers
    cured = [candidate for candidate, one in zip(candidates, answers, strict=True) if _refusals(one) <= others]
    # Several of one owner: which one that is, the API server's path does not always say.
    return next((found for owner in owners if len(found := [one for one in cured if one[:-1] == owner]) > 1), [])


def _without(manifest: Manifest, path: FieldPath) -> Manifest:
    copy = _copy(manifest)
    del get(copy, path[:-1])[path[-1]]
    return copy


def _refusals(answer: Answer) -> set[tuple[str, str]]:
    return {(one.field, one.reason) for one in answer.refusals}


def _choice(rendering: Rendering, manifest: Manifest, excluding: Sequence[FieldPath], reason: str) -> Problem:
    """Return a problem at the field that was added to one that stood there before."""
    places = {path: rendering.sources.locate(manifest, path) for path in excluding}
    own = rendering.sources.file_of(manifest)
    kept = [str(path[-1]) for path, place in places.items() if place.file == own]
    added = [place for place in places.values() if place.file != own]
    if kept and added:
        nulls = " and ".join(f"`{key}: null`" for key in kept)
        return Problem(added[-1], reason, f"add {nulls}: a merge patch keeps the base's")
    one_of = " or ".join(f"`{path[-1]}`" for path in excluding)
    return Problem(max(places.values()), reason, f"take out {one_of}")


# --- where Pod Security looks


def security_path(pod: Pod, message: str) -> FieldPath:
    """Return the field of a pod that Pod Security names in its message, which has no path.

    As in: pod or container "api" must set securityContext.runAsNonRoot=true.
    """
    start: FieldPath = (*pod.path, "spec")
    named = set(re.findall(r'"([^"]+)"', message.partition(": ")[2]))
    parts = [
        (*start, key, index)
        for key in _POD_OR_CONTAINER
        for index, one in enumerate(pod.spec.get(key) or [])
        if one.get("name") in named
    ]
    said = message.partition("(")[2]
    owners = parts if parts and not said.startswith("pod") else [start]
    if dotted := re.search(r"securityContext((?:\.\w+)+)", said):
        return (*owners[0], "securityContext", *dotted[1].strip(".").split("."))
    words = set(re.findall(r"\w+", said))
    below = [(*owner, *path) for owner in owners for path, _ in fields(get(pod.manifest, owner))]
    steps = [path[: index + 1] for path in below for index in range(len(owners[0]), len(path)) if path[index] in words]
    return steps[0] if steps else owners[0]
