"""Every set of components that makes sense renders, and `make check` has nothing against it; another is refused."""

import shutil
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa

import tools.check  # noqa: F401 - it has the rules register themselves
from tests.support.product import BY_HAND, FRONT, path, rendered
from tools import seal
from tools.check.apiserver import judge
from tools.check.catalogue import RULES, Scope, of
from tools.check.rendering import Problem, Rendering, Tree, open_tree
from tools.manifests import NAMESPACE_NAME, NODE_PORT_TYPES, Manifest, pods_of, type_of
from tools.network.flows import FLOWS
from tools.render import RenderError
from tools.repository import OVERLAYS, REPOSITORY

COMPONENTS = OVERLAYS.parent / "components"
NAMES = sorted(file.parent.name for file in COMPONENTS.glob("*/kustomization.yaml"))
# Rules on what objects owe each other; between environments there is nothing to ask here.
BETWEEN_OBJECTS = ("certificate", "gateway", "host", "probe", "way-in")
# What each is nothing without.
NEEDS = {"gateway": {"network-policy"}, "acme-http01": {"gateway", "network-policy"}}
GATEWAY = """- {op: replace, path: /spec/gatewayClassName, value: any}
- {op: replace, path: /spec/listeners/0/hostname, value: any.example}
- {op: replace, path: /spec/listeners/1/hostname, value: any.example}
- {op: replace, path: /metadata/annotations/cert-manager.io~1cluster-issuer, value: any}
"""
# Alone and with all the others is enough: it has the secret, which no other touches.
SEALED = "sealed-secret"
PROBE = "- {op: replace, path: /spec/targets/staticConfig/static, value: ['https://any.example/']}"


def makes_sense(taken: Sequence[str]) -> bool:
    sealed = SEALED not in taken or len(taken) in (1, len(NAMES))
    return sealed and all(NEEDS.get(one, set()) <= set(taken) for one in taken)


# The one that the API reads of a Secret.
(KEY,) = {one.key for pod in pods_of(rendered(BY_HAND)) for one in pod.reads() if one.kind == "Secret"}
SETS = [taken for number in range(len(NAMES) + 1) for taken in combinations(NAMES, number)]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tree]:
    """A copy of the manifests, whose overlays a test may change."""
    root = tmp_path_factory.mktemp("combinations")
    for name in ("deploy", "argocd"):
        shutil.copytree(REPOSITORY / name, root / name)
    with open_tree(root) as found:
        yield found


def taking(tree: Tree, taken: Sequence[str]) -> Rendering:
    """Return an environment with components, and with what they ask of its overlay.

    Raises:
        RenderError: if Kustomize refuses that.
    """
    own = OVERLAYS / BY_HAND
    kustomization = yaml.safe_load((own / "kustomization.yaml").read_text())
    order = [one.name for one in tree.missing_components(own) if one.name in taken]
    kustomization["components"] += [f"../../components/{name}" for name in order]
    overlay = tree.root / path(BY_HAND)
    if "gateway" in taken:
        (overlay / "gateway.yaml").write_text(GATEWAY)
        kustomization["patches"] = [{"path": "gateway.yaml", "target": {"kind": "Gateway"}}]
    if {"gateway", "monitoring"} <= set(taken):
        kustomization["patches"].append({"patch": PROBE, "target": {"kind": "Probe"}})
    if SEALED in taken:
        kustomization["resources"].append(_seal(overlay))
        del kustomization["secretGenerator"]
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return tree.render(overlay)


def _seal(overlay: Path) -> str:
    """Write what `make seal` would, with the key of nobody; return the file's name."""
    where, name = seal.read_by(rendered(BY_HAND), KEY)
    encrypted = seal.encrypt(b"any", f"{where}/{name}", rsa.generate_private_key(65537, 2048).public_key())
    return seal.write(overlay, seal.sealed_secret(name, where, KEY, encrypted)).name


def problems(tree: Tree, rendering: Rendering) -> Iterator[Problem]:
    (answers,) = judge(tree, [rendering])
    yield from (found for rule in of(Scope.JUDGED) for found in rule.find(rendering, answers))
    yield from (found for rule in of(Scope.RENDERING) for found in rule.find(rendering))
    yield from (found for name in BETWEEN_OBJECTS for found in RULES[name].find(tree, [rendering]))


@pytest.mark.parametrize("taken", [one for one in SETS if makes_sense(one)], ids="+".join)
def test_a_set_of_components_has_nothing_to_correct(tree: Tree, taken: Sequence[str]) -> None:
    rendering = taking(tree, taken)
    assert [problem.reason for problem in problems(tree, rendering) if not problem.note] == []
    (service,) = [one for one in rendering.of_kind("Service") if one["metadata"]["name"] == FRONT]
    assert (type_of(service) in NODE_PORT_TYPES) == ("gateway" not in taken)


@pytest.mark.parametrize(
    "taken", [one for one in SETS if "gateway" in one and SEALED not in one and not makes_sense(one)], ids="+".join
)
def test_a_gateway_without_network_policies_is_refused(tree: Tree, taken: Sequence[str]) -> None:
    """Rather than rendered with a front that is open to everybody."""
    with pytest.raises(RenderError, match=f"NetworkPolicy.*{FRONT}"):
        taking(tree, taken)


def test_behind_a_gateway_its_pods_and_the_smoke_test_are_let_in(tree: Tree) -> None:
    """By what deploy/flows.yaml says of them; without one the front is open to all."""
    taken = ["network-policy", "smoke-test"]
    assert _peers(taking(tree, taken)) == []
    behind = taking(tree, [*taken, "gateway"])
    end = yaml.safe_load(FLOWS.read_text())["ends"]["elsewhere/gateway"]
    gateway = {"namespaceSelector": {"matchLabels": {NAMESPACE_NAME: end["namespace"]}}}
    (smoke,) = [pod for pod in behind.pods if pod.manifest["kind"] == "Job"]
    own = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": smoke.labels["app.kubernetes.io/name"]}}}
    assert _peers(behind) == [gateway | {"podSelector": {"matchLabels": end["labels"]}}, own]


def _peers(rendering: Rendering) -> list[Manifest]:
    """Return whom the front's policy names; nobody where it is open to all."""
    (policy,) = [one for one in rendering.of_kind("NetworkPolicy") if one["metadata"]["name"] == FRONT]
    return [peer for rule in policy["spec"]["ingress"] for peer in rule.get("from", [])]
