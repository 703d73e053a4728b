"""What the platform's policies must refuse and accept.

Each file of admission/ is a patch of one object of an overlay and opens with the rule that it is about; a refused one,
with what the API server must say of it.
"""

from dataclasses import dataclass
from pathlib import Path

import yaml

from tools.manifests import Manifest

DIRECTORY = Path(__file__).parent / "admission"


@dataclass(frozen=True)
class Case:
    """A patch of one object.

    Attributes:
        rule: the policy's name without its prefix
        words: of a refused one, all that the API server says up to the remedy
    """

    path: Path
    rule: str
    words: str
    patch: Manifest

    @property
    def target(self) -> tuple[str, str]:
        return self.patch["kind"], self.patch["metadata"]["name"]


def _cases(group: str) -> list[Case]:
    """Return the cases of a folder, by their file names."""
    return [_read(path) for path in sorted((DIRECTORY / group).glob("*.yaml"))]


def _read(path: Path) -> Case:
    text = path.read_text()
    words = text.partition("\n")[0].removeprefix("# ")
    return Case(path, words.partition(":")[0], words, yaml.safe_load(text))


REFUSED, ACCEPTED = _cases("refused"), _cases("accepted")
RULES = sorted({case.rule for case in REFUSED})
# Of a Deployment that was there before the policies.
FORMER = _read(DIRECTORY / "former.yaml")
# Of a Deployment that an autoscaler scales: accepted if it is new, refused if it takes the number from one that runs.
AUTOSCALED = _read(DIRECTORY / "autoscaled.yaml")
