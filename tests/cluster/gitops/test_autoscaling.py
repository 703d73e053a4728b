"""The component autoscaling under Argo CD, taken as its runbook says."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen

import pytest

from tests.cluster.gitops.application import NAMESPACE, Loop, following
from tests.support.commands import commands, run
from tests.support.git import git
from tests.support.product import DEPLOYMENTS
from tests.support.waiting import eventually
from tools.render import kubectl

pytestmark = pytest.mark.timeout(420)

FEWEST = 2
METRICS = "/apis/metrics.k8s.io/v1beta1/pods"
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
    clone = loop.source.clone(scratch / "clone")
    eventually(lambda: _lists_pods(loop, clone), 90, "the pods are measured")
    run(commands("autoscaling-commit"), clone)
    git(clone, "commit", "--quiet", "--all", "--message=Let the load decide")
    following(loop.source.url)(clone)  # the test's repository is a fork
    with loop.as_before(bootstrap):
        with watched(scratch / "replicas", NAMESPACE, "deployments", REPLICAS) as seen:
            run(commands("autoscaling-hand-over"), clone)
            loop.wait(loop.source.take(clone))
            eventually(lambda: measured(loop), 60, "the autoscalers know what the pods use")
        yield seen.by_first()


def _lists_pods(loop: Loop, clone: Path) -> bool:
    done = loop.cluster.try_kubectl("get", "--raw", METRICS.replace("pods", f"namespaces/{NAMESPACE}/pods"))
    return len(json.loads(done.stdout)["items"]) >= FEWEST * len(DEPLOYMENTS) and bool(
        run(commands("autoscaling-metrics"), clone)
    )


def test_the_number_changes_hands_without_a_pod_less(loop: Loop, taken: dict[str, list[str]], tmp_path: Path) -> None:
    assert {name: set(numbers) for name, numbers in taken.items()} == {name: {str(FEWEST)} for name in DEPLOYMENTS}
    told = run(commands("autoscaling-look"), tmp_path)
    assert [bool(re.search(rf"{name} .*cpu: \d+%/70%", told)) for name in DEPLOYMENTS] == [True, True], told
    assert loop.settled(loop.source.head())
