"""What `make diff` says will happen, beside what the cluster does when it is given the same change."""

import shutil
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
import yaml

from documents.facts import promises
from tests.cases.changes import (
    API_PODS,
    EXTRAS,
    FRONT_PODS,
    OTHER_NAMESPACE,
    ROUNDS,
    Case,
    Overlay,
    all_of,
    merging,
    of_container,
    predict,
    scaling,
)
from tests.support.cluster import Cluster, Measure, Release
from tests.support.product import BY_HAND, DEPLOYMENTS
from tests.support.waiting import eventually
from tools.diff import compare_with_cluster
from tools.diff.changes import Identity, identity
from tools.diff.consequences import Consequence
from tools.diff.rules import Effect
from tools.manifests import Manifest
from tools.repository import OVERLAYS, REPOSITORY

Outcome = dict[str, set[Effect]]
API, FRONT = DEPLOYMENTS
# What can be seen from outside; that nothing else restarts is seen too.
SEEN = {Effect.REFUSED, Effect.RESTARTS, Effect.SCALES, Effect.CREATED, Effect.LEFT}


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
    """The environment on the cluster, and the copy of its overlay that is applied there."""

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
def trial(by_hand: Release, images: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    by_hand.cluster.wait_for_rollout(by_hand.namespace)
    yield Trial(by_hand, Overlay(tmp_path_factory.mktemp("diff"), images))
    kubectl = by_hand.cluster.kubectl
    by_hand.cluster.remove(OTHER_NAMESPACE)
    kubectl("delete", "networkpolicies,poddisruptionbudgets,horizontalpodautoscalers", "--all", "-n", by_hand.namespace)
    kubectl("delete", "-f", "-", "-n", by_hand.namespace, "--ignore-not-found", stdin=yaml.safe_dump_all(EXTRAS))
    kubectl("apply", "-k", OVERLAYS / by_hand.name)


def test_as_many_changes_are_tried_as_the_pages_say() -> None:
    assert sum(map(len, ROUNDS)) >= promises()["predicted-changes"]


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
    # What a round has left goes on to act.
    trial.release.kubectl("delete", "horizontalpodautoscalers", "--all")
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

    found = {one.environment: one for one in compare_with_cluster(overlay.deploy.parent)}[BY_HAND]

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
