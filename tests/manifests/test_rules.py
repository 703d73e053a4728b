"""The rules of `make check`, on the objects of each environment as it is deployed: most relations are theirs."""

from collections.abc import Iterator

import pytest

import tools.check  # noqa: F401 - it has the rules register themselves
from tools.check.apiserver import judge
from tools.check.catalogue import RULES, Scope, of
from tools.check.rendering import Problem, Rendering, Tree
from tools.manifests import is_of_kubernetes
from tools.repository import OVERLAYS, REPOSITORY

# Of those between environments, the ones that are about each by itself; they read the files of argocd/.
OF_ONE = ("host", "namespace", "project")
TREE = Tree(REPOSITORY, OVERLAYS.parent, REPOSITORY)


def problems(rendering: Rendering) -> Iterator[Problem]:
    (answers,) = judge(TREE, [rendering])
    for rule in of(Scope.JUDGED):
        yield from rule.find(rendering, answers)
    for rule in of(Scope.RENDERING):
        yield from rule.find(rendering)
    for name in OF_ONE:
        yield from RULES[name].find(TREE, [rendering])


def test_objects_of_kubernetes_are_of_a_kind_that_it_has(rendering: Rendering) -> None:
    """Of others, such as a ServiceMonitor, only the cluster knows the definition."""
    (answers,) = judge(TREE, [rendering])
    pairs = zip(rendering.objects, answers, strict=True)
    own = [(one["kind"], said.known) for one, said in pairs if is_of_kubernetes(one)]
    assert [kind for kind, known in own if not known] == []


def test_make_check_has_nothing_to_correct(rendering: Rendering) -> None:
    assert next((problem.reason for problem in problems(rendering) if not problem.note), None) is None


@pytest.mark.parametrize("rule", ["service-port", "policy-port", "probe-port"])
def test_every_port_is_one_that_a_container_declares(rendering: Rendering, rule: str) -> None:
    """By its number another would be legal, so elsewhere it is only a note."""
    assert list(RULES[rule].find(rendering)) == []
