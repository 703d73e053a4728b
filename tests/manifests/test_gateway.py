"""The way in by a Gateway: of each environment that has one, and of the component as it is."""

from functools import cache
from typing import Any

import pytest

from tests.support.manifests import Environment
from tests.support.product import FOLLOWED, FRONT, deployed, overlay
from tools.check.rendering import open_tree
from tools.manifests import Manifest, listeners_of
from tools.repository import REPOSITORY, environments

COMPONENT = "component"


@cache
def with_every_component(name: str) -> list[Manifest]:
    with open_tree(REPOSITORY) as tree:
        return tree.renderings(overlay(name))[-1].objects


def has_a_gateway(name: str) -> bool:
    return any(manifest["kind"] == "Gateway" for manifest in deployed(name))


@pytest.fixture(params=[*filter(has_a_gateway, environments()), COMPONENT])
def behind(request: pytest.FixtureRequest) -> Environment:
    if request.param == COMPONENT:
        return Environment(FOLLOWED, tuple(with_every_component(FOLLOWED)))
    return Environment(request.param, tuple(deployed(request.param)))


def listeners(environment: Environment) -> dict[str, dict[str, Any]]:
    (gateway,) = environment.of_kind("Gateway")
    return {listener["protocol"]: listener for _, listener in listeners_of(gateway)}


def rules(environment: Environment, protocol: str) -> list[dict[str, Any]]:
    """Return the rules of the routes that belong to a listener."""
    (gateway,) = environment.of_kind("Gateway")
    parent = {"name": gateway["metadata"]["name"], "sectionName": listeners(environment)[protocol]["name"]}
    routes = [one for one in environment.of_kind("HTTPRoute") if one["spec"]["parentRefs"] == [parent]]
    return [rule for route in routes for rule in route["spec"]["rules"]]


def test_both_listeners_have_the_host_and_one_has_tls(behind: Environment) -> None:
    found = listeners(behind)
    assert found.keys() == {"HTTP", "HTTPS"}
    assert "tls" not in found["HTTP"]
    assert found["HTTPS"]["tls"]["mode"] == "Terminate"
    assert len(found["HTTPS"]["tls"]["certificateRefs"]) == 1
    assert found["HTTP"]["hostname"] == found["HTTPS"]["hostname"]


def test_plain_http_leads_to_https_and_nowhere_else(behind: Environment) -> None:
    (rule,) = rules(behind, "HTTP")
    (redirect,) = rule.pop("filters")
    assert redirect == {"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "statusCode": 301}}
    assert rule == {}


def test_https_leads_to_the_front_with_what_only_tls_allows(behind: Environment) -> None:
    (rule,) = rules(behind, "HTTPS")
    (backend,) = rule["backendRefs"]
    (port,) = behind.get("Service", FRONT)["spec"]["ports"]
    assert (backend["name"], backend["port"]) == (FRONT, port["port"])
    (answer,) = rule["filters"]
    assert answer["type"] == "ResponseHeaderModifier"
    added = {one["name"]: one["value"] for one in answer["responseHeaderModifier"]["set"]}
    assert added.keys() == {"Strict-Transport-Security", "Cross-Origin-Opener-Policy"}
    assert added["Cross-Origin-Opener-Policy"] == "same-origin"


def test_the_gateway_waits_longer_than_the_front(behind: Environment) -> None:
    """Else the user gets the gateway's error in place of the front's, which has a request id."""
    (rule,) = rules(behind, "HTTPS")
    (template,) = (REPOSITORY / "src" / "front" / "templates").iterdir()
    limits = dict(
        line.split()[:2] for line in template.read_text().splitlines() if "proxy_" in line and "_timeout" in line
    )
    assert len(limits) == 3
    assert _seconds(rule["timeouts"]["request"]) > sum(_seconds(text.rstrip(";")) for text in limits.values())


def _seconds(text: str) -> float:
    number, unit = (text[:-2], 1000) if text.endswith("ms") else (text[:-1], 1)
    return float(number) / unit
