"""Keeps definitions of kinds beside this, as much of them as judges what people write: no descriptions, no status.

    python -m tools.dryrun.define VERSION FILE...

FILE is a CustomResourceDefinition as its project publishes it, VERSION the one that people write.
"""

import json
import sys
from pathlib import Path
from typing import Any

from tools.command import Parser, RefusedError, run_program
from tools.manifests import get
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


def keep(file: Path, version: str) -> None:
    """Keep what a file defines.

    Raises:
        RefusedError: if it defines no kind, or not this version of one.
        UnreadableError: if it cannot be read.
    """
    for found in read_yaml(file):
        versions = [get(one, ("name",)) for one in get(found, ("spec", "versions")) or []]
        if get(found, ("kind",)) != "CustomResourceDefinition" or version not in versions:
            raise RefusedError(f"{file} is no CustomResourceDefinition with a version {version}")
        text = json.dumps(trimmed(found, version), separators=(",", ":"))
        (DEFINITIONS / f"{found['metadata']['name']}.json").write_text(f"{text}\n")


def main(arguments: list[str]) -> None:
    """Keep what the files define.

    Raises:
        RefusedError: if one cannot be kept; those before it are.
    """
    parser = Parser(prog="define")
    parser.add_argument("version", help="the one that people write")
    parser.add_argument("file", nargs="+", type=Path, help="a CustomResourceDefinition, as its project publishes it")
    options = parser.parse_args(arguments)
    for file in options.file:
        keep(file, options.version)


if __name__ == "__main__":
    sys.exit(run_program("define", lambda: main(sys.argv[1:])))
