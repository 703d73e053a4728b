"""python -m tools check: what is wrong in deploy/, each with the line to change, before a cluster sees it.

Renders every overlay as it is and with every component that it lacks (that is how Argo CD renders recette), and holds
the rules below against the result. docs/decisions/0014-verification-des-overlays.md says which rule is whose.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tools.check import environments, kustomizations, names, pod_security, secrets, workloads
from tools.check.rendering import Problem, Rendering, Tree, open_tree
from tools.render import RenderError
from tools.repository import REPOSITORY
from tools.terminal import add_json_option, paint, print_json

# In each rendering by itself.
RULES: dict[str, Callable[[Rendering], Iterator[Problem]]] = {
    "deprecated": kustomizations.deprecated,
    "image-without-effect": kustomizations.images_without_effect,
    "pod-security": pod_security.pod_security,
    "word": workloads.words,
    "image": workloads.images,
    "digest": workloads.digests,
    "limits": workloads.limits,
    "autoscaler": workloads.autoscalers,
    "budget": workloads.budgets,
    "secret": secrets.secrets,
    "selector": names.selectors,
    "own-selector": names.own_selectors,
    "service-port": names.service_ports,
    "policy-port": names.policy_ports,
    "probe-port": names.probe_ports,
    "reference": names.references,
    "key": names.absent_keys,
    "unread-key": names.unread_keys,
    "volume": names.volumes,
    "variable": names.variables,
}
# Between renderings.
RULES_OF_ALL: dict[str, Callable[[Tree, list[Rendering]], Iterator[Problem]]] = {
    "patch-without-effect": kustomizations.patches_without_effect,
    "host": names.hosts,
    "one-environment": environments.one_environment,
    "node-port": environments.node_ports,
    "namespace": environments.namespaces,
    "project": environments.project,
}
# Without a rendering.
RULES_OF_FILES: dict[str, Callable[[Tree], Iterator[Problem]]] = {
    "unused-file": kustomizations.unused_files,
    "application": environments.application,
}
# A rule, what it found, and in which environment.
Found = tuple[str, Problem, str]
SYNTAX, KUSTOMIZE, SCHEMA = "syntax", "kustomize", "schema"


@dataclass(order=True)
class Finding:
    """What is reported.

    Attributes:
        file: relative to the repository
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


def check(root: Path = REPOSITORY) -> list[Finding]:
    """Return what is wrong in a repository, in the order of its files."""
    with open_tree(root) as tree:
        # Nothing can be said of what is no YAML.
        unreadable = [(SYNTAX, problem, "") for problem in kustomizations.syntax(tree)]
        return _merged(tree, unreadable or _findings(tree))


def _findings(tree: Tree) -> Iterator[Found]:
    """Give every problem with its rule and its environment."""
    for rule, of_files in RULES_OF_FILES.items():
        yield from ((rule, problem, "") for problem in of_files(tree))
    valid: list[Rendering] = []
    for overlay in tree.overlays:
        try:
            renderings = tree.renderings(overlay)
        except RenderError as error:
            yield KUSTOMIZE, kustomizations.refused(tree, overlay, error), overlay.name
            continue
        refused = [(SCHEMA, problem, overlay.name) for one in renderings for problem in workloads.schema(one)]
        yield from refused
        # The other rules rely on the form of the objects.
        valid += renderings if all(problem.note for _, problem, _ in refused) else []
    yield from _findings_of_valid(tree, valid)


def _findings_of_valid(tree: Tree, renderings: list[Rendering]) -> Iterator[Found]:
    for rendering in renderings:
        for rule, of_one in RULES.items():
            yield from ((rule, problem, rendering.environment) for problem in of_one(rendering))
    # Half of the environments would look like a difference.
    if {rendering.environment for rendering in renderings} == {overlay.name for overlay in tree.overlays}:
        for rule, of_all in RULES_OF_ALL.items():
            yield from ((rule, problem, "") for problem in of_all(tree, renderings))


def _merged(tree: Tree, found: Iterable[Found]) -> list[Finding]:
    """Return findings, one for what shows in several renderings."""
    merged: dict[tuple[str, int, str], Finding] = {}
    for rule, problem, environment in found:
        file = str(problem.place.file.relative_to(tree.root))
        new = Finding(file, problem.place.line, rule, problem.reason, problem.advice, problem.note)
        one = merged.setdefault((file, problem.place.line, rule), new)
        if environment and environment not in one.environments:
            one.environments.append(environment)
    return sorted(merged.values())


def rules() -> dict[str, str]:
    """Return every rule and what it finds."""
    described = {KUSTOMIZE: "What Kustomize itself refuses"}
    others = {SYNTAX: kustomizations.syntax, SCHEMA: workloads.schema}
    for table in (RULES_OF_FILES, RULES, RULES_OF_ALL, others):
        described |= {name: str(rule.__doc__).splitlines()[0].rstrip(".") for name, rule in table.items()}
    return dict(sorted(described.items()))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    listed = "\n".join(f"  {name:22}{text}" for name, text in rules().items())
    parser.epilog = f"rules:\n{listed}\n\nA note does not change the exit status."
    add_json_option(parser)


def main(options: argparse.Namespace) -> int:
    """Report what is wrong; return 1 if anything but notes is."""
    found = check()
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
