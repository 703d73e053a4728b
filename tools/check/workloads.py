"""What Kubernetes refuses or does not survive: the schema, images, resources, scaling, disruption."""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import kubernetes_validate

from tools.check.catalogue import Scope, rule
from tools.check.rendering import Problem, Rendering, nearest
from tools.images import name_of
from tools.manifests import FieldPath, Manifest, fields, get, quantity, selector_of, share, title

# The oldest that is supported; tests/manifests holds the repository to the newest as well.
KUBERNETES = "1.34.0"

# The schema takes any text for these; the API server does not.
_WORDS = {
    "imagePullPolicy": ("Always", "IfNotPresent", "Never"),
    "policyTypes": ("Ingress", "Egress"),
    "protocol": ("TCP", "UDP", "SCTP"),
    "restartPolicy": ("Always", "OnFailure", "Never"),
    "unhealthyPodEvictionPolicy": ("IfHealthyBudget", "AlwaysAllow"),
    "whenUnsatisfiable": ("DoNotSchedule", "ScheduleAnyway"),
}
_TYPES: dict[str, tuple[FieldPath, tuple[str, ...]]] = {
    "Service": (("spec", "type"), ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")),
    "Deployment": (("spec", "strategy", "type"), ("RollingUpdate", "Recreate")),
}


@rule(
    "schema",
    Scope.STEP,
    why="The API server refuses the object, or drops the field that it does not know.",
    remedy="Correct the field or its type.",
)
def schema(rendering: Rendering) -> Iterator[Problem]:
    """What the schema of Kubernetes refuses."""
    for manifest in rendering.objects:
        if not isinstance(manifest.get("apiVersion"), str):
            yield rendering.problem(manifest, ("apiVersion",), f"{title(manifest)} has no apiVersion", "give it one")
            continue
        try:
            refusal = _refusal(json.dumps(manifest))
        except kubernetes_validate.SchemaNotFoundError:
            place = rendering.sources.locate(manifest, ("kind",))
            reason = f"Kubernetes has no kind {manifest['kind']} of {manifest['apiVersion']}: nothing here can check it"
            yield Problem(place, reason, "nothing, if the cluster has its definition", note=True)
            continue
        if refusal:
            path = tuple(refusal.absolute_path)
            unknown = re.search(r"'([^']+)' was unexpected", refusal.message)
            field = (unknown[1],) if unknown else ()
            known = refusal.schema.get("properties", {}) if isinstance(refusal.schema, dict) else {}
            where = ".".join(map(str, path)) or "the object"
            yield rendering.problem(
                manifest,
                (*path, *field),
                f"the schema of Kubernetes {KUBERNETES} refuses {where} of {title(manifest)}: {refusal.message}",
                f"correct it{nearest(field[0], known) if field else ''}",
            )


@rule(
    "word",
    why="The schema takes any text there, and the API server refuses all but a few words.",
    remedy="Write one of the words that the message lists.",
)
def words(rendering: Rendering) -> Iterator[Problem]:
    """A word that Kubernetes does not know for its field."""
    for manifest in rendering.objects:
        typed, types = _TYPES.get(manifest["kind"], ((), ()))
        for path, value in fields(manifest.get("spec"), ("spec",)):
            name = next(step for step in reversed(path) if isinstance(step, str))
            known = types if path == typed else _WORDS.get(name)
            if known and value is not None and value not in known:
                yield rendering.problem(
                    manifest,
                    path,
                    f"Kubernetes knows no {name} '{value}', as {title(manifest)} has it",
                    f"write one of {', '.join(known)}{nearest(str(value), known)}",
                )


@cache
def _refusal(manifest: str) -> Any:
    """Return what the schema refuses first of an object; most objects are in several renderings."""
    try:
        kubernetes_validate.validate(json.loads(manifest), KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        return error
    return None


@rule(
    "image",
    why=(
        "Such an image is another one tomorrow: nobody can tell what runs, or go back to it. A container without "
        "any is what a patch that names none leaves."
    ),
    remedy="Set a commit's tag under `images` of the overlay; let a patch name the container that it is for.",
)
def images(rendering: Rendering) -> Iterator[Problem]:
    """A container without an image, or an image whose tag is missing or moves."""
    for container in rendering.containers:
        image = str(container.data.get("image") or "")
        tag = image.partition("@")[0].removeprefix(name_of(image)).removeprefix(":")
        if not image:
            names = [str(other.data.get("name")) for other in rendering.containers if other != container]
            name = str(container.data.get("name"))
            yield rendering.problem(
                container.manifest,
                (*container.path, "name"),
                f"{container.name} has no image; a patch that names no container adds one",
                f"give the name of the one that was meant{nearest(name, names)}",
            )
        elif "@" not in image and tag in ("", "latest"):
            yield rendering.problem(
                container.manifest,
                (*container.path, "image"),
                f"{container.name} runs {image}: what it names changes, so nobody can tell what runs or go back",
                "name a commit's tag under `images` of the overlay",
            )


@rule(
    "digest",
    why=(
        "A tag can be moved to another image; a digest cannot. It is a note, as nothing has a digest before its "
        "first promotion."
    ),
    remedy="`make promote` writes the digest of what was built.",
)
def digests(rendering: Rendering) -> Iterator[Problem]:
    """An image that no digest fixes, where Argo CD deploys."""
    if not rendering.followed:
        return
    for container in rendering.containers:
        image = str(container.data.get("image") or "")
        if image and "@sha256:" not in image:
            place = rendering.sources.locate(container.manifest, (*container.path, "image"))
            yield Problem(place, f"{image} has no digest", "`make promote` gives it one", note=True)


@rule(
    "limits",
    why="The API server refuses a container that asks for more than it may use.",
    remedy="Raise the limit or lower the request.",
)
def limits(rendering: Rendering) -> Iterator[Problem]:
    """A limit below its request, which Kubernetes refuses."""
    for container in rendering.containers:
        requests = get(container.data, ("resources", "requests")) or {}
        for name, limit in (get(container.data, ("resources", "limits")) or {}).items():
            if _is_below(limit, requests.get(name)):
                yield rendering.problem(
                    container.manifest,
                    (*container.path, "resources", "limits", name),
                    f"{container.name} may use {limit} of {name} and asks for {requests[name]}: Kubernetes refuses it",
                    "raise the limit or lower the request",
                )


def _is_below(limit: Any, request: Any) -> bool:
    most, least = quantity(limit), quantity(request)
    return most is not None and least is not None and most < least


@rule(
    "autoscaler",
    why="Each sync would undo what the autoscaler did; one whose minimum is above its maximum is refused.",
    remedy="Leave `replicas` out of what an autoscaler scales, and keep minReplicas at or below maxReplicas.",
)
def autoscalers(rendering: Rendering) -> Iterator[Problem]:
    """An autoscaler that a fixed number of replicas contradicts, or whose limits contradict each other."""
    for scaler in rendering.of_kind("HorizontalPodAutoscaler"):
        spec = scaler["spec"]
        scaled = rendering.find(spec["scaleTargetRef"]["kind"], spec["scaleTargetRef"]["name"])
        if scaled and "replicas" in scaled["spec"]:
            yield rendering.problem(
                scaled,
                ("spec", "replicas"),
                f"{title(scaler)} sets the replicas of {title(scaled)}, and each sync would set them back to this",
                "remove this number: the autoscaler's minReplicas takes its place",
            )
        if spec.get("minReplicas", 1) > spec["maxReplicas"]:
            yield rendering.problem(
                scaler, ("spec", "minReplicas"), f"{title(scaler)} has a minimum above its maximum", "swap them"
            )


@rule(
    "budget",
    why="A drain of the node waits for ever, and with it each upgrade of the cluster.",
    remedy="Allow one pod to go with maxUnavailable: 1, and give each pod one budget only.",
)
def budgets(rendering: Rendering) -> Iterator[Problem]:
    """A disruption budget that lets no pod go, or is a pod's second, so that a node can never be drained."""
    owners: dict[str, str] = {}
    for budget in rendering.of_kind("PodDisruptionBudget"):
        for pod in rendering.selected(selector_of(budget)):
            owner = owners.setdefault(title(pod.manifest), title(budget))
            if owner != title(budget):
                reason = f"{title(pod.manifest)} has {owner} already: Kubernetes evicts no pod that has two budgets"
                yield rendering.problem(budget, ("spec", "selector"), reason, "let one of them select other pods")
            replicas = _replicas(rendering, pod.manifest)
            for field in budget["spec"].keys() & {"minAvailable", "maxUnavailable"}:
                pods = share(budget["spec"][field], replicas, up=True)
                if pods is not None and (pods >= replicas if field == "minAvailable" else pods == 0):
                    yield rendering.problem(
                        budget,
                        ("spec", field),
                        f"{title(budget)} lets none of {title(pod.manifest)} go ({replicas} replicas): no drain ends",
                        "allow one with maxUnavailable: 1",
                    )


def _replicas(rendering: Rendering, workload: Manifest) -> int:
    for scaler in rendering.of_kind("HorizontalPodAutoscaler"):
        if get(scaler, ("spec", "scaleTargetRef", "name")) == workload["metadata"]["name"]:
            return int(scaler["spec"].get("minReplicas", 1))
    return int(workload["spec"].get("replicas", 1))
