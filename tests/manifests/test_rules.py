"""The rules of `make check`, on the objects of each environment as it is deployed: most relations are theirs."""

import re
from collections.abc import Iterator
from copy import copy

import tools.check  # noqa: F401 - it has the rules register themselves
from tools.check.catalogue import RULES, Scope, of
from tools.check.rendering import Problem, Rendering, Tree
from tools.manifests import group_of
from tools.repository import REPOSITORY

# Of those between environments, the ones that are about each by itself; they read the files of argocd/.
OF_ONE = ("host", "namespace", "project")
TREE = Tree(REPOSITORY, REPOSITORY)


def problems(rendering: Rendering) -> Iterator[Problem]:
    yield from RULES["schema"].find(rendering)
    for rule in of(Scope.RENDERING):
        yield from rule.find(rendering)
    for name in OF_ONE:
        yield from RULES[name].find(TREE, [rendering])


def test_objects_of_kubernetes_have_a_form_that_it_knows(rendering: Rendering) -> None:
    """The form of others, such as a ServiceMonitor, nothing here can check."""
    own = copy(rendering)
    own.__dict__["objects"] = [one for one in rendering.objects if re.fullmatch(r"\w*|.*\.k8s\.io", group_of(one))]
    assert list(RULES["schema"].find(own)) == []


def test_make_check_has_nothing_to_correct(rendering: Rendering) -> None:
    assert next((problem.reason for problem in problems(rendering) if not problem.note), None) is None
