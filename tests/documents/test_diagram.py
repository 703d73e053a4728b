"""The flowchart of an environment: each object once, each reference and each flow an arrow."""

import copy
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from documents.diagram import draw
from documents.facts import deployed
from tests.support.product import API, FOLLOWED, FRONT, PREFIX
from tools.manifests import Manifest
from tools.network import flows
from tools.repository import environments


@cache
def manifests(environment: str = FOLLOWED) -> list[Manifest]:
    return deployed(environment)


@cache
def known() -> flows.Flows:
    return flows.load(flows.deployed())


def chart(of: list[Manifest], environment: str = FOLLOWED) -> list[str]:
    return draw(environment, of, known()).splitlines()


@pytest.mark.parametrize("environment", environments())
def test_each_object_is_there_once(environment: str) -> None:
    drawn = "\n".join(chart(manifests(environment), environment))
    boxes = [part for box in re.findall(r'\["(.+?)"\]', drawn) for part in re.findall(r"[A-Z]+[a-z]\w+", box)]
    kinds = [one["kind"] for one in manifests(environment) if one["kind"] not in ("Namespace", "ServiceAccount")]
    assert sorted(boxes) == sorted(kinds)


@pytest.mark.parametrize(
    "arrow",
    [
        f"elsewhere-gateway ==> Service-{FRONT}",
        f"Service-{FRONT} --> Deployment-{FRONT}",
        f"Deployment-{FRONT} ==> Service-{API}",
        f"Deployment-{API} --> Secret-{PREFIX}-secret",
        f'elsewhere-monitoring =="9100/TCP"==> Deployment-{API}',
        f'Deployment-{FRONT} =="53/UDP, 53/TCP"==> elsewhere-dns',
    ],
)
def test_an_arrow_is_there(arrow: str) -> None:
    assert f"  {arrow}" in chart(manifests())


def test_what_network_policies_refuse_has_no_arrow() -> None:
    assert not [line for line in chart(manifests()) if re.match(rf" *Deployment-{API} =", line)]


def more_replicas(one: Manifest) -> None:
    one["spec"]["replicas"] += 1


def another_name(one: Manifest) -> None:
    one["metadata"]["name"] += "-new"


def another_node_port(one: Manifest) -> None:
    (port,) = one["spec"]["ports"]
    port["nodePort"] = port.get("nodePort", 30000) + 1


def nobody_s(one: Manifest) -> None:
    one["spec"]["selector"] = {"app": "nobody"}


def no_secret(one: Manifest) -> None:
    (container,) = one["spec"]["template"]["spec"]["containers"]
    container["env"] = [entry for entry in container["env"] if "secretKeyRef" not in entry.get("valueFrom", {})]


@pytest.mark.parametrize(
    ("kind", "name", "change"),
    [
        ("Deployment", API, more_replicas),
        ("Deployment", API, no_secret),
        ("Service", FRONT, another_node_port),
        ("Service", API, nobody_s),
        ("NetworkPolicy", "default-deny", another_name),
    ],
)
def test_a_changed_object_changes_it(kind: str, name: str, change: Callable[[Any], None]) -> None:
    changed = copy.deepcopy(manifests())
    (one,) = [one for one in changed if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    change(one)
    assert chart(changed) != chart(manifests())
