"""What Kubernetes accepts and does not survive: images, scaling, disruption."""

import json
import re
from collections.abc import Iterator

from tools.check.catalogue import Scope, rule
from tools.check.rendering import Problem, Rendering, Tree
from tools.images import is_reference, name_of
from tools.manifests import (
    LEFT_TO_AUTOSCALER,
    FieldPath,
    Manifest,
    Pod,
    autoscalers_of,
    fewest_pods,
    fields,
    get,
    is_left_to_an_autoscaler,
    selector_of,
    share,
    title,
)

# kubectl keeps in it what it applied, and a server takes no more bytes of annotations than this:
# https://github.com/kubernetes/apimachinery/blob/master/pkg/api/validation/objectmeta.go
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_ANNOTATIONS_LIMIT = 262144
# https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/horizontal-pod-autoscaler-v2/
_DEFAULT_METRIC = {"resource": {"name": "cpu", "target": {"type": "Utilization"}}}


@rule(
    "image",
    why="Such an image is another one tomorrow: nobody can tell what runs, or go back to it.",
    remedy="Set a commit's tag under `images` of the overlay.",
)
def images(rendering: Rendering) -> Iterator[Problem]:
    """An image whose tag is missing or moves."""
    for container in rendering.containers:
        image = container.image
        tag = image.partition("@")[0].removeprefix(name_of(image)).removeprefix(":")
        # Without any, the API server refuses it, or it is a template of another kind.
        if image and "@" not in image and tag in ("", "latest"):
            yield rendering.problem(
                container.manifest,
                (*container.path, "image"),
                f"{container.name} runs {image}: what it names changes, so nobody can tell what runs or go back",
                "name a commit's tag under `images` of the overlay",
            )


@rule(
    "image-name",
    why="No node can run such an image: the pod stays in InvalidImageName, and the API server accepts it.",
    remedy="Write [HOST[:PORT]/]PATH[:TAG][@sha256:64 digits] with a path of lower-case letters.",
)
def image_names(rendering: Rendering) -> Iterator[Problem]:
    """An image that is no reference: capital letters in its path, a digest of another length, a wrong sign."""
    for container in rendering.containers:
        image = container.image
        # What a program fills in before it deploys is no name yet.
        if image and not is_reference(image) and not re.search(r"\$[({]|{{", image):
            yield rendering.problem(
                container.manifest,
                (*container.path, "image"),
                f"{container.name} runs '{image}', which no node can read as the name of an image",
                f"write [HOST[:PORT]/]PATH[:TAG][@DIGEST], as in {name_of(image).lower()}:1.2",
            )


@rule(
    "read-only-root",
    why="Whoever breaks into the container can change what it runs; the restricted level does not ask for this.",
    remedy="Set securityContext.readOnlyRootFilesystem: true, and mount an emptyDir where the program writes.",
    own=True,
)
def read_only_roots(rendering: Rendering) -> Iterator[Problem]:
    """A container that may write to its image's files."""
    for container in rendering.containers:
        path = (*container.path, "securityContext", "readOnlyRootFilesystem")
        if get(container.manifest, path) is not True:
            reason = f"{container.name} may write to the files of its image"
            yield rendering.problem(container.manifest, path, reason, "set readOnlyRootFilesystem: true")


@rule(
    "digest",
    why=(
        "A tag can be moved to another image; a digest cannot. It is a note, as nothing has a digest before its "
        "first promotion."
    ),
    remedy="`make promote` writes the digest of what was built.",
    own=True,
)
def digests(rendering: Rendering) -> Iterator[Problem]:
    """An image that no digest fixes, where Argo CD deploys."""
    if not rendering.followed:
        return
    for container in rendering.containers:
        image = container.image
        if image and "@sha256:" not in image:
            place = rendering.sources.locate(container.manifest, (*container.path, "image"))
            yield Problem(place, f"{image} has no digest", "`make promote` gives it one", note=True)


@rule(
    "size",
    Scope.RENDERINGS,
    why="`kubectl apply` writes the whole object into an annotation of it, and the API server refuses so long a one.",
    remedy="Make it smaller, or have Argo CD deploy the environment with ServerSideApply=true.",
    own=True,
)
def sizes(tree: Tree, renderings: list[Rendering]) -> Iterator[Problem]:
    """An object that is too large for `kubectl apply`, in an environment that is not applied by the server."""
    for rendering in renderings:
        if tree.is_applied_by_the_server(rendering.environment):
            continue
        for manifest in rendering.objects:
            annotations = {**(manifest["metadata"].get("annotations") or {}), _LAST_APPLIED: _as_go_writes(manifest)}
            size = sum(len(f"{key}{value}".encode()) for key, value in annotations.items())
            if size > _ANNOTATIONS_LIMIT:
                yield rendering.problem(
                    manifest,
                    _largest(manifest),
                    f"{title(manifest)} takes {size} bytes in an annotation that `kubectl apply` gives it, of"
                    f" {_ANNOTATIONS_LIMIT} that are allowed",
                    "make it smaller, or let Argo CD deploy this with ServerSideApply=true",
                )


def _as_go_writes(manifest: Manifest) -> str:
    """Return an object as kubectl writes it down: JSON on one line, with three letters escaped."""
    text = json.dumps(manifest, separators=(",", ":"), ensure_ascii=False, default=str)
    return re.sub("[<>&]", lambda found: f"\\u{ord(found[0]):04x}", text) + "\n"


def _largest(manifest: Manifest) -> FieldPath:
    return max(fields(manifest), key=lambda field: len(str(field[1])))[0]


@rule(
    "autoscaler",
    why="It is not scaled: each sync, or another autoscaler, undoes it, or there is nothing to compare its use with.",
    remedy="Leave `replicas` out of what an autoscaler scales, request what it is scaled by, and have one autoscaler.",
)
def autoscalers(rendering: Rendering) -> Iterator[Problem]:
    """What an autoscaler cannot scale: a fixed number of pods, pods without a request, what another one scales too."""
    for pod in rendering.pods:
        workload, scalers = pod.manifest, autoscalers_of(pod.manifest, rendering.objects)
        if not scalers and is_left_to_an_autoscaler(workload) and "replicas" not in workload["spec"]:
            yield rendering.problem(
                workload,
                LEFT_TO_AUTOSCALER,
                f"{title(workload)} leaves its number of pods to an autoscaler that is not there, and keeps one",
                "give it replicas in the overlay, or its autoscaler back",
            )
        if scalers and "replicas" in workload["spec"]:
            yield rendering.problem(
                workload,
                ("spec", "replicas"),
                f"{title(scalers[0])} sets the replicas of {title(workload)}, and each sync sets this number again",
                "remove this number: the autoscaler's minReplicas takes its place",
            )
        for second in scalers[1:]:
            yield rendering.problem(
                second,
                ("spec", "scaleTargetRef", "name"),
                f"{title(workload)} has {title(scalers[0])} already, and each would undo what the other does",
                "make one of the two: it takes several metrics, and the highest answer counts",
            )
        for scaler in scalers:
            yield from _without_request(rendering, scaler, pod)


def _without_request(rendering: Rendering, scaler: Manifest, pod: Pod) -> Iterator[Problem]:
    for resource, only in _shares(scaler):
        for container in pod.containers:
            # Where only a limit is set, it is the request too.
            set_at_all = [get(container.data, ("resources", key, resource)) for key in ("requests", "limits")]
            if container.stays and only in (None, container.data["name"]) and not any(set_at_all):
                yield rendering.problem(
                    container.manifest,
                    (*container.path, "resources"),
                    f"{title(scaler)} scales by how much of its request of {resource} {container.name} uses, and it has"
                    " no such request",
                    f"set resources.requests.{resource}: without it, no pod is added under any load",
                )


def _shares(scaler: Manifest) -> Iterator[tuple[str, str | None]]:
    """Give the resources whose use an autoscaler compares with the request, and of which container; None is of all."""
    for metric in scaler["spec"].get("metrics") or [_DEFAULT_METRIC]:
        source = metric.get("resource") or metric.get("containerResource") or {}
        if get(source, ("target", "type")) == "Utilization":
            yield source["name"], source.get("container")


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
            replicas = fewest_pods(pod.manifest, rendering.objects)
            for field in budget["spec"].keys() & {"minAvailable", "maxUnavailable"}:
                pods = share(budget["spec"][field], replicas, up=True)
                if pods is not None and (pods >= replicas if field == "minAvailable" else pods == 0):
                    yield rendering.problem(
                        budget,
                        ("spec", field),
                        f"{title(budget)} lets none of {title(pod.manifest)} go ({replicas} replicas): no drain ends",
                        "allow one with maxUnavailable: 1",
                    )
