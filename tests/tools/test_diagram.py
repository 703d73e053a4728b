"""The diagram of an environment shows its objects and the flows, and changes with them."""

import copy
import re
from collections.abc import Callable

import pytest

from tools import contract, diagram, flows
from tools.contract import PREFIX, of_kind
from tools.render import Manifest, environments

ENVIRONMENT = "recette"
API, FRONT = f"{PREFIX}api", f"{PREFIX}front"
Change = Callable[[list[Manifest]], None]


def manifests() -> dict[str, list[Manifest]]:
    """Return the objects of each environment: the caller's own, to change."""
    return {name: copy.deepcopy(contract.deployed(name)) for name in environments()}


def drawn(change: Change = lambda _: None) -> list[str]:
    deployed = manifests()
    change(deployed[ENVIRONMENT])
    return diagram.draw(ENVIRONMENT, deployed).splitlines()


def of(objects: list[Manifest], kind: str, name: str) -> Manifest:
    (found,) = [one for one in of_kind(objects, kind) if one["metadata"]["name"] == name]
    return found


def removed(kind: str, name: str) -> Change:
    return lambda objects: objects.remove(of(objects, kind, name))


def container(objects: list[Manifest]) -> Manifest:
    return contract.container_of(of(objects, "Deployment", API))


def another_port(objects: list[Manifest]) -> None:
    container(objects)["ports"][0]["containerPort"] = 8007


def another_service_port(objects: list[Manifest]) -> None:
    of(objects, "Service", API)["spec"]["ports"][0]["port"] = 87


def another_node_port(objects: list[Manifest]) -> None:
    of(objects, "Service", FRONT)["spec"]["ports"][0]["nodePort"] = 30087


def another_count(objects: list[Manifest]) -> None:
    of(objects, "Deployment", API)["spec"]["replicas"] = 7


def no_secret_read(objects: list[Manifest]) -> None:
    container(objects)["env"] = [one for one in container(objects)["env"] if "secret" not in str(one)]


# What is changed → what the diagram then has no more, and what in place of it.
CHANGES: dict[str, tuple[Change, list[str], list[str]]] = {
    "a Service is gone": (
        removed("Service", API),
        [
            '    Service_datapress_api(["Service<br>datapress-api<br>ClusterIP"])',
            '  Service_datapress_api ---|"80 → 8000"| Deployment_datapress_api',
        ],
        [],
    ),
    "a policy is gone": (
        removed("NetworkPolicy", API),
        [
            '    NetworkPolicy_datapress_api{{"NetworkPolicy<br>datapress-api"}}',
            "  NetworkPolicy_datapress_api --- Deployment_datapress_api",
        ],
        [],
    ),
    "a port": (
        another_port,
        [
            '    Deployment_datapress_api["Deployment<br>datapress-api<br>2 × 8000 (http), 9100 (metrics)"]',
            '  Service_datapress_api ---|"80 → 8000"| Deployment_datapress_api',
            '  Deployment_datapress_front ==>|"8000/TCP"| Deployment_datapress_api',
        ],
        [
            '    Deployment_datapress_api["Deployment<br>datapress-api<br>2 × 8007 (http), 9100 (metrics)"]',
            '  Service_datapress_api ---|"80 → 8007"| Deployment_datapress_api',
            '  Deployment_datapress_front ==>|"8007/TCP"| Deployment_datapress_api',
        ],
    ),
    "a Service's port": (
        another_service_port,
        ['  Service_datapress_api ---|"80 → 8000"| Deployment_datapress_api'],
        ['  Service_datapress_api ---|"87 → 8000"| Deployment_datapress_api'],
    ),
    "a node port": (
        another_node_port,
        ['    Service_datapress_front(["Service<br>datapress-front<br>NodePort<br>port du nœud 30080"])'],
        ['    Service_datapress_front(["Service<br>datapress-front<br>NodePort<br>port du nœud 30087"])'],
    ),
    "a number of replicas": (
        another_count,
        ['    Deployment_datapress_api["Deployment<br>datapress-api<br>2 × 8000 (http), 9100 (metrics)"]'],
        ['    Deployment_datapress_api["Deployment<br>datapress-api<br>7 × 8000 (http), 9100 (metrics)"]'],
    ),
    "a Secret is not read": (no_secret_read, ["  Secret_datapress_secret -.-> Deployment_datapress_api"], []),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_shows(what: str) -> None:
    change, gone, new = CHANGES[what]
    before, after = drawn(), drawn(change)
    assert [line for line in before if line not in after] == gone
    assert [line for line in after if line not in before] == new


def test_every_object_has_a_node_and_every_flow_a_line() -> None:
    lines = drawn()
    objects = [one for one in manifests()[ENVIRONMENT] if one["kind"] in diagram.SHAPES]
    assert sum(line.startswith("    ") for line in lines) == len(objects) > 0
    known = flows.load(flows.deployed())
    ports = [port for line in lines if diagram.CONNECTS in line for port in re.findall(r"\d+/(?:TCP|UDP)", line)]
    assert len(ports) == sum(map(len, diagram.connections_of(ENVIRONMENT, known).values())) > 0


@pytest.mark.parametrize("environment", environments())
def test_every_line_joins_nodes_that_there_are(environment: str) -> None:
    lines = [line.strip() for line in diagram.draw(environment, manifests()).splitlines()]
    joined = {end for line in lines for end in re.findall(r"^(\w+) (?:---|-\.->|==>).*? (\w+)$", line) for end in end}
    named = {found[0] for line in lines if (found := re.match(r"\w+(?=[(\[{])", line))}
    assert joined
    assert joined <= named


def test_no_tag_no_digest_and_no_hash_shows() -> None:
    text = "\n".join(drawn())
    assert not re.search(r"sha256|sha-|-[a-z0-9]{10}\b", text)
