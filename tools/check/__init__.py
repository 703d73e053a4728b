"""python -m tools check: what is wrong in deploy/, each with the line to change, before a cluster sees it.

Renders every overlay as it is and with every component that it lacks (that is how Argo CD renders recette), and holds
the rules below against the result. docs/decisions/0014-verification-des-overlays.md says which rule is whose.
"""

import argparse
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tools.check import (  # noqa: F401 - their rules register themselves
    apiserver,
    application,
    argocd,
    environments,
    flows,
    gateway,
    kustomizations,
    names,
    sealed,
    secrets,
    workloads,
)
from tools.check.catalogue import RULES, Rule, Scope, of
from tools.check.explain import explain
from tools.check.rendering import Problem, Rendering, Tree, open_tree
from tools.dryrun.program import NotBuiltError
from tools.render import RenderError
from tools.repository import REPOSITORY
from tools.terminal import add_json_option, paint, print_json

# A rule, what it found, and in which environment.
Found = tuple[str, Problem, str]


@dataclass(order=True)
class Finding:
    """What is reported.

    Attributes:
        file: relative to the directory that is checked
        line: the line to change
        rule: the rule's name
        reason: what is wrong
        advice: what to do
        note: whether it is only worth knowing
        environments: where it shows
    """

    file: str
    line: int
    rule: str
    reason: str
    advice: str
    note: bool
    environments: list[str] = field(default_factory=list)


def check(root: Path = REPOSITORY, *, own: bool = True, live: bool = False) -> list[Finding]:
    """Return what is wrong in a repository, in the order of its files.

    Args:
        root: the repository
        own: whether it keeps the conventions of this one; else only what is wrong in any is
        live: whether the current cluster is asked too, for what only its controller of sealed secrets knows

    Raises:
        RefusedError: if it has no overlay, or the cluster cannot be asked.
    """
    with open_tree(root, own=own) as tree:
        # Nothing can be said of what is no YAML.
        if unreadable := _found(RULES["syntax"], "", tree):
            return _merged(tree, unreadable)
        found, renderings = _rendered(tree)
        if live:
            found += _unreadable(renderings)
        try:
            answers = apiserver.judge(tree, renderings)
        except NotBuiltError as error:
            relations = _relations(tree, renderings, found, judged=False)
            return sorted([*_merged(tree, found + relations), _not_asked(error)])
        pairs = list(zip(renderings, answers, strict=True))
        found += [one for pair in pairs for one in _all(tree, Scope.JUDGED, pair[0].environment, *pair)]
        # The other rules rely on the form of the objects.
        broken = {environment for name, _, environment in found if name == "refused"}
        valid = [one for one in renderings if one.environment not in broken]
        judged = all(answer.known for each in answers for answer in each)
        return _merged(tree, found + _relations(tree, valid, found, judged=judged))


def _found(rule: Rule, environment: str, *given: Any) -> list[Found]:
    return [(rule.name, problem, environment) for problem in rule.find(*given)]


def _found_if_possible(rule: Rule, environment: str, *given: Any) -> list[Found]:
    """Return what a rule finds in objects that perhaps have not the form that it relies on."""
    try:
        return _found(rule, environment, *given)
    except (AttributeError, KeyError, TypeError, ValueError):
        rendering: Rendering = given[0] if rule.scope is Scope.RENDERING else given[-1][0]
        reason = "this cannot be checked: an object that is not checked either has an unusual form"
        return [
            (rule.name, Problem(rendering.sources.last(), reason, "compare it with its definition", True), environment)
        ]


def _all(tree: Tree, scope: Scope, environment: str, *given: Any, judged: bool = True) -> list[Found]:
    """Return what the rules of a scope find.

    Args:
        tree: the repository
        scope: of which rules
        environment: where it is found
        given: what they are given
        judged: whether the API server has said of every object that it has its form
    """
    find = _found if judged else _found_if_possible
    return [
        (name, replace(problem, note=True), where) if rule.closed and not tree.own else (name, problem, where)
        for rule in of(scope, own=tree.own)
        for name, problem, where in find(rule, environment, *given)
    ]


def _rendered(tree: Tree) -> tuple[list[Found], list[Rendering]]:
    """Return what is wrong with the files, and what they render to."""
    found = _all(tree, Scope.FILES, "", tree)
    renderings: list[Rendering] = []
    for overlay in tree.overlays:
        try:
            renderings += tree.renderings(overlay)
        except RenderError as error:
            refusal = RULES["kustomize"]
            found.append((refusal.name, refusal.find(tree, overlay, error), overlay.name))
    return found, renderings


def _unreadable(renderings: list[Rendering]) -> list[Found]:
    """Return the sealed secrets that the current cluster cannot read; what components add has none of its own."""
    plain = [one for one in renderings if not one.added]
    return [("sealed-secret", problem, one.environment) for one, problem in sealed.unreadable_here(plain)]


def _relations(tree: Tree, valid: list[Rendering], before: list[Found], *, judged: bool) -> list[Found]:
    """Return what is wrong between objects, and between renderings, beside what was found before."""
    found = [one for each in valid for one in _all(tree, Scope.RENDERING, each.environment, each, judged=judged)]
    # Half of the environments would look like a difference.
    if {rendering.environment for rendering in valid} == {overlay.name for overlay in tree.overlays}:
        found += _all(tree, Scope.RENDERINGS, "", tree, valid, judged=judged)
        found += _all(tree, Scope.LAST, "", tree, valid, judged=judged) if _is_sound(before + found) else []
    return found


def _not_asked(error: NotBuiltError) -> Finding:
    reason = "not asked: what the API server, Pod Security and the platform's policies refuse"
    return Finding("tools/dryrun/go.mod", 1, "not-asked", reason, str(error), note=True)


def _is_sound(found: Iterable[Found]) -> bool:
    return all(problem.note for _, problem, _ in found)


def _merged(tree: Tree, found: Iterable[Found]) -> list[Finding]:
    """Return findings, one for what shows in several renderings."""
    merged: dict[tuple[str, int, str], Finding] = {}
    for rule, problem, environment in found:
        file = tree.name_of(problem.place.file)
        new = Finding(file, problem.place.line, rule, problem.reason, problem.advice, problem.note)
        one = merged.setdefault((file, problem.place.line, rule), new)
        if environment and environment not in one.environments:
            one.environments.append(environment)
    return sorted(merged.values())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    listed = "\n".join(f"  {one.name:22}{one.finds}" for _, one in sorted(RULES.items()))
    parser.epilog = f"rules:\n{listed}\n\nA note does not change the exit status."
    parser.add_argument("--explain", metavar="RULE", help="say why a rule is there, what to do, and give an example")
    parser.add_argument("--root", metavar="DIR", type=Path, help="check another repository, or its folder of overlays/")
    parser.add_argument(
        "--live",
        action="store_true",
        help="ask the current cluster too: can its controller read what is sealed?",
    )
    add_json_option(parser)


def main(options: argparse.Namespace) -> int:
    """Report what is wrong; return 1 if anything but notes is.

    Raises:
        RefusedError: if a rule is to be explained that there is not, a directory has no overlay, or no cluster answers.
    """
    if options.explain is not None:
        print(explain(options.explain))
        return 0
    found = check(options.root or REPOSITORY, own=not options.root, live=options.live)
    if options.json:
        print_json([vars(finding) for finding in found])
    else:
        print("\n".join([*map(_told, found), _summary(found)]))
    return int(any(not finding.note for finding in found))


def _told(finding: Finding) -> str:
    rule = paint(finding.rule, "yellow" if finding.note else "red")
    where = f" ({', '.join(finding.environments)})" if finding.environments else ""
    place = paint(f"{finding.file}:{finding.line}", "bold")
    return f"{place}: {rule}: {finding.reason}{where}\n    {finding.advice}"


def _summary(found: list[Finding]) -> str:
    notes = sum(finding.note for finding in found)
    wrong = len(found) - notes
    return f"{wrong} to correct, {notes} to know" if wrong else paint(f"nothing to correct, {notes} to know", "green")
