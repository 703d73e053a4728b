"""Changes of an overlay: what `make diff` predicts of them is compared with what a cluster does.

The rounds build on each other: what one has changed stays changed in the next. Changes of one round touch different
objects, so that each has one cause. What is refused is taken back.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.clones import change_banner
from tests.support.product import API, BY_HAND, DEPLOYMENTS, FRONT, NODE_PORTS, PREFIX, container_of, image, namespace
from tools.diff.changes import identity
from tools.diff.consequences import Consequence, consequences
from tools.diff.stored import stored
from tools.manifests import Manifest
from tools.render import render
from tools.repository import OVERLAYS

API_PODS, FRONT_PODS = (f"Deployment {name}" for name in DEPLOYMENTS)
NAMESPACE = namespace(BY_HAND)
OTHER_NAMESPACE = f"{NAMESPACE}-renamed"
VERSIONS = {"Deployment": "apps/v1", "Job": "batch/v1", "NetworkPolicy": "networking.k8s.io/v1"}
VERSIONS["PodDisruptionBudget"] = "policy/v1"
VERSIONS["HorizontalPodAutoscaler"] = "autoscaling/v2"


class Overlay:
    """A copy of an overlay, to edit."""

    def __init__(self, into: Path, images: Mapping[str, str]) -> None:
        self.images = images
        self.deploy = into / "deploy"
        shutil.copytree(OVERLAYS.parent, self.deploy)
        self.directory = self.deploy / "overlays" / BY_HAND
        self.saved: dict[Path, bytes] = {}

    def save(self) -> None:
        """Keep the files as they are, for `take_back`."""
        self.saved = {path: path.read_bytes() for path in self.directory.iterdir()}

    def take_back(self) -> None:
        for path in self.directory.iterdir():
            path.unlink()
        for path, content in self.saved.items():
            path.write_bytes(content)

    def render(self) -> list[Manifest]:
        return render(self.directory)

    def change(self, edit: Callable[[dict[str, Any]], None]) -> None:
        file = self.directory / "kustomization.yaml"
        kustomization = yaml.safe_load(file.read_text())
        edit(kustomization)
        file.write_text(yaml.safe_dump(kustomization, sort_keys=False))

    def add(self, key: str, item: Any) -> None:
        self.change(lambda kustomization: kustomization.setdefault(key, []).append(item))


Edit = Callable[[Overlay], None]


def merging(kind: str, name: str, **body: Any) -> Edit:
    """Return an edit that merges something into an object."""
    head = {"apiVersion": VERSIONS.get(kind, "v1"), "kind": kind, "metadata": {"name": name}}
    patch = yaml.safe_dump({**head, **body, "metadata": {**head["metadata"], **body.get("metadata", {})}})  # type: ignore[dict-item]
    return lambda overlay: overlay.add("patches", {"target": {"kind": kind, "name": name}, "patch": patch})


def setting(kind: str, name: str, path: str, value: Any) -> Edit:
    """Return an edit that sets a field that is there; without a value, it takes it out."""
    operation = {"op": "remove" if value is None else "replace", "path": path} | (
        {} if value is None else {"value": value}
    )
    patch = yaml.safe_dump([operation])
    return lambda overlay: overlay.add("patches", {"target": {"kind": kind, "name": name}, "patch": patch})


def of_pods(name: str, **spec: Any) -> Edit:
    return merging("Deployment", name, spec={"template": {"spec": spec}})


def of_container(name: str, **container: Any) -> Edit:
    return of_pods(name, containers=[{"name": container_of(BY_HAND, name)["name"], **container}])


def adding(*manifests: Manifest) -> Edit:
    def edit(overlay: Overlay) -> None:
        for manifest in manifests:
            file = f"{manifest['kind']}-{manifest['metadata']['name']}.yaml".lower()
            (overlay.directory / file).write_text(yaml.safe_dump(manifest))
            overlay.add("resources", file)

    return edit


def removing(kind: str, name: str) -> Edit:
    patch = yaml.safe_dump(
        {"$patch": "delete", "apiVersion": VERSIONS.get(kind, "v1"), "kind": kind, "metadata": {"name": name}}
    )
    return lambda overlay: overlay.add("patches", {"target": {"kind": kind, "name": name}, "patch": patch})


def generating(generator: str, name: str, literal: str) -> Edit:
    """Return an edit that sets a literal of a generated ConfigMap or Secret."""

    def change(kustomization: dict[str, Any]) -> None:
        (found,) = [item for item in kustomization[generator] if item["name"] == name]
        key = literal.partition("=")[0]
        found["literals"] = [item for item in found.get("literals", []) if not item.startswith(f"{key}=")] + [literal]

    return lambda overlay: overlay.change(change)


def banner(overlay: Overlay) -> None:
    change_banner(overlay.directory, "Prédite")


def scaling(name: str, count: int) -> Edit:
    def change(kustomization: dict[str, Any]) -> None:
        others = [item for item in kustomization.get("replicas", []) if item["name"] != name]
        kustomization["replicas"] = [*others, {"name": name, "count": count}]

    return lambda overlay: overlay.change(change)


def leaving_to_the_autoscaler(overlay: Overlay) -> None:
    """As the component does it."""
    overlay.change(
        lambda kustomization: kustomization.update(
            replicas=[item for item in kustomization["replicas"] if item["name"] != API]
        )
    )
    merging("Deployment", API, metadata={"annotations": {"replicas": "autoscaler"}})(overlay)


def taking_from_the_autoscaler(overlay: Overlay) -> None:
    merging("Deployment", API, metadata={"annotations": {"replicas": None}})(overlay)
    scaling(API, 3)(overlay)


def another_image(overlay: Overlay) -> None:
    """The same image by its other name, so that the new pods run."""
    name, _, tag = overlay.images[API].rpartition(":")
    overlay.add("images", {"name": image(API).name, "newName": name, "newTag": tag})


def reversing_variables(overlay: Overlay) -> None:
    (front,) = [item for item in overlay.render() if identity(item).name == FRONT and item["kind"] == "Deployment"]
    variables = front["spec"]["template"]["spec"]["containers"][0]["env"]
    setting("Deployment", FRONT, "/spec/template/spec/containers/0/env", variables[::-1])(overlay)


def renaming_the_namespace(overlay: Overlay) -> None:
    file = overlay.directory / "namespace.yaml"
    file.write_text(file.read_text().replace(f"name: {NAMESPACE}", f"name: {OTHER_NAMESPACE}"))
    overlay.change(lambda kustomization: kustomization.update(namespace=OTHER_NAMESPACE))


def renaming_the_front_s_service(overlay: Overlay) -> None:
    (service,) = [item for item in overlay.render() if item["kind"] == "Service" and identity(item).name == FRONT]
    removing("Service", FRONT)(overlay)
    adding({**service, "metadata": {"name": "extra-front"}})(overlay)


def all_of(*edits: Edit) -> Edit:
    def edit(overlay: Overlay) -> None:
        for one in edits:
            one(overlay)

    return edit


@dataclass(frozen=True)
class Case:
    """A change, and the objects on which its consequences are seen."""

    what: str
    objects: Sequence[str]
    edit: Edit


COMPONENTS = ["../../components/network-policy", "../../components/disruption-budget"]


def without_components(overlay: Overlay) -> None:
    """Take away what was added; the component of the image tags stays."""
    overlay.change(
        lambda kustomization: kustomization.update(
            components=[one for one in kustomization["components"] if one not in COMPONENTS]
        )
    )


EXTRAS: list[Manifest] = [
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "extra"}, "data": {"key": "value"}},
    {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "fixed"},
        "data": {"key": "value"},
        "immutable": True,
    },
    {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "extra"}, "type": "Opaque"},
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "extra"},
        "spec": {"clusterIP": "None", "selector": {"extra": "none"}, "ports": [{"port": 80}]},
    },
    {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "extra"},
        "spec": {
            "suspend": True,
            "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "extra", "image": "extra:1"}]}},
        },
    },
]
AUTOSCALER: Manifest = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "extra"},
    "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": API},
        "minReplicas": 1,
        "maxReplicas": 2,
    },
}
DEFAULTS = {
    "imagePullPolicy": "IfNotPresent",
    "terminationMessagePolicy": "File",
    "ports": [{"containerPort": 8000, "protocol": "TCP"}],
    "livenessProbe": {"successThreshold": 1},
    "resources": {"requests": {"cpu": "0.1"}},
}
ADDED = ["ConfigMap extra", "Job extra", "NetworkPolicy default-deny", f"PodDisruptionBudget {API}"]
RUNS = {"spec": {"paused": False}}
ROUNDS: list[list[Case]] = [
    [
        Case(
            "objects added",
            ADDED,
            all_of(adding(*EXTRAS), *[lambda o, c=c: o.add("components", c) for c in COMPONENTS]),
        ),
        Case("image", [API_PODS], another_image),
        Case(
            "value of a variable",
            [FRONT_PODS],
            of_container(
                FRONT, env=[{"name": "API_SERVER", "value": f"{API}.{NAMESPACE}.svc.cluster.local:80 resolve"}]
            ),
        ),
    ],
    [Case("configuration value, in a file", [f"ConfigMap {PREFIX}-config", API_PODS, FRONT_PODS], banner)],
    [
        Case(
            "secret value",
            [f"Secret {PREFIX}-secret", API_PODS],
            generating("secretGenerator", f"{PREFIX}-secret", "DB_PASSWORD=demo-another"),
        ),
        Case(
            "annotation of a Service",
            [f"Service {FRONT}"],
            merging("Service", FRONT, metadata={"annotations": {"a": "b"}}),
        ),
        Case(
            "data of a ConfigMap that is not immutable",
            ["ConfigMap extra"],
            merging("ConfigMap", "extra", data={"key": "other"}),
        ),
    ],
    [
        Case("probe", [API_PODS], of_container(API, readinessProbe={"failureThreshold": 4})),
        Case("resources", [FRONT_PODS], of_container(FRONT, resources={"requests": {"cpu": "40m"}})),
        Case("port of a Service", [f"Service {API}"], setting("Service", API, "/spec/ports/0/port", 8080)),
        Case("node port", [f"Service {FRONT}"], setting("Service", FRONT, "/spec/ports/0/nodePort", NODE_PORTS[0])),
        Case(
            "port in a NetworkPolicy",
            [f"NetworkPolicy {API}"],
            setting("NetworkPolicy", API, "/spec/ingress/1/ports/0/port", 9101),
        ),
    ],
    [
        Case(
            "label of the pods",
            [API_PODS],
            merging("Deployment", API, spec={"template": {"metadata": {"labels": {"a": "b"}}}}),
        ),
        Case("terminationGracePeriodSeconds", [FRONT_PODS], of_pods(FRONT, terminationGracePeriodSeconds=41)),
        Case("budget", [f"PodDisruptionBudget {API}"], setting("PodDisruptionBudget", API, "/spec/maxUnavailable", 2)),
        Case(
            "selector of a Service",
            ["Service extra"],
            merging("Service", "extra", spec={"selector": {"extra": "other"}}),
        ),
    ],
    [
        Case("service account of the pods", [API_PODS], of_pods(API, serviceAccountName=FRONT)),
        Case("order of the variables", [FRONT_PODS], reversing_variables),
        Case(
            "field of a ServiceAccount",
            [f"ServiceAccount {FRONT}"],
            setting("ServiceAccount", FRONT, "/automountServiceAccountToken", True),
        ),
        Case(
            "Pod Security label",
            [f"Namespace {NAMESPACE}"],
            merging("Namespace", NAMESPACE, metadata={"labels": {"pod-security.kubernetes.io/audit": "baseline"}}),
        ),
    ],
    [
        Case("label of the Deployment only", [API_PODS], merging("Deployment", API, metadata={"labels": {"a": "b"}})),
        Case(
            "strategy only",
            [FRONT_PODS],
            merging("Deployment", FRONT, spec={"strategy": {"rollingUpdate": {"maxSurge": 2}}, "minReadySeconds": 1}),
        ),
        Case("clusterIP taken out", ["Service extra"], setting("Service", "extra", "/spec/clusterIP", None)),
    ],
    [
        Case("defaults written out", [API_PODS], of_container(API, **DEFAULTS)),
        Case("replicas up", [FRONT_PODS], scaling(FRONT, 2)),
    ],
    [
        Case(
            "variable of a paused Deployment",
            [API_PODS],
            all_of(
                merging("Deployment", API, spec={"paused": True}), of_container(API, env=[{"name": "A", "value": "b"}])
            ),
        ),
        Case("replicas down", [FRONT_PODS], scaling(FRONT, 1)),
    ],
    [Case("no longer paused", [API_PODS], setting("Deployment", API, "/spec/paused", None))],
    [Case("replicas to none", [FRONT_PODS], scaling(FRONT, 0))],
    [Case("variable without replicas", [FRONT_PODS], of_container(FRONT, env=[{"name": "A", "value": "b"}]))],
    [
        Case(
            "selector, labels with it",
            [API_PODS],
            merging(
                "Deployment",
                API,
                spec={
                    "selector": {"matchLabels": {"a": "b"}},
                    "template": {"metadata": {"labels": {"a": "b"}}},
                },
            ),
        ),
        Case(
            "Recreate beside rollingUpdate",
            [FRONT_PODS],
            merging("Deployment", FRONT, spec={"strategy": {"type": "Recreate"}}),
        ),
        Case("clusterIP", [f"Service {API}"], merging("Service", API, spec={"clusterIP": "None"})),
        Case("node port out of range", [f"Service {FRONT}"], setting("Service", FRONT, "/spec/ports/0/nodePort", 80)),
        Case(
            "data of an immutable ConfigMap", ["ConfigMap fixed"], merging("ConfigMap", "fixed", data={"key": "other"})
        ),
        Case("type of a Secret", ["Secret extra"], setting("Secret", "extra", "/type", "example.org/other")),
        Case(
            "pod of a Job",
            ["Job extra"],
            setting("Job", "extra", "/spec/template/spec/containers/0/image", "extra:2"),
        ),
    ],
    [
        Case(
            "label that the selector wants",
            [API_PODS],
            setting("Deployment", API, "/spec/template/metadata/labels/app.kubernetes.io~1name", "other"),
        ),
        Case(
            "second port without names", [f"Service {FRONT}"], merging("Service", FRONT, spec={"ports": [{"port": 81}]})
        ),
        Case(
            "node port of a ClusterIP",
            ["Service extra"],
            merging("Service", "extra", spec={"ports": [{"port": 80, "nodePort": NODE_PORTS[1]}]}),
        ),
    ],
    [
        Case(
            "Service renamed, node port kept", [f"Service {FRONT}", "Service extra-front"], renaming_the_front_s_service
        )
    ],
    [
        Case(
            "objects removed",
            ["NetworkPolicy default-deny", f"PodDisruptionBudget {API}", "Job extra"],
            all_of(
                without_components,
                removing("Job", "extra"),
            ),
        )
    ],
    [Case("replicas before an autoscaler", [API_PODS], scaling(API, 2))],
    [
        Case(
            "number left to an autoscaler",
            [API_PODS, "HorizontalPodAutoscaler extra"],
            all_of(adding(AUTOSCALER), leaving_to_the_autoscaler),
        )
    ],
    [
        Case(
            "bounds of an autoscaler",
            ["HorizontalPodAutoscaler extra"],
            setting("HorizontalPodAutoscaler", "extra", "/spec/maxReplicas", 3),
        )
    ],
    [
        Case(
            "number taken from an autoscaler",
            [API_PODS, "HorizontalPodAutoscaler extra"],
            all_of(removing("HorizontalPodAutoscaler", "extra"), taking_from_the_autoscaler),
        )
    ],
    [
        Case(
            "namespace renamed",
            [f"Namespace {NAMESPACE}", f"Namespace {OTHER_NAMESPACE}", API_PODS, f"Service {FRONT}"],
            all_of(scaling(API, 0), renaming_the_namespace),
        )
    ],
]


def predict(before: Sequence[Manifest], after: Sequence[Manifest]) -> list[Consequence]:
    (found,) = stored([(before, after)])
    return consequences(found.situation(None))
