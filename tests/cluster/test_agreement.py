"""What tools/dryrun says of thousands of objects, each with one thing wrong, is what the API server says of them."""

import copy
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, groupby

import pytest

from tests.cases.pods import CHANGES
from tests.cluster.agreement import SHOWN, Mutant, judge
from tests.support.api_server import ApiServer
from tests.support.cluster import Cluster, Measure
from tests.support.mutations import mutations
from tests.support.product import FOLLOWED, PREFIX
from tests.support.waiting import eventually
from tools.dryrun import Answer, Request, ask
from tools.manifests import Manifest, get, pods_of
from tools.render import render, render_deployed
from tools.repository import OVERLAYS, REPOSITORY, followed

pytestmark = pytest.mark.timeout(600)

NAMESPACE = f"{PREFIX}-agreement"
NODE_PORT = 31234
ASKED, PODS = 1000, 300  # of each at least
WATCHED = ("Deployment", "PodDisruptionBudget", "ValidatingAdmissionPolicy")


@pytest.fixture(scope="module")
def server(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> ApiServer:
    """The API server, of the version for which the program speaks."""
    assert cluster
    server = ApiServer(tmp_path_factory.mktemp("certificates"))
    assert server.version() == ask([]).kubernetes
    return server


@dataclass(frozen=True)
class Here:
    """What the cluster has.

    Attributes:
        namespace: the one of these tests
        definitions: of the kinds beside Kubernetes' own
    """

    namespace: Manifest
    definitions: dict[str, Manifest]

    def ask(self, mutants: Sequence[Mutant], *, there: bool = False) -> list[Answer]:
        """Return what the program says of each; `there` is whether the cluster has them without what is wrong."""
        # The definitions are long, so what is of such a kind is asked about together.
        groups = [
            (kind in self.definitions, list(group))
            for kind, group in groupby(mutants, key=lambda one: str(one.origin["kind"]))
        ]
        requests = [
            Request(
                [one.sent for one in together],
                [self.namespace, *filter(None, [self.definitions.get(together[0].origin["kind"])])]
                + [one.origin for one in together[:1] if there],
            )
            for custom, group in groups
            for together in (_by_origin(group) if custom else [[one] for one in group])
        ]
        return [one for answers in ask(requests).answers for one in answers]


def _by_origin(mutants: Sequence[Mutant]) -> list[list[Mutant]]:
    return [list(group) for _, group in groupby(mutants, key=lambda one: str(one.origin["metadata"]["name"]))]


@pytest.fixture(scope="module")
def here(cluster: Cluster) -> Iterator[Here]:
    """A namespace, and the kinds that the cluster has beside Kubernetes' own."""
    listed = json.loads(cluster.kubectl("get", "customresourcedefinitions", "-o", "json"))["items"]
    cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=90s")
    cluster.kubectl("create", "namespace", NAMESPACE)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    yield Here(namespace, {one["spec"]["names"]["kind"]: one for one in listed})
    cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture(scope="module")
def objects() -> list[Manifest]:
    """What the repository deploys, so that it disturbs nobody: in a namespace of its own, without a pod."""
    found = [one for name in followed() for one in render_deployed(name)]
    found += [*render(OVERLAYS.parent / "platform"), *render(REPOSITORY / "argocd")]
    for manifest in found:
        if "namespace" in manifest["metadata"]:
            manifest["metadata"]["namespace"] = NAMESPACE
        manifest["metadata"]["name"] = f"{manifest['metadata']['name']}-agreement"
        # Nobody here would do what it waits for.
        manifest["metadata"].pop("finalizers", None)
        match manifest["kind"]:
            case "Deployment":
                manifest["spec"]["replicas"] = 0
            case "Job":
                manifest["spec"]["suspend"] = True
            case "Service" if "nodePort" in manifest["spec"]["ports"][0]:
                manifest["spec"]["ports"][0]["nodePort"] = NODE_PORT
    return found


@pytest.fixture(scope="module")
def mutants(objects: list[Manifest]) -> list[Mutant]:
    """One in three of them: some for every field, in a minute."""
    return [Mutant(what, sent, origin) for origin in objects for what, sent in mutations(origin)][::3]


def test_objects_that_are_new(server: ApiServer, here: Here, mutants: list[Mutant], measure: Measure) -> None:
    verdicts = server.all([partial(server.create, one.sent, one.origin) for one in mutants])
    assert judge(mutants, here.ask(mutants), verdicts) == []
    assert min(sum(one.refuses for one in verdicts), sum(not one.refuses for one in verdicts)) > ASKED // 10
    assert len(mutants) >= ASKED
    measure("creations-judged", len(mutants))


def test_objects_that_are_there(
    server: ApiServer, here: Here, there: dict[str, Manifest], mutants: list[Mutant], measure: Measure
) -> None:
    staying = [one for one in mutants if one.keeps_its_name]
    sent = [as_applied(one, there[server.key(one.origin)]) for one in staying]
    verdicts = server.all([partial(server.update, one, at.origin) for one, at in zip(sent, staying, strict=True)])
    assert judge(staying, here.ask(staying, there=True), verdicts) == []
    assert len(staying) >= ASKED
    measure("updates-judged", len(staying))


@pytest.fixture
def there(cluster: Cluster, server: ApiServer, here: Here, objects: list[Manifest]) -> Iterator[dict[str, Manifest]]:
    """The objects as the cluster keeps them, by where they are."""
    assert here
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    try:
        cluster.kubectl("create", "-f", "-", stdin=listed)
        watched = [one for one in objects if one["kind"] in WATCHED]
        eventually(lambda: all(map(partial(is_seen, server), watched)), 60, "their controllers have seen the objects")
        yield {server.key(one): server.get(one) for one in objects}
    finally:
        cluster.kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", stdin=listed)


def is_seen(server: ApiServer, manifest: Manifest) -> bool:
    """Tell whether a controller has written its status; before, an update may meet a newer version."""
    return get(server.get(manifest), ("status", "observedGeneration")) is not None


def as_applied(mutant: Mutant, live: Manifest) -> Manifest:
    """Return what applying makes of an object that is there: what the API server added to it stays."""
    sent = copy.deepcopy(mutant.sent)
    sent["metadata"].setdefault("resourceVersion", live["metadata"]["resourceVersion"])
    template = get(sent, ("spec", "template"))
    if live["kind"] == "Job" and isinstance(template, dict):
        sent["spec"].setdefault("selector", live["spec"]["selector"])
        template["metadata"] = template.get("metadata") or {}
        if isinstance(template["metadata"], dict) and isinstance(template["metadata"].get("labels") or {}, dict):
            own = get(mutant.origin, ("spec", "template", "metadata", "labels")) or {}
            labels = get(live, ("spec", "template", "metadata", "labels"))
            added = {key: value for key, value in labels.items() if key not in own}
            template["metadata"]["labels"] = (template["metadata"].get("labels") or {}) | added
    return sent


# --- Pod Security


@pytest.fixture
def restricted(cluster: Cluster) -> Iterator[Manifest]:
    """A namespace labelled as an overlay labels its own."""
    (found,) = [one for one in render(OVERLAYS / FOLLOWED) if one["kind"] == "Namespace"]
    found["metadata"]["name"] = f"{NAMESPACE}-pods"
    name = found["metadata"]["name"]
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(found))
    # A pod is refused as long as its service account is not there.
    account = ("get", "serviceaccount/default", "-n", name)
    eventually(lambda: cluster.try_kubectl(*account).returncode == 0, 30, "the namespace has its service account")
    yield found
    cluster.kubectl("delete", f"namespace/{name}", "--wait=false")


def changed_pods(namespace: str) -> dict[str, Manifest]:
    """Return a pod of the product for each change, and for one pair of changes in three."""
    (first, *_) = pods_of(render(OVERLAYS / FOLLOWED))
    spec = {key: value for key, value in first.spec.items() if key != "serviceAccountName"}
    pods: dict[str, Manifest] = {}
    for pair in [*((one,) for one in CHANGES), *[*combinations(CHANGES, 2)][::3]]:
        pod = copy.deepcopy(spec)
        for name in pair:
            CHANGES[name](pod)
        metadata = {"name": f"p{len(pods)}", "namespace": namespace}
        pods[" and ".join(pair)] = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod}
    return pods


def test_pods_under_pod_security(server: ApiServer, restricted: Manifest, measure: Measure) -> None:
    pods = changed_pods(restricted["metadata"]["name"])
    answers = [one for (one,) in ask([Request([pod], [restricted]) for pod in pods.values()]).answers]
    verdicts = server.all([partial(server.create, pod) for pod in pods.values()])
    wrong = []
    for what, said, real in zip(pods, answers, verdicts, strict=True):
        refused = [one for one in said.findings if one.refuses]
        by = {one.by for one in refused}
        # A cluster may allow nobody a privileged container, whatever the namespace says: --allow-privileged=false.
        if "disallowed by cluster policy" in real.message and any(one.reason == "privileged" for one in refused):
            continue
        words = [one.message.partition(": ")[2] for one in refused if one.by == "pod-security"]
        # What is not valid is refused before its security is judged.
        same = (
            real.refuses
            if "validation" in by
            else all(one in real.message for one in words) and bool(words) == real.refuses
        )
        if not same:
            wrong.append(f"{what}: the API server says {real.message}, the program {refused}")
    assert wrong[:SHOWN] == []
    refusals = sum("PodSecurity" in one.message for one in verdicts)
    assert min(refusals, sum(not one.refuses for one in verdicts)) > PODS // 10
    assert len(pods) >= PODS
    measure("pods-judged", len(pods))
    measure("pods-refused", refusals)


# --- the platform's policies


@pytest.fixture
def policies(cluster: Cluster, here: Here) -> Iterator[list[Manifest]]:
    """The platform's, bound to the namespace of these tests."""
    bound = render(OVERLAYS.parent / "platform")
    for manifest in bound:
        if manifest["kind"] == "ValidatingAdmissionPolicyBinding":
            labels = {"matchLabels": {"kubernetes.io/metadata.name": here.namespace["metadata"]["name"]}}
            manifest["spec"]["matchResources"]["namespaceSelector"] = labels
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": bound})
    try:
        cluster.kubectl("apply", "-f", "-", stdin=listed)
        yield bound
    finally:
        cluster.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=listed)


def workloads(objects: Sequence[Manifest]) -> Iterator[Manifest]:
    """Give those that the policies are about, so that these accept them."""
    for manifest in copy.deepcopy([one for one in objects if one["kind"] in ("Deployment", "Job")]):
        for container in manifest["spec"]["template"]["spec"]["containers"]:
            container["image"] = f"{container['image'].partition('@')[0]}@sha256:{64 * '0'}"
        if manifest["kind"] == "Deployment":
            manifest["spec"]["replicas"] = 2
        yield manifest


def test_workloads_under_the_policies(
    server: ApiServer, here: Here, policies: list[Manifest], objects: list[Manifest], measure: Measure
) -> None:
    sent = [one for workload in workloads(objects) for one in [workload, *(one for _, one in mutations(workload))][::3]]
    answers = [one for (one,) in ask([Request([one], [here.namespace, *policies]) for one in sent]).answers]
    # What is not valid is refused before a policy is asked.
    judged = [(one, said) for one, said in zip(sent, answers, strict=True) if not by(said) - {"policy", "pod-security"}]

    def disagreements() -> list[str]:
        verdicts = server.all([partial(server.create, one) for one, _ in judged])
        return [
            f"{real.message or 'accepted'}, but the program: {said.findings}"
            for (_, said), real in zip(judged, verdicts, strict=True)
            if real.refuses != bool(by(said))
            or not (any(one.message in real.message for one in said.findings) or not real.refuses)
        ]

    # An API server takes a while to know them all.
    eventually(lambda: not disagreements()[1:], 30, "the policies are active")
    assert disagreements()[:SHOWN] == []
    refused = [said for _, said in judged if "policy" in by(said)]
    denying = {one.reason for said in refused for one in said.findings}
    assert denying == {one["metadata"]["name"] for one in policies if one["kind"] == "ValidatingAdmissionPolicy"}
    assert len(refused) < len(judged)
    measure("workloads-judged", len(judged))


def by(said: Answer) -> set[str]:
    return {one.by for one in said.findings if one.refuses}
