"""What a change of the manifests does to what runs: two tables of rules, by field and by object.

Each rule has a case in tests/cluster/test_diff_predictions.py, where a real cluster is given the same change.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

from tools.diff.changes import Change, Field, Identity, Value, compare
from tools.diff.rollout import rollout
from tools.dryrun import Finding
from tools.manifests import Manifest, Project, is_left_to_an_autoscaler

HOOK = "argocd.argoproj.io/hook"
# Rules that leave others nothing to say.
NOT_PERMITTED, MADE_ANEW = "not permitted by the project", "hook"
SYNC_OPTIONS = "argocd.argoproj.io/sync-options"


class Effect(StrEnum):
    """The kinds of consequences, the gravest first."""

    REFUSED = "refused"
    RESTARTS = "restarts"
    SCALES = "scales"
    PRUNED = "pruned"
    LEFT = "left"
    CREATED = "created"
    STAYS = "no restart"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Situation:
    """Where a change takes effect.

    Attributes:
        before: what runs
        after: what will
        project: what Argo CD may deploy there; None where no Application follows the environment
        refusals: what the API server refuses of each object
    """

    before: Sequence[Manifest]
    after: Sequence[Manifest]
    project: Project | None = None
    refusals: Mapping[Identity, Sequence[Finding]] = field(default_factory=dict)

    @cached_property
    def changes(self) -> list[Change]:
        """What happens to each object that does not stay as it is."""
        return compare(self.before, self.after)


# --- what rules ask and say


def _annotation(manifest: Manifest | None, name: str) -> str:
    return str(((manifest or {}).get("metadata", {}).get("annotations") or {}).get(name, ""))


def _spec(manifest: Manifest | None) -> dict[str, Any]:
    found: dict[str, Any] = (manifest or {}).get("spec", {})
    return found


def _always(_change: Change, _field: Field) -> bool:
    return True


def _paused(change: Change, _field: Field) -> bool:
    return bool(_spec(change.after).get("paused"))


def _resumed(_change: Change, found: Field) -> bool:
    return found.before is True


def _has_no_pods(change: Change, _field: Field) -> bool:
    return _spec(change.before).get("replicas") == 0


def _shrinks(_change: Change, found: Field) -> bool:
    return count(found.after) < count(found.before)


def count(replicas: Any) -> int:
    """Return how many pods a manifest asks for."""
    return 1 if replicas is Value.ABSENT else int(replicas)


# --- by field: the first rule that fits a field speaks


@dataclass(frozen=True)
class FieldRule:
    """What follows where a field differs in an object that stays.

    Attributes:
        name: the rule's
        kinds: of which objects; "*" is all
        fields: which, with all that is in them; "*" is any one step
        effect: what follows
        says: in words; {before} and {after} are the field's values
        advice: what to do
        when: what else must be so
    """

    name: str
    kinds: str
    fields: str
    effect: Effect
    says: str
    advice: str = ""
    when: Callable[[Change, Field], bool] = _always

    def fits(self, change: Change, found: Field) -> bool:
        """Return whether it speaks of this field."""
        return (
            (self.kinds == "*" or change.identity.kind in self.kinds.split())
            and any(_reaches(pattern.split("."), found.steps) for pattern in self.fields.split())
            and self.when(change, found)
        )


def _reaches(pattern: Sequence[str], steps: Sequence[str]) -> bool:
    return len(steps) >= len(pattern) and all(map(fnmatchcase, steps, pattern))


FIELD_RULES = (
    FieldRule(
        "another name for another content",
        "ConfigMap Secret",
        "data binaryData stringData",
        Effect.STAYS,
        "the new content gets an object of its own: pods that run keep the former one",
        when=lambda change, _field: change.renamed,
    ),
    FieldRule(
        "data changed in place",
        "ConfigMap Secret",
        "data binaryData stringData",
        Effect.STAYS,
        "changed in place: variables keep the former value until their pods restart, files follow within minutes",
        "let its generator end the name in a hash, and the pods that read it restart by themselves",
    ),
    FieldRule(
        "node port",
        "Service",
        "spec.ports.*.nodePort",
        Effect.STAYS,
        "from outside it answers at port {after} instead of {before}, at once",
        "tell those who use the former port; on a local cluster, map the new one in tools/local/kind.yaml",
    ),
    FieldRule(
        "port of a Service",
        "Service",
        "spec.ports",
        Effect.STAYS,
        "who connects to the former port is refused at once",
    ),
    FieldRule(
        "backends of a Service",
        "Service",
        "spec.selector",
        Effect.STAYS,
        "new connections go to the pods of the new selector, at once",
    ),
    FieldRule("Service", "Service", "spec metadata", Effect.STAYS, "in force at once, no pod restarts"),
    FieldRule(
        "paused",
        "Deployment",
        "spec.template",
        Effect.STAYS,
        "it is paused: the pods stay as they are until it no longer is",
        "take spec.paused out",
        when=_paused,
    ),
    FieldRule(
        "no longer paused",
        "Deployment",
        "spec.paused",
        Effect.RESTARTS,
        "its pods change",
        "nothing restarts if its pods did not change while it was paused",
        when=_resumed,
    ),
    FieldRule(
        "pods without replicas",
        "Deployment",
        "spec.template",
        Effect.STAYS,
        "it has no pod that could restart",
        when=_has_no_pods,
    ),
    FieldRule("pods", "Deployment", "spec.template", Effect.RESTARTS, "its pods change"),
    FieldRule(
        "number left to an autoscaler",
        "Deployment",
        "spec.replicas",
        Effect.SCALES,
        "from {before} to {after} until its autoscaler looks, some seconds later, and then as many as that says",
        "to lose none meanwhile, hand the number over first: docs/runbooks/mettre-a-l-echelle.md",
        when=lambda change, _field: is_left_to_an_autoscaler(change.after),
    ),
    FieldRule(
        "number taken from an autoscaler",
        "Deployment",
        "spec.replicas",
        Effect.SCALES,
        "to {after} at once, however many its autoscaler has made of it",
        "under load, ask for as many as there are: kubectl get deployments",
        when=lambda change, _field: is_left_to_an_autoscaler(change.before),
    ),
    FieldRule(
        "fewer pods",
        "Deployment",
        "spec.replicas",
        Effect.SCALES,
        "from {before} to {after}: some pods end, the others stay",
        when=_shrinks,
    ),
    FieldRule(
        "more pods",
        "Deployment",
        "spec.replicas",
        Effect.SCALES,
        "from {before} to {after}: pods are added, those that run stay",
    ),
    FieldRule(
        "next rollout",
        "Deployment",
        "spec",
        Effect.STAYS,
        "it counts from the next rollout on",
    ),
    FieldRule(
        "connections",
        "NetworkPolicy",
        "spec",
        Effect.STAYS,
        "in force within seconds for every pod that it selects",
    ),
    FieldRule(
        "bounds of an autoscaler",
        "HorizontalPodAutoscaler",
        "spec",
        Effect.STAYS,
        "it counts when the autoscaler looks next, some seconds later",
    ),
    FieldRule(
        "another gateway",
        "Gateway",
        "spec.gatewayClassName",
        Effect.STAYS,
        "{after} takes over from {before}, at another address: until the name leads there, nobody gets an answer",
        "set the name's time to live low before, and its address after",
    ),
    FieldRule(
        "issuer",
        "Gateway",
        "metadata.annotations.cert-manager.io/*",
        Effect.STAYS,
        "cert-manager asks {after} for a certificate; the one that is there serves until then",
    ),
    FieldRule(
        "way in",
        "Gateway HTTPRoute",
        "spec",
        Effect.STAYS,
        "the gateway follows within seconds, for new requests; no pod restarts",
    ),
    FieldRule(
        "what is watched",
        "PodMonitor Probe PrometheusRule",
        "spec",
        Effect.STAYS,
        "Prometheus follows within two minutes; no pod restarts",
    ),
    FieldRule("drains", "PodDisruptionBudget", "spec", Effect.STAYS, "it counts at the next drain of a node"),
    FieldRule(
        "Pod Security",
        "Namespace",
        "metadata.labels.pod-security*",
        Effect.STAYS,
        "it counts for pods that are made from now on: those that run stay, and a restart may be refused",
    ),
    FieldRule("name tags", "*", "metadata", Effect.STAYS, "no pod restarts"),
    FieldRule("identity of pods", "ServiceAccount", "*", Effect.STAYS, "it counts for pods that are made from now on"),
    FieldRule(
        "anything else",
        "*",
        "*",
        Effect.UNKNOWN,
        "no rule speaks of this",
        "ask the cluster: make diff OPTIONS=--live",
    ),
)


# --- what to do where the API server refuses: the first that fits


@dataclass(frozen=True)
class Remedy:
    """What to do where the API server refuses something.

    Attributes:
        kinds: of which objects; "*" is all
        words: part of the field's path and of the message with which it is refused
        advice: what to do; {command} is how to delete what was there before, or stands in the way
    """

    kinds: str
    words: str
    advice: str

    def fits(self, kind: str, finding: Finding) -> bool:
        """Return whether it is meant for this."""
        return (self.kinds == "*" or kind in self.kinds.split()) and self.words in f"{finding.field}: {finding.message}"


REMEDIES = (
    Remedy(
        "ConfigMap Secret",
        "field is immutable when",
        "let its generator end the name in a hash (no disableNameSuffixHash): another content is another object",
    ),
    Remedy("Job", "field is immutable", "delete the Job first, or make it an Argo CD hook"),
    Remedy("Service", "already allocated", "take another node port, or delete first: {command}"),
    Remedy(
        "Service",
        "may not change once set",
        "give it another name, or delete it first: its users are cut off until it is there again",
    ),
    Remedy("*", "field is immutable", "give the object another name: the new one starts, then the former goes"),
    Remedy("*", "", "correct it: make check names the line"),
)


# --- by object: each rule that fits speaks


@dataclass(frozen=True)
class ObjectRule:
    """What follows from what an object is, was or will be.

    Attributes:
        name: the rule's
        effect: what follows
        says: the words if it fits, else nothing
        advice: what to do; {command} is how to delete what was there before
    """

    name: str
    effect: Effect
    says: Callable[[Change, Situation], str]
    advice: str = ""


def _not_permitted(change: Change, situation: Situation) -> str:
    project = situation.project
    if not project or not change.after or project.permits(change.after):
        return ""
    return f"Argo CD's project {project.manifest['metadata']['name']} does not permit it, and nothing is synced at all"


def node_ports(manifest: Manifest | None) -> set[int]:
    """Return the node ports that a Service asks for."""
    if not manifest or manifest["kind"] != "Service":
        return set()
    return {port["nodePort"] for port in _spec(manifest).get("ports", []) if "nodePort" in port}


def _hook(change: Change, situation: Situation) -> str:
    if not (situation.project and change.kind == "changed" and _annotation(change.after, HOOK)):
        return ""
    return "a hook: Argo CD deletes it and makes it anew at each sync"


def _created(change: Change, situation: Situation) -> str:
    if change.renamed and change.after:
        return f"as {change.after['metadata']['name']}"
    if change.kind != "added" or not change.after:
        return ""
    if change.after["kind"] != "Deployment":
        return "new"
    found = rollout(change.after, situation.after)
    return f"new, with {found.pods} pod{'s' * (found.pods != 1)}, in service after {found.ready_seconds} s at least"


def _pruned(change: Change, situation: Situation) -> str:
    if not situation.project or _stays(change) or not _goes(change, situation):
        return ""
    if change.renamed and change.before:
        return f"Argo CD prunes {change.before['metadata']['name']} once the pods that read it are gone"
    return f"Argo CD prunes it{_with_it(change)}, last of all"


def _left(change: Change, situation: Situation) -> str:
    if not _goes(change, situation) or (situation.project and not _stays(change)):
        return ""
    if situation.project:
        return "Argo CD leaves it: it is a hook, or says Prune=false"
    name = change.before["metadata"]["name"] if change.renamed and change.before else "it"
    return f"'kubectl apply -k' leaves {name} where it is{_with_it(change)}"


def _goes(change: Change, situation: Situation) -> bool:
    """Return whether it goes by itself, and not only with its namespace."""
    # Argo CD prunes object by object; what nobody prunes is best told by the namespace alone.
    with_it = not situation.project and any(
        (other.kind, other.identity.kind, other.identity.name) == ("removed", "Namespace", change.identity.namespace)
        for other in situation.changes
    )
    return change.renamed or (change.kind == "removed" and not with_it)


def _stays(change: Change) -> bool:
    return bool(_annotation(change.before, HOOK)) or "Prune=false" in _annotation(change.before, SYNC_OPTIONS)


def _with_it(change: Change) -> str:
    return {"Deployment": ", with its pods", "Namespace": ", with all that is in it"}.get(change.identity.kind, "")


OBJECT_RULES = (
    ObjectRule(
        NOT_PERMITTED,
        Effect.REFUSED,
        _not_permitted,
        "allow its kind and namespace in argocd/project.yaml, and have that applied first: kubectl apply -k argocd",
    ),
    ObjectRule(MADE_ANEW, Effect.STAYS, _hook),
    ObjectRule("created", Effect.CREATED, _created),
    ObjectRule("pruned", Effect.PRUNED, _pruned),
    ObjectRule("left", Effect.LEFT, _left, "when nothing needs it any more: {command}"),
)
