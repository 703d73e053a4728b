"""What the API server would make of a change of the manifests, by its own code: what it stores, and what it refuses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tools.diff.changes import Identity, full_name, identity
from tools.diff.live import bare
from tools.diff.rules import Situation
from tools.dryrun import Answer, Finding, Request, ask
from tools.manifests import Manifest, Project, get, pod_of


@dataclass(frozen=True)
class Stored:
    """Both sides of a change as the API server keeps them.

    Attributes:
        before: what it has
        after: what it would have; as it is written where it cannot be decoded or its kind is unknown
        refusals: what it refuses of each object
    """

    before: Sequence[Manifest]
    after: Sequence[Manifest]
    refusals: Mapping[Identity, Sequence[Finding]] = field(default_factory=dict)

    def situation(self, project: Project | None) -> Situation:
        """Return where the change takes effect."""
        return Situation(self.before, self.after, project, self.refusals)


def stored(sides: Sequence[tuple[Sequence[Manifest], Sequence[Manifest]]]) -> list[Stored]:
    """Return what the API server makes of each pair of what is there and what is sent.

    Raises:
        NotBuiltError: if it cannot be asked.
    """
    requests = [Request(*one) for before, after in sides for one in ((before, ()), (after, before))]
    answers = ask(requests).answers
    pairs = zip(sides, answers[::2], answers[1::2], strict=True)
    return [_stored(*side, had, would) for side, had, would in pairs]


def _stored(
    before: Sequence[Manifest], after: Sequence[Manifest], had: Sequence[Answer], would: Sequence[Answer]
) -> Stored:
    former = {full_name(item): _kept(item, answer) for item, answer in zip(before, had, strict=True)}
    made = []
    for item, answer in zip(after, would, strict=True):
        new = _kept(item, answer)
        if answer.former and answer.stored:
            new = _without_chosen(new, item, answer.former)
            former[full_name(item)] = _aligned(bare(answer.former), new, answer)
        made.append(new)
    refusals = {identity(item): answer.refusals for item, answer in zip(after, would, strict=True)}
    return Stored(list(former.values()), made, refusals)


def _kept(manifest: Manifest, answer: Answer) -> Manifest:
    return bare(answer.stored) if answer.stored else manifest


def _aligned(former: Manifest, new: Manifest, answer: Answer) -> Manifest:
    """Return what was there, written like what comes where both mean the same: 128Mi and 134217728."""
    if answer.unchanged:
        return new
    pod = pod_of(new)
    if answer.pods_unchanged and pod and pod.path:
        owner = get(former, pod.path[:-1])
        owner[pod.path[-1]] = get(new, pod.path)
    return former


def _without_chosen(new: Manifest, written: Manifest, former: Manifest) -> Manifest:
    """Return a Service without the addresses and node ports that a cluster chooses: which, nobody can tell."""
    if new["kind"] != "Service":
        return new
    known = {*_numbers(written), *_numbers(former)}
    for port in new["spec"].get("ports", []):
        if port.get("nodePort") not in known:
            port.pop("nodePort", None)
    for name in ("clusterIP", "clusterIPs"):
        if name not in (written.get("spec") or {}) and name not in former["spec"]:
            new["spec"].pop(name, None)
    return new


def _numbers(service: Manifest) -> list[Any]:
    return [port.get("nodePort") for port in get(service, ("spec", "ports")) or []]
