"""What pages say of names, ports, counts, paths and commands, held against what manifests and programs have."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from documents import facts as product
from documents.facts import PREFIX, base_name, container_of, of_kind
from tests.documents.reading import CODE, FENCE, pieces, without_regions
from tools.images import name_of
from tools.local import cluster, front, run
from tools.manifests import Manifest
from tools.network import flows
from tools.render import render
from tools.repository import APPLICATION, OVERLAYS, REPOSITORY

Sources = Mapping[str, Sequence[Manifest]]  # the objects of each environment
OPENAPI = REPOSITORY / "src" / "api" / "openapi.yaml"
MAKEFILE = REPOSITORY / "Makefile"


@dataclass(frozen=True)
class Facts:
    """What there is.

    Attributes:
        ports: in the cluster
        compose: that Compose opens on a developer's machine
        local: all that are opened there, by kind too
        node_ports: by environment
        services: the ports of each Service
        replicas: by environment and Deployment, without the product's prefix
        names: of objects, namespaces, clusters and containers, those that begin with the product's prefix
        paths: that the front or the API answers
    """

    ports: frozenset[int]
    compose: frozenset[int]
    local: frozenset[int]
    node_ports: Mapping[str, frozenset[int]]
    services: Mapping[str, frozenset[int]]
    replicas: Mapping[tuple[str, str], int]
    names: frozenset[str]
    namespaces: frozenset[str]
    images: frozenset[str]
    paths: frozenset[str]
    targets: frozenset[str]

    @property
    def environments(self) -> frozenset[str]:
        return frozenset(self.node_ports)


def facts(sources: Sources, compose: Mapping[str, Any]) -> Facts:
    """Return what the manifests of environments, and other programs, have."""
    manifests = [manifest for environment in sources.values() for manifest in environment]
    services = list(of_kind(manifests, "Service"))
    deployments = list(of_kind(manifests, "Deployment"))
    node_ports = {
        name: frozenset(_numbers(of_kind(of_environment, "Service"), "nodePort"))
        for name, of_environment in sources.items()
    }
    opened = {port["containerPort"] for one in deployments for port in container_of(one)["ports"]}
    ends = yaml.safe_load(flows.FLOWS.read_text())["ends"]
    elsewhere = [end for name, end in ends.items() if flows.group(name) == flows.ELSEWHERE]
    # `any` stands for a port that does not matter.
    named = [port for end in elsewhere for name, port in end.get("ports", {}).items() if name != "any"]
    others = {int(port.partition("/")[0]) for port in named}
    published = {int(port.split(":")[-2]) for service in compose["services"].values() for port in service["ports"]}
    of_nodes = frozenset[int]().union(*node_ports.values())
    namespaces = {manifest["metadata"]["namespace"] for manifest in manifests if "namespace" in manifest["metadata"]}
    return Facts(
        ports=frozenset(opened | others | of_nodes | set(_numbers(services, "port"))),
        compose=frozenset(published),
        local=frozenset(published | set(run.PORTS.values()) | of_nodes | {cluster.REGISTRY_PORT}),
        node_ports=node_ports,
        services={
            name: frozenset(_numbers((one for one in services if one["metadata"]["name"] == name), "port"))
            for name in (service["metadata"]["name"] for service in services)
        },
        replicas={
            (environment, one["metadata"]["name"].removeprefix(PREFIX)): one["spec"].get("replicas", 1)
            for environment, of_environment in sources.items()
            for one in of_kind(of_environment, "Deployment")
        },
        names=frozenset(namespaces | {base_name(one) for one in manifests} | _names_elsewhere()),
        namespaces=frozenset(namespaces | {end["namespace"] for end in elsewhere if "namespace" in end} | {"argocd"}),
        images=frozenset(name_of(container_of(one)["image"]) for one in deployments),
        paths=_paths(deployments),
        targets=frozenset(re.findall(r"^([a-z0-9-]+):", MAKEFILE.read_text(), re.MULTILINE)),
    )


def _numbers(services: Any, key: str) -> Iterator[int]:
    return (port[key] for service in services for port in service["spec"]["ports"] if key in port)


@cache
def _names_elsewhere() -> frozenset[str]:
    """Return the names of what no overlay renders: Argo CD's objects, the platform's, and those of a local cluster."""
    objects = [*render(APPLICATION.parent), *render(OVERLAYS.parent / "platform")]
    kind = yaml.safe_load(cluster.CONFIG.read_text())["name"]
    return frozenset({one["metadata"]["name"] for one in objects} | {cluster.REGISTRY, f"{kind}-control-plane"})


def _paths(deployments: Sequence[Manifest]) -> frozenset[str]:
    of_api = set(yaml.safe_load(OPENAPI.read_text())["paths"])
    of_front = set(re.findall(r"location (?:=|\^~) (/[\w./]+)", front.TEMPLATE.read_text()))
    probed = {container_of(one)[field]["httpGet"]["path"] for one in deployments for field in product.PROBES.values()}
    site = {f"/{path.name}" for path in (front.FRONT / "site").iterdir()}
    return frozenset(of_api | {f"/api{path}" for path in of_api} | of_front | probed | site | {"/metrics"})


@dataclass(frozen=True)
class Line:
    """A line of a page: as it stands, and its code alone."""

    text: str
    code: tuple[str, ...]

    def environments(self, known: Facts) -> set[str]:
        return {name for name in known.environments if re.search(rf"\b{name}\b", self.text)}


def wrong(page: str, known: Facts) -> Iterator[tuple[int, str]]:
    """Give what a page says that is not so, each with its line; regions that `make docs` writes are not looked at."""
    page = re.sub(r"<!--.*?-->", "", without_regions(page))
    code: dict[int, list[str]] = {}
    for piece in pieces(page):
        if piece.kind in (CODE, FENCE):
            code.setdefault(piece.line, []).append(piece.text)
    for number, text in enumerate(page.splitlines(), 1):
        line = Line(text, tuple(code.get(number, ())))
        yield from ((number, said) for rule in RULES for said in rule(line, known))


_LOCAL_HOSTS = ("localhost", "127.0.0.1")
_LOCAL = re.compile(r"localhost|127\.0\.0\.1|\bcompose\b|make run|make cluster|\bkind\b|_PORT\b", re.IGNORECASE)
_PORT = re.compile(
    r"(?P<host>[\w.$}\"><-]*):(?P<after>\d{2,5})(?![\w:.,-]*[\w:])"  # host:8080, 8080:80
    r"|\bports?\b(?: du nœud| de nœud| number)? (?P<named>\d{2,5}(?:(?:, | et | ou | and | or )\d{4,5})*)\b"
    r"|\bNodePort (?P<node>\d{2,5})\b"
    r"|\b(?P<typed>\d{2,5})/(?:TCP|UDP)\b"
    r"|(?<![\w.,])(?P<bare>3[012]\d{3})(?![\w.,]*\w)",  # the range of node ports
    re.IGNORECASE,
)


def ports(line: Line, known: Facts) -> Iterator[str]:
    """A port is one that something opens, on this machine only where the line is about it."""
    for found in _PORT.finditer(line.text):
        host = found["host"] or ""
        if host.isdecimal() and "port-forward" not in line.text:
            continue  # a time of the day, or a user and a group
        allowed = _allowed(host, line, known)
        for number in re.findall(r"\d+", next(filter(None, found.groups()[1:]))):
            if int(number) not in allowed:
                yield f"port {number}: nothing opens it"


def _allowed(host: str, line: Line, known: Facts) -> frozenset[int]:
    for service, ports in known.services.items():
        if host.startswith(service):
            return ports
    local = known.compose if "compose" in line.text.lower() else known.local
    if host.endswith(_LOCAL_HOSTS):
        return local
    return known.ports | (local if _LOCAL.search(line.text) else frozenset())


def node_port_of_another(line: Line, known: Facts) -> Iterator[str]:
    """A node port stands by the environment that it is of, if by any."""
    named = line.environments(known)
    for environment, numbers in known.node_ports.items():
        for number in numbers:
            if named and environment not in named and re.search(rf"\b{number}\b", line.text):
                yield f"node port {number}: it is of {environment}, not of {', '.join(sorted(named))}"


_WORDS = {"deux": 2, "trois": 3, "quatre": 4, "cinq": 5, "two": 2, "three": 3, "four": 4, "five": 5}
_COUNT = re.compile(
    rf"(?<!moins de )(?<!fewer than )(?<!plus de )(?<!more than )(?<!--)"
    rf"\b(?P<many>\d+|{'|'.join(_WORDS)}) r[ée]plicas?\b(?! (?:or more|ou plus|au moins|at least))"
    r"|\b(?P<of>API|front) ?[×x] ?(?P<times>\d+)\b"
    r"|\breplicas: (?P<field>\d+)\b",
    re.IGNORECASE,
)


def counts(line: Line, known: Facts) -> Iterator[str]:
    """A number of replicas is that of the Deployments and environments of which the line speaks."""
    environments = line.environments(known) or known.environments
    for found in _COUNT.finditer(line.text):
        spoken = [found["of"].lower()] if found["of"] else [
            name for _, name in known.replicas if re.search(rf"\b{name}\b", line.text, re.IGNORECASE)
        ]  # fmt: skip
        counted = {
            count
            for (environment, name), count in known.replicas.items()
            if environment in environments and (name in spoken or not spoken)
        }
        said = found["many"] or found["times"] or found["field"]
        if (_WORDS.get(said.lower()) or int(said)) not in counted:
            yield f"'{found[0]}': the manifests have {', '.join(map(str, sorted(counted)))}"


def names(line: Line, known: Facts) -> Iterator[str]:
    """A name that begins as the product's do is that of an object."""
    for found in re.findall(rf"(?<![\w-]){PREFIX}[a-z0-9]+(?:-[a-z0-9]+)*", line.text):
        if found not in known.names:
            yield f"{found}: nothing has that name"
    for code in line.code:
        for found in re.findall(r"(?:\s-n|--namespace)[ =]([a-z][\w-]*)", code):
            if found not in known.namespaces:
                yield f"{found}: there is no such namespace"


def images(line: Line, known: Facts) -> Iterator[str]:
    """An image is one that a Deployment names, or what the names of some begin with."""
    named = known.images | {name.rpartition("/")[0] for name in known.images}
    for found in re.findall(r"ghcr\.io/[\w./-]*\w", line.text):
        if found not in named:
            yield f"{found}: no Deployment has that image"


_OF_THE_SYSTEM = re.compile(r"/(?:etc|usr|opt|tmp|var|proc|dev|sys|home|root|run|bin)\b")


def paths(line: Line, known: Facts) -> Iterator[str]:
    """A path below the front or the API is one that they answer."""
    asked = re.findall(r"(?:localhost|127\.0\.0\.1|NODE_ADDRESS\}?\"?|<nœud>)(?::[\w$]+)?(/[\w./-]*)", line.text)
    told = [code for code in line.code if re.fullmatch(r"/[\w./-]*", code) and not _OF_THE_SYSTEM.match(code)]
    for found in (*asked, *told):
        if found not in known.paths:
            yield f"{found}: neither the front nor the API answers it"


def commands(line: Line, known: Facts) -> Iterator[str]:
    """A target of make is one of the Makefile, and an environment one of the overlays."""
    for code in line.code:
        for found in re.findall(r"(?:^|[\s;&|(])make ([a-z][\w-]*)", code):
            if found not in known.targets:
                yield f"make {found}: the Makefile has no such target"
        for found in re.findall(r"\bENV=([\w-]+)", code):
            if found not in known.environments:
                yield f"ENV={found}: there is no such environment"


_TOP = {path.name for path in REPOSITORY.iterdir() if path.is_dir()} - {".git", ".venv", ".build"}


def files(line: Line, known: Facts) -> Iterator[str]:
    """A file of the repository is there."""
    assert known
    for code in line.code:
        for found in re.findall(r"(?<![\w./$<{-])([\w.-]+/[\w./-]*\w)(?![\w<*{…$])", code):
            if Path(found).parts[0] in _TOP and not (REPOSITORY / found).exists():
                yield f"{found}: there is no such file"


RULES: tuple[Callable[[Line, Facts], Iterator[str]], ...] = (
    ports,
    node_port_of_another,
    counts,
    names,
    images,
    paths,
    commands,
    files,
)
