"""Whether deploy/flows.yaml, what is deployed and the network policies agree; tools/network judges that."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_network
from typing import Any

from jsonschema import Draft202012Validator

from tools.check.catalogue import Scope, rule
from tools.check.rendering import Problem, Rendering, Tree, nearest
from tools.check.sources import Document, Place, follow, read
from tools.manifests import FieldPath, Manifest, fields, title
from tools.network import flows as model
from tools.repository import REPOSITORY

_TEXT = {"type": "string"}


def _mapping_to(values: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "propertyNames": _TEXT, "additionalProperties": values}


_PORT = {"type": "string", "pattern": rf"^\d+/({'|'.join(model.PROTOCOLS)})$"}
_END = {
    "type": "object",
    "required": ["title"],
    "additionalProperties": False,
    "properties": {
        **dict.fromkeys(("title", "workload", "namespace"), _TEXT),
        "labels": _mapping_to(_TEXT),
        "ports": _mapping_to(_PORT),
    },
}
_SCHEMA = {
    "type": "object",
    "required": ["ends", "reaches"],
    "additionalProperties": False,
    "properties": {"ends": _mapping_to(_END), "reaches": _mapping_to({"type": "array", "items": _TEXT})},
}
_VALIDATOR = Draft202012Validator(_SCHEMA)


@dataclass(frozen=True)
class _Held:
    """The flows, and what is deployed.

    Attributes:
        tree: the repository
        deployed: the rendering of each environment
    """

    tree: Tree
    deployed: list[Rendering]

    @cached_property
    def document(self) -> Document | None:
        """The content of flows.yaml."""
        return next(iter(read(self.tree.root / model.FLOWS.relative_to(REPOSITORY))), None)

    @property
    def content(self) -> Any:
        """What it says."""
        return self.document.data if self.document else None

    @property
    def objects(self) -> dict[str, list[Manifest]]:
        """The objects of each environment."""
        return {rendering.environment: rendering.objects for rendering in self.deployed}

    @property
    def policies(self) -> list[Manifest]:
        """The policies of all environments."""
        return [policy for rendering in self.deployed for policy in rendering.of_kind("NetworkPolicy")]

    def place(self, path: FieldPath) -> Place:
        """Return where something stands in flows.yaml, or what is nearest to it."""
        if not self.document:
            return Place(self.tree.root / model.FLOWS.relative_to(REPOSITORY), 1)
        return self.document.place(follow(self.document.node, self.content, path).mark)

    def place_in(self, manifest: Manifest, path: FieldPath) -> Place:
        """Return where something stands in the files of a deployed object."""
        sources = next(one.sources for one in self.deployed if any(manifest is other for other in one.objects))
        return sources.locate(manifest, path)


@rule(
    "flows",
    Scope.LAST,
    why=(
        "deploy/flows.yaml says who may connect to whom: the tests on a cluster and the documents take it from there. "
        "Where a policy says less, something breaks; where it says more, nobody decided that."
    ),
    remedy=(
        "Change the policy or deploy/flows.yaml until both say the same; a new workload or environment is an end there."
    ),
    own=True,
)
def flows(tree: Tree, renderings: list[Rendering]) -> Iterator[Problem]:
    """A connection that policies let pass and deploy/flows.yaml does not, the reverse, or a name there of nothing."""
    held = _Held(tree, tree.deployed(renderings))
    # Each step relies on the one before.
    for step in (_malformed, _absent, _out_of_range, _disagreeing):
        if found := list(step(held)):
            yield from found
            return


def _malformed(held: _Held) -> Iterator[Problem]:
    for error in _VALIDATOR.iter_errors(held.content):
        path = tuple(error.absolute_path)
        known = error.schema.get("properties", {})
        wrong = error.validator == "additionalProperties"
        unknown = [key for key in error.instance if key not in known][:1] if wrong else []
        reason = f"{'.'.join(map(str, path)) or 'the content'} of {model.FLOWS.name}: {error.message}"
        near = "".join(nearest(key, known) for key in unknown)
        yield Problem(held.place((*path, *unknown)), reason, f"correct it{near}")


def _absent(held: _Held) -> Iterator[Problem]:
    for fault in model.faults(held.content, held.objects):
        place = held.place_in(fault.missing, ("metadata", "name")) if fault.missing else held.place(fault.path)
        yield Problem(place, fault.reason, fault.advice)


def _out_of_range(held: _Held) -> Iterator[Problem]:
    for policy in held.policies:
        for path, value in fields(policy["spec"], ("spec",)):
            if "ipBlock" in path and not _is_range(value):
                reason = f"{title(policy)} names '{value}', which is no range of addresses"
                yield Problem(held.place_in(policy, path), reason, "write one as 192.0.2.0/24")


def _is_range(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _disagreeing(held: _Held) -> Iterator[Problem]:
    known = model.build(held.content, held.objects)
    loose = model.loose_edges(known, held.policies)
    for one in loose:
        place = held.place_in(one.edge.policy, one.edge.path)
        yield Problem(place, f"policy {one}", f"narrow it or remove it, or add the flow to {model.FLOWS.name}")
    told = {(source, model.end_of(target)) for one in loose for source, target in one.extra}
    for other in model.disagreements(known, held.policies):
        if other.passes and (other.source, model.end_of(other.target)) not in told:
            yield Problem(held.place(("reaches", other.source)), str(other), "let a policy stop it, or add it here")
        elif not other.passes:
            entries = [model.covers(entry, other.target) for entry in known.reaches[other.source]]
            place = held.place(("reaches", other.source, entries.index(True)))
            yield Problem(place, str(other), "let the policies of both ends allow it, or take it out here")
