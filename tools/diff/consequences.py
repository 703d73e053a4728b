"""What follows from the changes of an environment, by the rules of tools/diff/rules.py."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tools.diff.changes import Change, Field, shown
from tools.diff.rollout import rollout
from tools.diff.rules import (
    FIELD_RULES,
    MADE_ANEW,
    NOT_PERMITTED,
    OBJECT_RULES,
    REMEDIES,
    Effect,
    FieldRule,
    Situation,
    count,
    node_ports,
)


@dataclass(frozen=True)
class Consequence:
    """What follows from a change.

    Attributes:
        rule: the name of the rule that says so
        effect: what kind it is
        object: kind and name, as in "Deployment datapress-api"
        text: what happens
        advice: what to do; empty if there is nothing to do
        seconds: how long it takes at least, if it takes time
    """

    rule: str
    effect: Effect
    object: str
    text: str
    advice: str = ""
    seconds: int = 0


def consequences(situation: Situation) -> list[Consequence]:
    """Return what follows from the changes, the gravest first."""
    found = [consequence for change in situation.changes for consequence in _of(change, situation)]
    # Then Argo CD syncs nothing at all, so nothing else follows.
    found = [one for one in found if one.rule == NOT_PERMITTED] or found
    return sorted(found, key=lambda consequence: list(Effect).index(consequence.effect))


def _of(change: Change, situation: Situation) -> list[Consequence]:
    found = [*_by_object(change, situation)]
    if not any(one.rule == MADE_ANEW for one in found):
        found += [*_by_server(change, situation), *_by_field(change, situation)]
    # What is refused does not happen: nothing else follows from it.
    return [one for one in found if one.effect is Effect.REFUSED] or found


def _by_object(change: Change, situation: Situation) -> Iterator[Consequence]:
    for rule in OBJECT_RULES:
        if text := rule.says(change, situation):
            advice = rule.advice.format(command=_deletion(change, situation))
            yield Consequence(rule.name, rule.effect, str(change.identity), text, advice)


def _by_server(change: Change, situation: Situation) -> Iterator[Consequence]:
    for finding in situation.refusals.get(change.identity, ()):
        remedy = next(one for one in REMEDIES if one.fits(change.identity.kind, finding))
        text = f"Kubernetes refuses it: {finding.field}{': ' * bool(finding.field)}{finding.message}"
        advice = remedy.advice.format(command=_deletion(change, situation))
        yield Consequence("API server", Effect.REFUSED, str(change.identity), text, advice)


def _deletion(change: Change, situation: Situation) -> str:
    """Return the command that deletes what was there before, or stands in the way."""
    goes = change.before or next(
        (
            other.before
            for other in situation.changes
            if other.before and not other.after and node_ports(other.before) & node_ports(change.after)
        ),
        None,
    )
    if not goes:
        return ""
    namespace = f" -n {goes['metadata']['namespace']}" if "namespace" in goes["metadata"] else ""
    return f"kubectl{namespace} delete {goes['kind'].lower()} {goes['metadata']['name']}"


def _by_field(change: Change, situation: Situation) -> Iterator[Consequence]:
    fields: dict[str, list[Field]] = {}
    rules = {rule.name: rule for rule in FIELD_RULES}
    for found in change.fields:
        rule = next(rule for rule in FIELD_RULES if rule.fits(change, found))
        fields.setdefault(rule.name, []).append(found)
    for name, matched in fields.items():
        yield _consequence(rules[name], change, matched, situation)


def _consequence(rule: FieldRule, change: Change, fields: Sequence[Field], situation: Situation) -> Consequence:
    before, after = fields[0].before, fields[0].after
    if rule.effect is Effect.SCALES:
        before, after = count(before), count(after)
    text, seconds = rule.says.format(before=shown(before), after=shown(after)), 0
    if rule.effect is Effect.RESTARTS and change.identity.kind == "Deployment" and change.after:
        how = rollout(change.after, situation.after)
        text, seconds = f"{how}; at least {how.seconds} s ({_reason(fields)})", how.seconds
    return Consequence(rule.name, rule.effect, str(change.identity), text, rule.advice, seconds)


def _reason(fields: Iterable[Field]) -> str:
    """Return what makes pods restart, in few words."""
    words = [f"it reads {found.reference}" if found.reference else found.path for found in fields]
    short = list(dict.fromkeys(word.removeprefix("spec.template.") for word in words))
    return ", ".join(short[:3]) + (f" and {len(short) - 3} more" if len(short) > 3 else "")  # noqa: PLR2004


def total_seconds(found: Iterable[Consequence]) -> int:
    """Return how long the restarts take in all, at least: they go on side by side."""
    return max((consequence.seconds for consequence in found), default=0)
