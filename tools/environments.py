"""python -m tools environments: one table of how the environments differ, from what Kustomize makes of them."""

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tools.images import name_of
from tools.markdown import table as markdown_table
from tools.render import OVERLAYS, REPOSITORY, Manifest, environments, render
from tools.report import add_json_option, paint, print_json

PAGE = REPOSITORY / "docs" / "environnements.md"
# What a row is about → what each environment has.
Table = dict[str, dict[str, str]]
_NOTHING = "–"
_HEAD = """# Les environnements

<!-- Écrit par `make docs` : ne pas modifier à la main. -->

Ce que chaque overlay fait de la base, lu dans ce que Kustomize en produit. Le tag et le digest des images changent à
chaque promotion : `make environments` les affiche, cette page ne garde que leur nom.

"""


def facts(manifests: list[Manifest], pins: bool) -> Iterator[tuple[str, str]]:
    """Give what an overlay decides: namespace, replicas, images, exposure, values, and how many objects of each kind.

    Args:
        manifests: its objects
        pins: whether an image is told with its tag and digest
    """
    for manifest in manifests:
        name = manifest["metadata"]["name"]
        match manifest["kind"]:
            case "Namespace":
                yield "namespace", name
            case "Deployment":
                yield f"{name}: replicas", str(manifest["spec"].get("replicas", 1))
                for container in manifest["spec"]["template"]["spec"]["containers"]:
                    image = container["image"]
                    yield f"{name}: image", image if pins else name_of(image)
            case "Service":
                yield f"{name}: exposure", _exposure(manifest)
            case "ConfigMap":
                yield from _values(manifest)
    yield from ((f"objects: {kind}", str(count)) for kind, count in Counter(one["kind"] for one in manifests).items())


def _exposure(service: Manifest) -> str:
    node_ports = [str(port["nodePort"]) for port in service["spec"]["ports"] if "nodePort" in port]
    return " ".join([service["spec"].get("type", "ClusterIP"), *node_ports])


def _values(config_map: Manifest) -> Iterator[tuple[str, str]]:
    """Give the values of a ConfigMap, those in a JSON file one by one; a Secret's are nobody's business."""
    for key, text in config_map.get("data", {}).items():
        if Path(key).suffix == ".json":
            yield from ((f"{key}: {name}", str(value)) for name, value in json.loads(text).items())
        else:
            yield key, text


def table(pins: bool = True) -> Table:
    """Return the rows in which any environment has something; those on objects, only where they differ."""
    known = environments()
    found = {name: dict(facts(render(OVERLAYS / name), pins)) for name in known}
    rows = dict.fromkeys(row for name in known for row in found[name])
    complete = {row: {name: found[name].get(row, _NOTHING) for name in known} for row in rows}
    return {
        row: values
        for row, values in complete.items()
        if not row.startswith("objects") or len(set(values.values())) > 1
    }


def page() -> str:
    """Return docs/environnements.md as it should be."""
    return _HEAD + markdown()


def markdown() -> str:
    """Return the table for a page."""
    rows = table(pins=False).items()
    escaped = ([row, *(value.replace("|", "\\|") for value in values.values())] for row, values in rows)
    return markdown_table(["", *environments()], escaped)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--write", action="store_true", help=f"bring {PAGE.relative_to(REPOSITORY)} up to date, too")
    add_json_option(parser)


def main(options: argparse.Namespace) -> int:
    """Print the table."""
    rows = table()
    if options.write:
        PAGE.write_text(page())
    if options.json:
        print_json(rows)
        return 0
    for row, values in rows.items():
        print(paint(row, "bold"))
        width = max(map(len, values))
        for name, value in values.items():
            print(f"  {name:{width}}  {value}")
    return 0
