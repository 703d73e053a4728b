"""Keeps definitions of kinds beside this, as much of them as judges what people write: no descriptions, no status.

    python -m tools.dryrun.define VERSION FILE...

FILE is a CustomResourceDefinition as its project publishes it, VERSION the one that people write.
"""

import json
import sys
from pathlib import Path
from typing import Any

from tools.texts import read_yaml

DEFINITIONS = Path(__file__).with_name("definitions")


def trimmed(definition: dict[str, Any], version: str) -> dict[str, Any]:
    """Return a CustomResourceDefinition with one version, without descriptions and status."""
    (kept,) = [one for one in definition["spec"]["versions"] if one["name"] == version]
    kept["schema"]["openAPIV3Schema"]["properties"].pop("status", None)
    whole = {key: value for key, value in definition.items() if key != "status"}
    found: dict[str, Any] = _bare({**whole, "spec": {**definition["spec"], "versions": [kept]}})
    return found


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        # A field may be called so as well, which is then a mapping.
        return {key: _bare(one) for key, one in value.items() if key != "description" or not isinstance(one, str)}
    return [_bare(one) for one in value] if isinstance(value, list) else value


if __name__ == "__main__":
    for file in sys.argv[2:]:
        (found,) = read_yaml(Path(file))
        text = json.dumps(trimmed(found, sys.argv[1]), separators=(",", ":"))
        (DEFINITIONS / f"{found['metadata']['name']}.json").write_text(f"{text}\n")
