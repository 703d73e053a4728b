"""`python -m tools compare`: the table of how the environments differ."""

import argparse
import copy
import json
from typing import Any

import pytest

from tests.support.product import API, FOLLOWED, FRONT, namespace, node_port, rendered
from tools.compare import add_arguments, facts, main
from tools.repository import environments

ENVIRONMENT = FOLLOWED


def options(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(arguments)


def test_a_promotion_leaves_the_page_as_it_is() -> None:
    manifests = rendered(ENVIRONMENT)
    promoted: Any = json.loads(json.dumps(manifests).replace(":sha-", ":sha-0@sha256:"))
    assert promoted != manifests
    assert dict(facts(promoted, pins=False)) == dict(facts(manifests, pins=False))
    assert dict(facts(promoted, pins=True)) != dict(facts(manifests, pins=True))


@pytest.mark.parametrize(
    ("kind", "name", "path", "row"),
    [
        ("Deployment", API, ["spec", "replicas"], f"{API}: replicas"),
        ("Service", FRONT, ["spec", "type"], f"{FRONT}: exposure"),
        ("ConfigMap", "datapress-config", ["data", "APP_ENV"], "APP_ENV"),
        ("Namespace", namespace(ENVIRONMENT), ["metadata", "name"], "namespace"),
    ],
)
def test_what_an_overlay_decides_is_in_the_table(kind: str, name: str, path: list[Any], row: str) -> None:
    manifests = copy.deepcopy(rendered(ENVIRONMENT))
    before = dict(facts(manifests, pins=True))
    (field,) = [one for one in manifests if one["kind"] == kind and one["metadata"]["name"].startswith(name)]
    for step in path[:-1]:
        field = field[step]
    field[path[-1]] = "another"
    after = dict(facts(manifests, pins=True))
    assert {key for key in before if before[key] != after.get(key)} == {row}


def test_machines_and_people_are_told_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(options("--json")) == 0
    table = json.loads(capsys.readouterr().out)
    assert main(options()) == 0
    said = capsys.readouterr().out
    for row, values in table.items():
        assert list(values) == environments()
        assert f"{row}\n" in said
        assert all(value in said for value in values.values())
    exposures = table[f"{FRONT}: exposure"]
    for name, exposure in exposures.items():
        assert str(node_port(name) or "ClusterIP") in exposure


def test_no_secret_is_told() -> None:
    assert not any("demo-" in value for name in environments() for _, value in facts(rendered(name), pins=True))
