"""No page names a port, a count, an object, an image, a path, a command or a file that there is not.

Decisions are records of their day: what they name may be gone.
"""

import copy
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from documents import facts as documents_facts
from documents import pages
from documents.facts import PREFIX, container_of, of_kind
from tests.documents.facts import Facts, facts, wrong
from tools.manifests import Manifest
from tools.repository import REPOSITORY, environments

RECORDS = REPOSITORY / "docs" / "decisions"
PAGES = [path for path in pages.pages() if not path.is_relative_to(REPOSITORY / "tests") and path.parent != RECORDS]
VALUES = documents_facts.values()
Sources = dict[str, list[Manifest]]
API, FRONT = f"{PREFIX}api", f"{PREFIX}front"


@cache
def known() -> Facts:
    return facts(*sources())


def sources() -> tuple[Sources, dict[str, Any]]:
    """Return the objects of each environment and Compose's services: the caller's own, to change."""
    manifests = {environment: copy.deepcopy(documents_facts.deployed(environment)) for environment in environments()}
    return manifests, yaml.safe_load(documents_facts.COMPOSE.read_text())


# Pages that make something → what they make, and that of the repository which it is like.
RUNBOOKS = REPOSITORY / "docs" / "runbooks"
MADE = {
    RUNBOOKS / "ajouter-un-environnement.md": {
        "argocd/preprod.yaml": "argocd/application.yaml",
        "preprod": "recette",
        "30082": "30080",
    },
    RUNBOOKS / "ajouter-un-composant.md": {"client-addresses": "network-policy"},
}


def read(path: Path) -> str:
    text = path.read_text()
    for made, like in MADE.get(path, {}).items():
        text = text.replace(made, like)
    return text


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_a_page_names_what_there_is(path: Path) -> None:
    where = path.relative_to(REPOSITORY)
    assert [f"{where}:{line}: {what}" for line, what in wrong(read(path), known())] == []


def of(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    (found,) = [manifest for manifest in of_kind(manifests, kind) if manifest["metadata"]["name"] == name]
    return found


def container(manifests: list[Manifest], name: str) -> dict[str, Any]:
    return container_of(of(manifests, "Deployment", name))


def another(port: int) -> int:
    return port + 7


Change = Callable[[Sources, dict[str, Any]], None]


def node_port(environment: str) -> Change:
    def change(manifests: Sources, _compose: dict[str, Any]) -> None:
        (port,) = of(manifests[environment], "Service", FRONT)["spec"]["ports"]
        port["nodePort"] = another(port["nodePort"])

    return change


def swap_node_ports(manifests: Sources, _compose: dict[str, Any]) -> None:
    ports = [of(manifests[name], "Service", FRONT)["spec"]["ports"][0] for name in ("dev", "recette")]
    ports[0]["nodePort"], ports[1]["nodePort"] = ports[1]["nodePort"], ports[0]["nodePort"]


def container_port(name: str, number: int) -> Change:
    """Another number for a port of a Deployment's pods, in every environment."""

    def change(manifests: Sources, _compose: dict[str, Any]) -> None:
        for of_environment in manifests.values():
            port = container(of_environment, name)["ports"][number]
            port["containerPort"] = another(port["containerPort"])

    return change


def service_port(manifests: Sources, _compose: dict[str, Any]) -> None:
    for of_environment in manifests.values():
        of(of_environment, "Service", API)["spec"]["ports"][0]["port"] = another(80)


def replicas(name: str) -> Change:
    """More pods of a Deployment, in every environment."""

    def change(manifests: Sources, _compose: dict[str, Any]) -> None:
        for of_environment in manifests.values():
            spec = of(of_environment, "Deployment", name)["spec"]
            spec["replicas"] = spec.get("replicas", 1) + 2

    return change


def renamed(former: str, name: str) -> Change:
    """Another name for whatever has one, in names and namespaces."""

    def change(manifests: Sources, _compose: dict[str, Any]) -> None:
        for manifest in (manifest for of_environment in manifests.values() for manifest in of_environment):
            for key, value in manifest["metadata"].items():
                if value == former:
                    manifest["metadata"][key] = name

    return change


def image(manifests: Sources, _compose: dict[str, Any]) -> None:
    for of_environment in manifests.values():
        container(of_environment, API)["image"] = "ghcr.io/datapress/backend:1"


def compose_port(_manifests: Sources, compose: dict[str, Any]) -> None:
    compose["services"]["front"]["ports"] = ["127.0.0.1:9191:8080"]


CHANGES: dict[str, tuple[str, Change]] = {
    "node port of recette": ("La page : `http://<nœud>:{recette.front.node-port}`.", node_port("recette")),
    "node port of dev": ('curl "http://$NODE_ADDRESS:{dev.front.node-port}/"', node_port("dev")),
    "node ports, swapped": ("En recette, le port {recette.front.node-port} du nœud.", swap_node_ports),
    "port of the API": ("Le port {recette.api.port.http}, celui de gunicorn.", container_port(API, 0)),
    "port of the metrics": ("| métriques | {recette.api.port.metrics}/TCP |", container_port(API, 1)),
    "port of the front": ('front["NGINX, port {recette.front.port.http}"]', container_port(FRONT, 0)),
    "port of a Service": ("`datapress-api:{recette.api.service-port}`", service_port),
    "replicas of the API": ("La recette a {recette.api.replicas} réplicas de l'API.", replicas(API)),
    "replicas of the front": ('front["front × {recette.front.replicas}"]', replicas(FRONT)),
    "name of a Deployment": (f"kubectl rollout status deployment/{API}", renamed(API, f"{PREFIX}backend")),
    "name of a namespace": (
        "`kubectl -n {recette.namespace} get pods`",
        renamed("datapress-recette", "datapress-uat"),
    ),
    "port of Compose": ("`docker compose up` : http://localhost:{compose.front.port}", compose_port),
    "image": ("`ghcr.io/datapress/api`", image),
}


def after(change: Change) -> Facts:
    manifests, compose = sources()
    change(manifests, compose)
    return facts(manifests, compose)


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_that_a_page_does_not_follow_is_found(what: str) -> None:
    text, change = CHANGES[what]
    for name, value in VALUES.items():
        text = text.replace(f"{{{name}}}", value)
    page = f"# Titre\n\n{text}\n"
    assert list(wrong(page, known())) == []
    assert [line for line, _ in wrong(page, after(change))] == [3]


@pytest.mark.parametrize("what", CHANGES.keys() - {"port of a Service", "node ports, swapped", "image"})
def test_our_own_pages_name_what_may_change(what: str) -> None:
    changed = after(CHANGES[what][1])
    assert any(list(wrong(read(page), changed)) for page in PAGES)


def test_a_port_of_this_machine_is_none_of_the_cluster() -> None:
    port = VALUES["compose.front.port"]
    assert list(wrong(f"http://localhost:{port}, puis avec Compose, le port {port}.", known())) == []
    assert [line for line, _ in wrong(f"Le pod écoute sur le port {port}.", known())] == [1]


WRONG = {
    "`datapress-apo`": "datapress-apo",
    "kubectl -n datapress-prod get pods": "datapress-prod",
    "`kubectl -n monitorin get pods`": "monitorin",
    "`ghcr.io/datapress/font:sha-1`": "ghcr.io/datapress/font",
    "`/healthy`": "/healthy",
    "    curl -s http://localhost:8081/api/versions": "/api/versions",
    "`make deployment`": "make deployment",
    "`make deploy ENV=prod`": "ENV=prod",
    "`tools/page.py`": "tools/page.py",
    "```sh\nkubectl apply -k deploy/overlays/production\n```": "deploy/overlays/production",
    "9 réplicas en recette.": "'9 réplicas'",
    "```yaml\nreplicas: 7\n```": "'replicas: 7'",
    "les ports 8000, 9100 et 9101": "port 9101",
    "`kubectl port-forward service/datapress-front 9000:81`": "port 81",
    "le 30123": "port 30123",
}


@pytest.mark.parametrize(("text", "what"), WRONG.items())
def test_what_there_is_not_is_found(text: str, what: str) -> None:
    (found,) = [said for _, said in wrong(f"# Titre\n\n{text}\n", known())]
    assert found.startswith(f"{what}:")


@pytest.mark.parametrize(
    "text",
    [
        "à 12:30, 10001:10001, `python:3.14-slim`, `sha256:…`, `--replicas=7`, moins de trois réplicas, 31,5 s",
        "`deploy/overlays/<nom>/kustomization.yaml`, `tests/**`, `deploy/overlays/$ENV`, `/etc/nginx`, `a/b`",
        "`kubectl -n argocd get pods`, `datapress-$ENV`, `make diff REF=main`, `ghcr.io/<owner>/api`, make it run",
        "<!-- début a : écrit par make docs, ne pas modifier -->\n7 réplicas, port 7777\n<!-- fin a -->",
    ],
)
def test_what_is_none_of_our_business_is_let_pass(text: str) -> None:
    assert list(wrong(text, known())) == []
