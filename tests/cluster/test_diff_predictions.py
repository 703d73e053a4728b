"""What `make diff` says will happen, beside what the cluster does when it is given the same change.

The rounds build on each other: what one has changed stays changed in the next. Changes of one round touch different
objects, so that each has one cause. What is refused is taken back.
"""

import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.conftest import DEPLOYMENTS, Cluster, Measure, Release, eventually
from tests.support.clones import change_banner
from tools.diff import compare_with_cluster
from tools.diff.changes import Identity, identity
from tools.diff.consequences import Consequence, consequences
from tools.diff.rules import Effect, Situation
from tools.manifests import Manifest
from tools.render import render
from tools.repository import OVERLAYS, REPOSITORY

Outcome = dict[str, set[Effect]]
API, FRONT = DEPLOYMENTS
API_PODS, FRONT_PODS = (f"Deployment {name}" for name in DEPLOYMENTS)
OTHER_NAMESPACE = "datapress-dev-renamed"
# What can be seen from outside; that nothing else restarts is seen too.
SEEN = {Effect.REFUSED, Effect.RESTARTS, Effect.SCALES, Effect.CREATED, Effect.LEFT}
VERSIONS = {"Deployment": "apps/v1", "Job": "batch/v1", "NetworkPolicy": "networking.k8s.io/v1"}
VERSIONS["PodDisruptionBudget"] = "policy/v1"


class Overlay:
    """A copy of the dev overlay, to edit."""

    def __init__(self, into: Path, images: Mapping[str, str]) -> None:
        self.images = images
        self.deploy = into / "deploy"
        shutil.copytree(OVERLAYS.parent, self.deploy)
        self.directory = self.deploy / "overlays" / "dev"
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
    return of_pods(name, containers=[{"name": name.removeprefix("datapress-"), **container}])


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


def another_image(overlay: Overlay) -> None:
    """The same image by its other name, so that the new pods run."""
    name, _, tag = overlay.images[API].rpartition(":")

    def change(kustomization: dict[str, Any]) -> None:
        (found,) = [item for item in kustomization["images"] if item["name"].endswith("/api")]
        found |= {"newName": name, "newTag": tag}

    overlay.change(change)


def reversing_variables(overlay: Overlay) -> None:
    (front,) = [item for item in overlay.render() if identity(item).name == FRONT and item["kind"] == "Deployment"]
    variables = front["spec"]["template"]["spec"]["containers"][0]["env"]
    setting("Deployment", FRONT, "/spec/template/spec/containers/0/env", variables[::-1])(overlay)


def renaming_the_namespace(overlay: Overlay) -> None:
    file = overlay.directory / "namespace.yaml"
    file.write_text(file.read_text().replace("name: datapress-dev", f"name: {OTHER_NAMESPACE}"))
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
DEFAULTS = {
    "imagePullPolicy": "IfNotPresent",
    "terminationMessagePolicy": "File",
    "ports": [{"containerPort": 8000, "protocol": "TCP"}],
    "livenessProbe": {"successThreshold": 1},
    "resources": {"requests": {"cpu": "0.1"}},
}
ADDED = ["ConfigMap extra", "Job extra", "NetworkPolicy default-deny", "PodDisruptionBudget datapress-api"]
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
                FRONT, env=[{"name": "API_SERVER", "value": f"{API}.datapress-dev.svc.cluster.local:80 resolve"}]
            ),
        ),
    ],
    [Case("configuration value, in a file", ["ConfigMap datapress-config", API_PODS, FRONT_PODS], banner)],
    [
        Case(
            "secret value",
            ["Secret datapress-secret", API_PODS],
            generating("secretGenerator", "datapress-secret", "DB_PASSWORD=demo-another"),
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
        Case("node port", [f"Service {FRONT}"], setting("Service", FRONT, "/spec/ports/0/nodePort", 30083)),
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
            ["Namespace datapress-dev"],
            merging(
                "Namespace", "datapress-dev", metadata={"labels": {"pod-security.kubernetes.io/audit": "baseline"}}
            ),
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
            merging("Service", "extra", spec={"ports": [{"port": 80, "nodePort": 30084}]}),
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
            ["NetworkPolicy default-deny", "PodDisruptionBudget datapress-api", "Job extra"],
            all_of(
                lambda overlay: overlay.change(lambda kustomization: kustomization.pop("components")),
                removing("Job", "extra"),
            ),
        )
    ],
    [
        Case(
            "namespace renamed",
            ["Namespace datapress-dev", f"Namespace {OTHER_NAMESPACE}", API_PODS, f"Service {FRONT}"],
            all_of(scaling(API, 0), renaming_the_namespace),
        )
    ],
]


def predict(before: Sequence[Manifest], after: Sequence[Manifest]) -> list[Consequence]:
    return consequences(Situation(before, after))


def outcome_of(predicted: Sequence[Consequence]) -> Outcome:
    """Return what is predicted of each object, as far as it can be seen."""
    found: Outcome = defaultdict(set)
    for one in predicted:
        if one.effect in SEEN:
            found[one.object].add(one.effect)
    return dict(found)


# --- what the cluster does


@dataclass(frozen=True)
class Running:
    """A Deployment as it runs.

    Attributes:
        template: names its current pod template
        replicas: how many pods it wants
        pods: the template of each pod that is not on its way out, by the pod's UID
        settled: whether its controller has seen it and begun to act
    """

    template: str
    replicas: int
    pods: dict[str, str]
    settled: bool

    def current(self) -> set[str]:
        """Return the pods of the current template."""
        return {uid for uid, template in self.pods.items() if template == self.template}


def running(cluster: Cluster, namespace: str) -> dict[str, Running]:
    """Return the Deployments by their names."""
    objects = cluster.objects("deployments,replicasets,pods", namespace)
    return {item["metadata"]["name"]: _running(item, objects) for item in objects if item["kind"] == "Deployment"}


def _running(deployment: Manifest, objects: Sequence[Manifest]) -> Running:
    revision = "deployment.kubernetes.io/revision"
    hashes = {
        item["metadata"]["annotations"].get(revision): item["metadata"]["labels"]["pod-template-hash"]
        for item in objects
        if item["kind"] == "ReplicaSet" and _owner(item) == deployment["metadata"]["uid"]
    }
    pods = {
        item["metadata"]["uid"]: item["metadata"]["labels"]["pod-template-hash"]
        for item in objects
        if item["kind"] == "Pod"
        and item["metadata"]["labels"]["app.kubernetes.io/name"] == deployment["metadata"]["name"]
        and "deletionTimestamp" not in item["metadata"]
    }
    replicas = deployment["spec"]["replicas"]
    current = hashes.get(deployment["metadata"].get("annotations", {}).get(revision), "")
    seen = deployment.get("status", {}).get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    # In a rollout there are more pods than replicas: it is enough that the first new one is there.
    enough = current in pods.values() and len(pods) >= replicas if replicas else not pods
    fewer = len(pods) > replicas and set(pods.values()) == {current}
    return Running(current, replicas, pods, bool(current) and seen and enough and not fewer)


def _owner(manifest: Manifest) -> str:
    owners = manifest["metadata"].get("ownerReferences", [])
    return str(owners[0]["uid"]) if owners else ""


def happened(before: Running, after: Running) -> set[Effect]:
    """Return what a Deployment did; the pods of former templates are on their way out and do not count."""
    if not after.replicas and not before.replicas:
        assert not after.pods
        return set()
    old, new = before.current(), after.current()
    if after.template != before.template:
        assert new - before.pods.keys(), "there is a new template and no new pod"
        return {Effect.RESTARTS}
    if after.replicas != before.replicas:
        assert len(old & new) == min(after.replicas, before.replicas), "pods that should have stayed are gone"
        return {Effect.SCALES}
    assert new == old, "pods came or went, and neither a new template nor the replicas tell why"
    return set()


class Trial:
    """The dev environment on the cluster, and the copy of its overlay that is applied there."""

    def __init__(self, release: Release, overlay: Overlay) -> None:
        self.release, self.overlay = release, overlay
        self.manifests = overlay.render()
        self.running = self.settle()

    def settle(self) -> dict[str, Running]:
        """Wait until each controller has seen its Deployment and begun to act, and return what runs then."""
        seen: dict[str, Running] = {}

        def settled() -> bool:
            seen.update(running(self.release.cluster, self.release.namespace))
            return all(one.settled for one in seen.values())

        eventually(settled, 60, "the controllers have acted")
        return seen

    def finish(self) -> None:
        """Wait until no rollout goes on."""
        self.release.cluster.wait_for_rollout(self.release.namespace)
        self.running = self.settle()

    def apply(self) -> Outcome:
        """Apply the copy, and return what happened to each object; what was refused is taken back from the copy."""
        after = self.overlay.render()
        applied = self.release.cluster.try_kubectl("apply", "-k", self.overlay.directory)
        words = {line.split()[0]: line.split()[-1] for line in applied.stdout.splitlines()}
        found: Outcome = defaultdict(set)
        for manifest in after:
            word = words.get(_resource(manifest))
            if word in {None, "created"}:
                found[str(identity(manifest))].add(Effect.CREATED if word else Effect.REFUSED)
        for name in self.left(after):
            found[name].add(Effect.LEFT)
        if applied.returncode:
            self.overlay.take_back()
        else:
            self.manifests = after
        before, self.running = self.running, self.settle()
        for name, now in self.running.items():
            found[f"Deployment {name}"] |= happened(before[name], now)
        assert bool(applied.returncode) == any(Effect.REFUSED in effects for effects in found.values()), applied.stderr
        return {name: effects for name, effects in found.items() if effects}

    def left(self, after: Sequence[Manifest]) -> set[str]:
        """Return what is there and no longer wanted; of a namespace that is not, the namespace alone."""
        wanted = {_place(item) for item in after}
        gone = [item for item in self.manifests if _place(item) not in wanted]
        if not gone:
            return set()
        got = self.release.cluster.kubectl("get", "-f", "-", "-o", "name", stdin=yaml.safe_dump_all(gone))
        assert len(got.splitlines()) == len(gone), "'kubectl apply -k' has removed something"
        namespaces = [item for item in gone if item["kind"] == "Namespace"]
        return {str(identity(item)) for item in namespaces or gone}


def _place(manifest: Manifest) -> tuple[str, str, str]:
    metadata = manifest["metadata"]
    return manifest["kind"], metadata.get("namespace", ""), metadata["name"]


def _resource(manifest: Manifest) -> str:
    """Return what kubectl calls it when it tells what it has done."""
    key: Identity = identity(manifest)
    kind = f"{key.kind}.{key.group}" if key.group else key.kind
    return f"{kind.lower()}/{manifest['metadata']['name']}"


@pytest.fixture(scope="module")
def trial(dev: Release, images: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    dev.cluster.wait_for_rollout(dev.namespace)
    yield Trial(dev, Overlay(tmp_path_factory.mktemp("diff"), images))
    kubectl = dev.cluster.kubectl
    kubectl("delete", f"namespace/{OTHER_NAMESPACE}", "--ignore-not-found", "--timeout=120s")
    kubectl("delete", "networkpolicies,poddisruptionbudgets", "--all", "-n", dev.namespace)
    kubectl("delete", "-f", "-", "-n", dev.namespace, "--ignore-not-found", stdin=yaml.safe_dump_all(EXTRAS))
    kubectl("apply", "-k", OVERLAYS / dev.name)


@pytest.mark.parametrize("cases", ROUNDS, ids=lambda cases: ", ".join(case.what for case in cases))
def test_what_is_predicted_is_what_happens(trial: Trial, measure: Measure, cases: list[Case]) -> None:
    trial.overlay.save()
    for case in cases:
        case.edit(trial.overlay)
    predicted = outcome_of(predict(trial.manifests, trial.overlay.render()))
    if any(Effect.SCALES in effects for effects in predicted.values()):
        # In the middle of a rollout, Kubernetes shares new replicas out between the old pods and the new ones.
        trial.finish()
    observed = trial.apply()
    for case in cases:
        for name in case.objects:
            measure(f"diff: {case.what}: {name}", f"{_words(predicted, name)} / {_words(observed, name)}")
    assert observed == predicted


def _words(outcome: Outcome, name: str) -> str:
    return ", ".join(sorted(outcome.get(name, {Effect.STAYS})))


def test_a_rollout_takes_at_least_what_is_predicted(trial: Trial, measure: Measure) -> None:
    """Two pods one after the other, and beside them one that ends before its successor starts."""
    overlay = trial.overlay
    all_of(scaling(API, 2), scaling(FRONT, 1))(overlay)
    trial.finish()
    trial.apply()
    trial.finish()
    recreate = {"strategy": {"type": "Recreate", "rollingUpdate": None}}
    all_of(*(of_container(name, env=[{"name": "A", "value": "c"}]) for name in DEPLOYMENTS))(overlay)
    merging("Deployment", FRONT, spec=recreate)(overlay)
    predicted = {one.object: one.seconds for one in predict(trial.manifests, overlay.render()) if one.seconds}
    assert predicted.keys() == {API_PODS, FRONT_PODS}

    started = time.monotonic()
    trial.release.cluster.kubectl("apply", "-k", overlay.directory)
    took: dict[str, float] = {}

    def done() -> bool:
        for deployment in trial.release.cluster.objects("deployments", trial.release.namespace):
            if _is_complete(deployment):
                took.setdefault(str(identity(deployment)), time.monotonic() - started)
        return took.keys() == predicted.keys()

    eventually(done, 120, "both rollouts are complete")
    trial.manifests = overlay.render()
    trial.finish()
    for name, seconds in predicted.items():
        measure(f"diff: rollout of {name}: at least / really", f"{seconds} s / {took[name]:.1f} s")
        # Kubernetes counts minReadySeconds from a whole second: for each pod, it may be one less.
        assert took[name] > seconds - 2


def _is_complete(deployment: Manifest) -> bool:
    status, wanted = deployment["status"], deployment["spec"]["replicas"]
    counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")]
    return status["observedGeneration"] >= deployment["metadata"]["generation"] and counts == [wanted] * len(counts)


def test_live_asks_the_cluster_itself(trial: Trial) -> None:
    overlay = trial.overlay
    shutil.copytree(REPOSITORY / "argocd", overlay.deploy.with_name("argocd"))
    of_container(API, env=[{"name": "A", "value": "live"}])(overlay)
    merging("Service", API, spec={"clusterIP": "None"})(overlay)
    before = trial.settle()

    found = {one.environment: one for one in compare_with_cluster(overlay.deploy.parent)}["dev"]

    assert trial.settle() == before, "it has changed something"
    changed = {
        str(one.identity): [field.path for field in one.fields] for one in found.changes if one.kind == "changed"
    }
    assert changed == {API_PODS: ["spec.template.spec.containers[api].env[A].value"]}
    (refusal,) = found.refusals
    assert (refusal.object, refusal.text.partition(":")[0]) == (f"Service {API}", "the API server says")
    assert "clusterIP" in refusal.text
    assert [one.object for one in found.consequences if one.effect is Effect.RESTARTS] == [API_PODS]
    left = {str(one.identity) for one in found.changes if one.kind == "removed"}
    assert {"Job extra", "NetworkPolicy default-deny"} < left
    assert {one.kind for one in found.changes} == {"changed", "removed"}
