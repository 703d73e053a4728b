"""What pages take from the product: names, ports, replicas, probes and resources; versions; what the tests promise."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from documents.figures import french_number
from documents.markdown import table
from tools import compare
from tools.manifests import Manifest, base_name, pods_of, selector_of, selects, target_of
from tools.render import render_deployed
from tools.repository import REPOSITORY, environments

COMPOSE = REPOSITORY / "docker-compose.yml"
PROMISES = Path(__file__).with_name("promises.yaml")
# What is run → the file that decides its version, and how it stands there.
VERSIONS = {
    "argo-cd": ("tests/cluster/argocd.sh", r"^version=v(\S+)$"),
    "kind": ("tools/go.mod", r"^\tsigs\.k8s\.io/kind v(\S+)"),
}
PREFIX = "datapress-"  # of the product's objects
PROBES = {"startup": "startupProbe", "readiness": "readinessProbe", "liveness": "livenessProbe"}


@cache
def deployed(environment: str) -> list[Manifest]:
    """Return the objects of an environment as it is deployed; kubectl takes its time."""
    return render_deployed(environment)


def of_kind(manifests: Iterable[Manifest], kind: str) -> Iterator[Manifest]:
    """Give the objects of a kind."""
    return (manifest for manifest in manifests if manifest["kind"] == kind)


def container_of(deployment: Manifest) -> dict[str, Any]:
    """Return the container that a Deployment is for: its first."""
    found: dict[str, Any] = deployment["spec"]["template"]["spec"]["containers"][0]
    return found


def values() -> dict[str, str]:
    """Return, by names such as recette.front.exposure, what a sentence may take from all but measured figures."""
    found: dict[str, str] = {}
    for environment in environments():
        found |= {f"{environment}.{name}": value for name, value in _of_environment(deployed(environment))}
    for name, service in yaml.safe_load(COMPOSE.read_text())["services"].items():
        (published,) = service["ports"]
        found[f"compose.{name}.port"] = published.split(":")[-2]
    found |= {f"version.{name}": _version(*where) for name, where in VERSIONS.items()}
    return found | {f"promise.{name}": french_number(number) for name, number in promises().items()}


def promises() -> dict[str, int]:
    """Return the numbers that pages give of what the tests do; a test takes its own from here."""
    found: dict[str, int] = yaml.safe_load(PROMISES.read_text())
    return found


def _version(file: str, pattern: str) -> str:
    (found,) = re.findall(pattern, (REPOSITORY / file).read_text(), re.MULTILINE)
    return str(found)


def _of_environment(manifests: list[Manifest]) -> Iterator[tuple[str, str]]:
    for namespace in of_kind(manifests, "Namespace"):
        yield "namespace", namespace["metadata"]["name"]
    for deployment in of_kind(manifests, "Deployment"):
        yield from _of_deployment(deployment, manifests)
    for service in of_kind(manifests, "Service"):
        name = service["metadata"]["name"].removeprefix(PREFIX)
        yield f"{name}.exposure", compare.exposure(service)
        yield f"{name}.service-port", ", ".join(str(port["port"]) for port in service["spec"]["ports"])


def _of_deployment(deployment: Manifest, manifests: list[Manifest]) -> Iterator[tuple[str, str]]:
    container, spec = container_of(deployment), deployment["spec"]
    name = deployment["metadata"]["name"].removeprefix(PREFIX)
    yield f"{name}.replicas", compare.replicas(deployment, manifests)
    for port in container.get("ports", []):
        yield f"{name}.port.{port['name']}", str(port["containerPort"])
    for key, amounts in container["resources"].items():
        yield from ((f"{name}.{key}.{resource}", str(amount)) for resource, amount in amounts.items())
    yield f"{name}.grace", str(_grace(spec))
    if "lifecycle" in container:
        yield f"{name}.pre-stop", str(container["lifecycle"]["preStop"]["sleep"]["seconds"])
    for key, field in PROBES.items():
        if field in container:
            yield f"{name}.{key}", _asked(container[field])


def _grace(spec: Mapping[str, Any]) -> int:
    """Return the seconds that a Deployment's pods have to stop; Kubernetes gives 30 if nothing is said."""
    seconds: int = spec["template"]["spec"].get("terminationGracePeriodSeconds", 30)
    return seconds


def _asked(probe: Mapping[str, Any]) -> str:
    """Return what a probe asks for: a path, or how it looks otherwise."""
    return str(probe["httpGet"]["path"]) if "httpGet" in probe else next(iter(probe))


def environments_compared() -> str:
    """Return the table of what the environments have; without tags and digests, which change at each promotion."""
    rows = compare.table(pins=False).items()
    escaped = ([row, *(value.replace("|", "\\|") for value in values.values())] for row, values in rows)
    return table(["", *environments()], escaped)


def services() -> str:
    """Return the table of the Services in French: who is reached by which name and port."""
    rows = []
    for environment in environments():
        for service in of_kind(deployed(environment), "Service"):
            name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
            for port in service["spec"]["ports"]:
                target = next(targets(environment, service, port), port.get("targetPort", port["port"]))
                rows.append(
                    [
                        environment,
                        f"`{name}.{namespace}.svc.cluster.local`",
                        service["spec"].get("type", "ClusterIP"),
                        str(port["port"]),
                        str(target),
                        str(port.get("nodePort", "aucun")),
                    ]
                )
    return table(["environnement", "nom", "type", "port", "port du pod", "port du nœud"], rows)


def targets(environment: str, service: Manifest, port: Mapping[str, Any]) -> Iterator[int]:
    """Give the ports of containers to which a port of a Service leads."""
    for pod in pods_of(deployed(environment)):
        if selects(selector_of(service), pod.labels) and (found := target_of(port, pod.ports)):
            yield found.number


def pods() -> str:
    """Return the table of the pods in French: a column for each Deployment of each environment."""
    deployments = {
        f"{environment}, {container_of(deployment)['name']}": dict(_of_pods(deployment))
        for environment in environments()
        for deployment in of_kind(deployed(environment), "Deployment")
    }
    rows = dict.fromkeys(row for facts in deployments.values() for row in facts)
    return table(["", *deployments], [[row, *(facts.get(row, "–") for facts in deployments.values())] for row in rows])


def _of_pods(deployment: Manifest) -> Iterator[tuple[str, str]]:
    container, spec = container_of(deployment), deployment["spec"]
    yield "Deployment", f"`{deployment['metadata']['name']}`"
    yield "réplicas", str(spec.get("replicas", 1))
    yield "ports", ", ".join(f"{port['containerPort']} (`{port['name']}`)" for port in container.get("ports", []))
    yield from ((f"sonde {name}", _probe(container[field])) for name, field in PROBES.items() if field in container)
    for key, name in (("requests", "demandé"), ("limits", "limite")):
        yield from ((f"{resource} : {name}", str(amount)) for resource, amount in container["resources"][key].items())
    wait = f"{container['lifecycle']['preStop']['sleep']['seconds']} s d'attente, " if "lifecycle" in container else ""
    yield "arrêt", f"{wait}{_grace(spec)} s au plus"


def _probe(described: Mapping[str, Any]) -> str:
    """Return what a probe asks for, how often, and when it gives up."""
    period, failures = described.get("periodSeconds", 10), described.get("failureThreshold", 3)
    return f"`{_asked(described)}`, toutes les {period} s, {failures} échecs de suite"


def configuration() -> str:
    """Return the table of what ConfigMaps and Secrets hold in French: a Secret's value is nobody's business."""
    rows = [
        [environment, manifest["kind"], f"`{base_name(manifest)}`", f"`{key}`"]
        for environment in environments()
        for manifest in deployed(environment)
        if manifest["kind"] in ("ConfigMap", "Secret")
        for key in manifest["data"]
    ]
    return table(["environnement", "objet", "nom, suivi d'une empreinte", "clé"], rows)
