"""What a Kubernetes API server would say of manifests, by its own code and without a server: the Go program here."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tools.dryrun.program import PROGRAM, running
from tools.manifests import FieldPath, Manifest, group_of

# By what the API server finds what is wrong with an object itself.
OF_THE_OBJECT = ("decoding", "validation")


@dataclass(frozen=True)
class Finding:
    """An error with which the API server refuses an object, or a warning.

    Attributes:
        by: decoding, validation, warning, pod-security or policy
        reason: the API server's word for its sort, as FieldValueInvalid; the name of a policy
        field: where, as the API server writes it; empty if it does not say
        message: what it says
        known: the fields that there are in place of an unknown one
    """

    by: str
    message: str
    reason: str = ""
    field: str = ""
    known: tuple[str, ...] = ()

    @property
    def refuses(self) -> bool:
        """Whether the object is refused."""
        return self.by != "warning"


@dataclass(frozen=True)
class Answer:
    """What the API server would make of an object.

    Attributes:
        known: whether it serves this kind
        findings: what it refuses, and what it warns of
        stored: the object with its defaults; None if it cannot be decoded
        former: the same of what the cluster has under its name; None if the object is new
        unchanged: whether both mean the same
        pods_unchanged: whether their pods do, so that none restarts
    """

    known: bool
    findings: tuple[Finding, ...]
    stored: Manifest | None
    former: Manifest | None
    unchanged: bool
    pods_unchanged: bool

    @property
    def refusals(self) -> list[Finding]:
        """What is wrong with the object itself, whatever namespace and policies say of it."""
        return [one for one in self.findings if one.by in OF_THE_OBJECT]


@dataclass(frozen=True)
class Request:
    """What is asked of one cluster.

    Attributes:
        objects: what would be sent to it
        present: what it has: what is sent under the same name is an update; namespaces, policies and definitions count
    """

    objects: Sequence[Manifest]
    present: Sequence[Manifest] = ()


@dataclass(frozen=True)
class Said:
    """What the program said.

    Attributes:
        kubernetes: the version for which it speaks, as v1.34.4
        answers: those to each request, one for each object
    """

    kubernetes: str
    answers: list[list[Answer]]


def ask(requests: Sequence[Request], program: Path = PROGRAM) -> Said:
    """Return what the API server would say.

    Args:
        requests: about what
        program: that of another version of Kubernetes

    Raises:
        NotBuiltError: if the program is not there.
        RuntimeError: if it fails.
    """
    process = running(program)
    said = [
        process.answer({"objects": list(one.objects), "present": [*_definitions_for(one.objects), *one.present]})
        for one in requests
    ]
    return Said(process.kubernetes, [[_answer(one) for one in answers] for answers in said])


def _definitions_for(objects: Iterable[Manifest]) -> list[Manifest]:
    """Return the definitions that are kept here of the objects' kinds; those of the cluster itself come before them."""
    kinds = {(group_of(one), one.get("kind")) for one in objects}
    return [one for one in _definitions() if (one["spec"]["group"], one["spec"]["names"]["kind"]) in kinds]


@cache
def _definitions() -> list[Manifest]:
    files = sorted(Path(__file__).with_name("definitions").glob("*.json"))
    return [json.loads(file.read_text()) for file in files]


def _answer(said: dict[str, Any]) -> Answer:
    findings = (Finding(**one | {"known": tuple(one.get("known", ()))}) for one in said["findings"])
    return Answer(
        said["known"],
        tuple(findings),
        said.get("stored"),
        said.get("former"),
        said.get("unchanged", False),
        said.get("podsUnchanged", False),
    )


def path_of(finding: Finding, manifest: Manifest) -> FieldPath:
    """Return the path of the field that a finding is about; empty if it names none.

    The API server leaves out the metadata of a template; an unknown field, and that of a warning, are in the message.
    """
    named = re.match(r'(?:unknown field "(.+)"$|([\w.]+(?:\[[^\]]*\][\w.]*)*): )', finding.message)
    said = finding.field or (named and (named[1] or named[2])) or ""
    path: list[str | int] = []
    value: Any = manifest
    for bracket, name in re.findall(r"\[([^\]]+)\]|([^.\[\]]+)", said):
        step = int(bracket) if bracket.isdigit() and not isinstance(value, dict) else bracket or name
        if isinstance(value, dict) and step not in value and step in (value.get("metadata") or {}):
            path.append("metadata")
            value = value["metadata"]
        path.append(step)
        value = value[step] if _has(value, step) else None
    return (*path, *_named(value, finding.message))


def _named(value: Any, message: str) -> FieldPath:
    """Return which entry of a mapping a message quotes, if that says more than the field."""
    quoted = re.match(r'Invalid value: "(.*?)":', message)
    if not quoted or not isinstance(value, dict):
        return ()
    return next(((key,) for key, one in value.items() if quoted[1] in (key, str(one))), ())


def _has(value: Any, step: str | int) -> bool:
    return step in value if isinstance(value, dict) else isinstance(step, int) and step < len(value or [])
