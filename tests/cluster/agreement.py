"""Where tools/dryrun and the API server say different things of an object with one thing wrong."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tests.support.api_server import Verdict
from tools.dryrun import Answer
from tools.manifests import Manifest, get

SHOWN = 20
# What the two are known to say differently: which mutations, and why.
DISAGREEMENTS = {
    r"Service spec\.ports\.\d+(\.nodePort)?: ": "a dry run reserves no node port, so one out of range passes",
}


@dataclass(frozen=True)
class Mutant:
    """An object with one thing wrong.

    Attributes:
        what: which
        sent: the object
        origin: without it
    """

    what: str
    sent: Manifest
    origin: Manifest

    @property
    def keeps_its_name(self) -> bool:
        return bool(get(self.sent, ("metadata", "name")) == self.origin["metadata"]["name"])


def disagreement(real: Verdict, said: Answer) -> str:
    """Return in what the two differ; empty if in nothing."""
    refusals = said.refusals
    if bool(refusals) != real.refuses:
        return f"the API server says {real.status} {real.message[:200]}, the program {[str(one) for one in refusals]}"
    if any(one.by == "decoding" for one in refusals):
        # What cannot be read is refused before anything is validated, with no list of fields.
        unnamed = [one.message for one in refusals if one.reason == "Strict" and one.message not in real.message]
        return f"the API server does not say {unnamed}, but {real.message[:200]}" if unnamed else ""
    fields = {one.field for one in refusals if one.field}
    return "" if fields == real.fields else f"the API server names {sorted(real.fields)}, the program {sorted(fields)}"


def judge(mutants: Sequence[Mutant], answers: Sequence[Answer], verdicts: Sequence[Verdict]) -> list[str]:
    """Return the disagreements that have no known reason, a screen of them at most."""
    found = []
    for mutant, said, real in zip(mutants, answers, verdicts, strict=True):
        if (differs := disagreement(real, said)) and not any(re.match(one, mutant.what) for one in DISAGREEMENTS):
            found.append(f"{mutant.what}: {differs}")
    return found[:SHOWN]
