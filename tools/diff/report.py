"""What changes, and what follows, in words: for a terminal, for a pull request, for a program."""

import difflib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from tools.diff.changes import Change, Field, Value, shown
from tools.diff.consequences import Consequence, consequences, total_seconds
from tools.diff.rules import Effect, Situation
from tools.terminal import paint

# What is applied by hand, beside the environments.
APPLICATIONS = "argocd"
MARKS = {"added": "+", "removed": "-", "changed": "~"}
STYLES = {
    "+": "green",
    "-": "red",
    "~": "yellow",
    Effect.REFUSED: "red",
    Effect.RESTARTS: "yellow",
    Effect.PRUNED: "yellow",
}
LONGEST = 110
INDENT = " " * 6


@dataclass(frozen=True)
class Difference:
    """What happens to one environment.

    Attributes:
        environment: its name
        situation: what runs and what will
        refusals: what the API server itself refuses, if it was asked
    """

    environment: str
    situation: Situation
    refusals: tuple[Consequence, ...] = ()

    @property
    def changes(self) -> list[Change]:
        """What happens to each object that does not stay as it is."""
        return self.situation.changes

    @property
    def consequences(self) -> list[Consequence]:
        """What follows, the gravest first; nothing follows from what nobody applies."""
        return [] if self.environment == APPLICATIONS else [*self.refusals, *consequences(self.situation)]

    @property
    def title(self) -> str:
        """How many objects it is about."""
        counts = [(kind, sum(change.kind == kind for change in self.changes)) for kind in MARKS]
        return ", ".join(f"{count} {kind}" for kind, count in counts if count) or "nothing changes"

    @property
    def way(self) -> str:
        """How it comes to the cluster."""
        if self.environment == APPLICATIONS:
            return "nothing happens until somebody runs 'kubectl apply -k argocd'"
        if self.situation.project:
            return "Argo CD does it once this is merged"
        return f"'kubectl apply -k deploy/overlays/{self.environment}' does it"

    def __bool__(self) -> bool:
        return bool(self.changes or self.refusals)


@dataclass(frozen=True)
class Report:
    """What changes in all.

    Attributes:
        reference: what the files here are compared with
        commit: its id; empty if it is no commit
        differences: what happens to each environment
    """

    reference: str
    commit: str
    differences: Sequence[Difference]

    @property
    def title(self) -> str:
        """What is compared."""
        return f"The files here, against {self.reference}" + (f" ({self.commit[:12]})" if self.commit else "")


# --- a field


def lines_of(change: Change) -> Iterator[str]:
    """Return what differs in an object, in short lines."""
    references = dict.fromkeys(found.reference for found in change.fields if found.reference)
    yield from (f"reads {name}, which has another content" for name in references)
    for found in change.fields:
        if not found.reference:
            yield from _lines(found)


def _lines(found: Field) -> Iterator[str]:
    before, after = shown(found.before), shown(found.after)
    line = f"{found.path}: {before} → {after}"
    if found.before is Value.HIDDEN and found.after is Value.HIDDEN:
        yield f"{found.path}: changed {Value.HIDDEN.value}"
    elif "\n" in line:
        yield f"{found.path}:"
        compared = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
        yield from (f"  {one}" for one in compared if not one.startswith(("---", "+++", "@@")))
    elif len(line) > LONGEST:
        yield from (f"{found.path}:", f"  - {before}", f"  + {after}")
    else:
        yield line


# --- what follows, the same once


def grouped(found: Sequence[Consequence]) -> Iterator[tuple[Consequence, str]]:
    """Return each consequence once, with all the objects that have it."""

    def same(one: Consequence) -> tuple[int, str, str]:
        return list(Effect).index(one.effect), one.text, one.advice

    for _, group in groupby(sorted(found, key=same), key=same):
        members = list(group)
        yield members[0], ", ".join(dict.fromkeys(member.object for member in members))


def _in_all(found: Sequence[Consequence]) -> str:
    """Return what two rollouts are together; nothing if there are not two."""
    restarts = {one.object for one in found if one.effect is Effect.RESTARTS}
    if len(restarts) <= 1:
        return ""
    return f"these {len(restarts)} restart side by side: at least {total_seconds(found)} s in all"


# --- the forms


def text(report: Report) -> str:
    """Return the report for a terminal."""
    return "\n".join([report.title, *(line for one in report.differences for line in _text(one))])


def _text(difference: Difference) -> Iterator[str]:
    yield ""
    yield f"{paint(difference.environment, 'bold')}: {difference.title}"
    if not difference:
        return
    for change in difference.changes:
        yield f"  {paint(MARKS[change.kind], STYLES[MARKS[change.kind]])} {change.identity}"
        yield from (f"{INDENT}{line}" for line in lines_of(change))
    yield f"  What follows ({difference.way}):" if difference.consequences else f"  {difference.way}"
    for one, objects in grouped(difference.consequences):
        effect = f"{one.effect:10}"
        effect = paint(effect, STYLES[one.effect]) if one.effect in STYLES else effect
        yield f"    {effect} {objects}: {one.text}"
        if one.advice:
            yield f"    {'':10} → {one.advice}"
    if together := _in_all(difference.consequences):
        yield f"    {'':10} {together}"


def markdown(report: Report) -> str:
    """Return the report as the comment of a pull request."""
    return "\n".join([f"**{report.title}**", *(line for one in report.differences for line in _markdown(one))])


def _markdown(difference: Difference) -> Iterator[str]:
    yield f"\n### {difference.environment}: {difference.title}"
    if not difference:
        return
    yield f"\nHow: {difference.way}.\n"
    if difference.consequences:
        yield "| what follows | to | |\n| --- | --- | --- |"
    for one, objects in grouped(difference.consequences):
        advice = f"<br>**To do:** {one.advice}" if one.advice else ""
        yield f"| {one.effect} | {_cell(objects)} | {_cell(one.text + advice)} |"
    if together := _in_all(difference.consequences):
        yield f"\nOf them, {together}."
    yield "\n<details><summary>Every field</summary>\n\n```diff"
    for change in difference.changes:
        yield f"{MARKS[change.kind].replace('~', '!')} {change.identity}"
        yield from (f"    {line}" for line in lines_of(change))
    yield "```\n</details>"


def _cell(words: str) -> str:
    return words.replace("|", "\\|")


def as_json(report: Report) -> str:
    """Return the report for a program."""
    document = {
        "reference": report.reference,
        "commit": report.commit,
        "environments": {one.environment: _document(one) for one in report.differences},
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _document(difference: Difference) -> dict[str, Any]:
    return {
        "changes": [
            {
                **change.identity._asdict(),
                "change": change.kind,
                "fields": [
                    {"path": found.path, "before": _plain(found.before), "after": _plain(found.after)}
                    for found in change.fields
                ],
            }
            for change in difference.changes
        ],
        "consequences": [
            {
                "rule": one.rule,
                "effect": one.effect,
                "object": one.object,
                "text": one.text,
                "advice": one.advice,
                "seconds": one.seconds,
            }
            for one in difference.consequences
        ],
    }


def _plain(value: Any) -> Any:
    return {Value.ABSENT: None, Value.HIDDEN: Value.HIDDEN.value}[value] if isinstance(value, Value) else value


FORMATS: dict[str, Callable[[Report], str]] = {"text": text, "markdown": markdown, "json": as_json}
