"""Capacity that follows the load under Argo CD, the component taken as its runbook says.

The test's overlay shortens the wait before pods go from 300 s to 15, lets two go at a time, and lowers the target from
70 % to 40: the load passes it on two processors, the users' traffic alone does not. Nothing else differs from the
component.
"""

import json
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from subprocess import Popen

import pytest

from tests.cluster.gitops.application import NAMESPACE, Builder, Loop, replacing
from tests.cluster.load import flood
from tests.support.clones import make_clone
from tests.support.cluster import Measure, is_ready
from tests.support.commands import commands, run
from tests.support.git import git
from tests.support.product import API, DEPLOYMENTS
from tests.support.waiting import eventually
from tools.render import kubectl

pytestmark = pytest.mark.timeout(420)

FEWEST, SOME = 2, 4
RATE = 250  # requests a second
SHORTENED = """\\g<0>
  - target: {kind: HorizontalPodAutoscaler}
    patch: |-
      - {op: replace, path: /spec/metrics/0/resource/target/averageUtilization, value: 40}
      - {op: replace, path: /spec/behavior/scaleDown/stabilizationWindowSeconds, value: 15}
      - {op: replace, path: /spec/behavior/scaleDown/policies, value: [{type: Pods, value: 2, periodSeconds: 15}]}"""
METRICS = "/apis/metrics.k8s.io/v1beta1/pods"
SYNC = '{.status.sync.revision} {.status.sync.status}{"\\n"}'
REPLICAS = '{.metadata.name} {.spec.replicas}{"\\n"}'


@dataclass
class Watched:
    """All that became of some objects while the context lasted that made it: a line for each change of one."""

    lines: list[list[str]] = field(default_factory=list)

    def by_first(self) -> dict[str, list[str]]:
        """Return what followed each first word, in the order in which it came."""
        found: dict[str, list[str]] = defaultdict(list)
        for first, *others in self.lines:
            found[first] += others
        return found


@contextmanager
def watched(into: Path, namespace: str, what: str, shown: str) -> Iterator[Watched]:
    """Have kubectl write down each change, so that none is missed between two looks."""
    seen = Watched()
    with into.open("w") as output:
        command = [kubectl(), "get", *what.split(), "-n", namespace, "--watch", f"--output=jsonpath={shown}"]
        process = Popen(command, stdout=output)
        try:
            eventually(lambda: into.stat().st_size, 10, "kubectl watches")
            yield seen
            assert process.poll() is None, "kubectl ended before the test"
        finally:
            process.terminate()
            process.wait(10)
            seen.lines += [line.split() for line in into.read_text().splitlines()]


def ready(loop: Loop, name: str) -> int:
    return sum(map(is_ready, loop.cluster.pods(NAMESPACE, name)))


def asked(loop: Loop, name: str) -> int:
    replicas: int = loop.get("Deployment", name)["spec"]["replicas"]
    return replicas


def measured(loop: Loop) -> bool:
    """Whether each autoscaler knows what its pods use."""
    scalers = loop.cluster.objects("horizontalpodautoscalers", NAMESPACE)
    conditions = [one for scaler in scalers for one in scaler.get("status", {}).get("conditions", [])]
    active = [one["status"] for one in conditions if one["type"] == "ScalingActive"]
    return active == ["True"] * len(DEPLOYMENTS)


@pytest.fixture(scope="module")
def loop_with_metrics(loop: Loop) -> Loop:
    if loop.cluster.try_kubectl("get", "--raw", METRICS).returncode:
        pytest.skip("the cluster has no metrics.k8s.io: docs/runbooks/mettre-a-l-echelle.md, section 1, installs it")
    return loop


@pytest.fixture(scope="module")
def taken(
    loop_with_metrics: Loop, bootstrap: Callable[[], Loop], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, list[str]]]:
    """The component, taken by the runbook's commands; how many pods each Deployment was asked for meanwhile."""
    loop, scratch = loop_with_metrics, tmp_path_factory.mktemp("autoscaling")
    before = loop.source.head()
    clone = make_clone(Path(loop.source.git("remote", "get-url", "origin")), scratch / "clone")
    eventually(lambda: _lists_pods(loop, clone), 90, "the pods are measured")
    run(commands("autoscaling-commit"), clone)
    replacing(r"(?m)^patches:$", SHORTENED)(clone)
    git(clone, "commit", "--quiet", "--all", "--message=Let the load decide")
    # What a fork does; the test's repository is one.
    application = clone / "argocd" / "application.yaml"
    application.write_text(re.sub(r"repoURL: .*", f"repoURL: {loop.source.url}", application.read_text()))
    try:
        with watched(scratch / "replicas", NAMESPACE, "deployments", REPLICAS) as seen:
            run(commands("autoscaling-hand-over"), clone)
            git(clone, "push", "--quiet", "origin", "HEAD:main")
            loop.source.pull()
            loop.wait(loop.source.head())
            eventually(lambda: measured(loop), 60, "the autoscalers know what the pods use")
        yield seen.by_first()
    finally:
        loop.source.restore(before)
        loop.wait(loop.source.head())
        bootstrap()


def _lists_pods(loop: Loop, clone: Path) -> bool:
    done = loop.cluster.try_kubectl("get", "--raw", METRICS.replace("pods", f"namespaces/{NAMESPACE}/pods"))
    return len(json.loads(done.stdout)["items"]) >= FEWEST * len(DEPLOYMENTS) and bool(
        run(commands("autoscaling-metrics"), clone)
    )


def test_the_number_changes_hands_without_a_pod_less(taken: dict[str, list[str]]) -> None:
    assert {name: set(numbers) for name, numbers in taken.items()} == {name: {str(FEWEST)} for name in DEPLOYMENTS}


@pytest.mark.usefixtures("taken")
def test_capacity_follows_the_load(loop: Loop, builder: Builder, measure: Measure, tmp_path: Path) -> None:
    commit, digest = builder.release("A version for many")
    eventually(lambda: loop.settled(commit), 60, "Argo CD has seen the commit")
    with watched(tmp_path / "sync", "argocd", f"application {loop.name}", SYNC) as seen:
        with flood(f"{loop.url}/api/", RATE, tmp_path / "flood") as many, loop.lossless("load-to-capacity", measure):
            grow_and_promote(loop, builder, measure, commit, digest)
            told = run(commands("autoscaling-look"), tmp_path)
            assert re.search(rf"{API} .*cpu: \d+%/40%", told), told
        shrink_and_evict(loop, measure)
    measure("autoscaling: requests beside those of users, and failed", f"{many.requests}, {sum(many.failed.values())}")
    assert (many.failed, many.requests > RATE) == ({}, True)
    for revision, states in seen.by_first().items():
        since = states[states.index("Synced") :]
        measure(f"autoscaling: looks at {revision[:12]} once it was synced", ", ".join(sorted(set(since))))
        assert set(since) == {"Synced"}


def grow_and_promote(loop: Loop, builder: Builder, measure: Measure, commit: str, digest: str) -> None:
    """Wait for capacity, and promote an image as soon as the first pods more are asked for."""
    started = time.monotonic()
    eventually(lambda: asked(loop, API) > FEWEST, 120, "more pods of the API are asked for")
    assert asked(loop, API) > ready(loop, API), "they are there already"
    promotion = builder.promote(commit, digest)
    promoted = time.monotonic()
    eventually(lambda: ready(loop, API) >= SOME, 60, "four pods of the API serve")
    measure("load-to-capacity", time.monotonic() - started)
    eventually(lambda: loop.served_revision() == commit, 120, "the new version is served")
    measure("scaled-promotion", time.monotonic() - promoted)
    loop.wait(promotion)
    assert loop.serves_only(commit)


def shrink_and_evict(loop: Loop, measure: Measure) -> None:
    """Evict every pod that is there, as a drain does; on the one node, replacements must find a place."""
    started, most = time.monotonic(), asked(loop, API)
    with loop.lossless("load-to-rest", measure):
        eventually(lambda: asked(loop, API) < most, 120, "fewer pods are asked for")
        with ThreadPoolExecutor() as pool:
            list(pool.map(partial(_evict, loop), DEPLOYMENTS))
        eventually(
            lambda: {asked(loop, name) for name in DEPLOYMENTS} == {FEWEST}, 120, "two pods of each are asked for"
        )
        eventually(lambda: ready(loop, API) == FEWEST, 60, "two pods of the API serve")
        seconds = time.monotonic() - started
    measure("load-to-rest", seconds)


def _evict(loop: Loop, name: str) -> None:
    for pod in loop.cluster.pods(NAMESPACE, name):
        eventually(partial(_goes, loop, pod["metadata"]["name"]), 120, "the budget lets the pod go")


def _goes(loop: Loop, pod: str) -> bool:
    """Whether a pod is evicted, or was gone before; the budget says no as long as too few are ready."""
    done = loop.cluster.evict(NAMESPACE, pod)
    assert done.returncode == 0 or "disruption budget" in done.stderr or "NotFound" in done.stderr, done.stderr
    return "disruption budget" not in done.stderr
