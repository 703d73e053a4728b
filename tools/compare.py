"""python -m tools compare: one table of how the environments differ, from what Kustomize makes of them."""

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tools.images import name_of
from tools.manifests import Manifest, autoscalers_of, entries, fewest_pods, listeners_of, pods_of, title, type_of
from tools.render import render
from tools.repository import OVERLAYS, environments
from tools.terminal import add_json_option, paint, print_json
from tools.texts import load_json

# What a row is about → what each environment has.
Table = dict[str, dict[str, str]]
_NOTHING = "–"


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
                yield f"{name}: replicas", replicas(manifest, manifests)
            case "Service":
                yield f"{name}: exposure", exposure(manifest)
            case "Gateway":
                hosts = dict.fromkeys(str(listener.get("hostname", "*")) for _, listener in listeners_of(manifest))
                yield f"{name}: gateway", ", ".join([manifest["spec"]["gatewayClassName"], *hosts])
            case "ConfigMap":
                yield from _values(manifest)
        yield from _images(manifest, pins)
    yield from ((f"objects: {kind}", str(count)) for kind, count in Counter(one["kind"] for one in manifests).items())


def _images(manifest: Manifest, pins: bool) -> Iterator[tuple[str, str]]:
    containers = [container.data for pod in pods_of([manifest]) for container in pod.containers]
    for container in containers:
        name = manifest["metadata"]["name"] + (f", {container['name']}" if len(containers) > 1 else "")
        yield f"{name}: image", container["image"] if pins else name_of(container["image"])


def replicas(workload: Manifest, manifests: list[Manifest]) -> str:
    """Return how many pods a workload has, or the bounds that its autoscaler keeps."""
    scaler = next(iter(autoscalers_of(workload, manifests)), None)
    fewest = fewest_pods(workload, manifests)
    return f"{fewest}–{scaler['spec']['maxReplicas']}" if scaler else str(fewest)


def exposure(service: Manifest) -> str:
    """Return how a Service is reached: its type, and its node ports."""
    node_ports = [str(port["nodePort"]) for port in service["spec"]["ports"] if "nodePort" in port]
    return " ".join([type_of(service), *node_ports])


def _values(config_map: Manifest) -> Iterator[tuple[str, str]]:
    """Give the values of a ConfigMap, those in a JSON file one by one; a Secret's are nobody's business."""
    for path, text in entries(config_map):
        key = str(path[-1])
        found = load_json(text, f"{title(config_map)}, {key}") if Path(key).suffix == ".json" else None
        if isinstance(found, dict):
            yield from ((f"{key}: {name}", str(value)) for name, value in found.items())
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    add_json_option(parser)


def main(options: argparse.Namespace) -> int:
    """Print the table."""
    rows = table()
    if options.json:
        print_json(rows)
        return 0
    for row, values in rows.items():
        print(paint(row, "bold"))
        width = max(map(len, values))
        for name, value in values.items():
            print(f"  {name:{width}}  {value}")
    return 0
