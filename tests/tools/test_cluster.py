"""`make cluster`, with programs that stand in for kind and Docker."""

import pytest
import yaml

from tests.support.product import rendered
from tests.support.programs import Fakes
from tools.command import run_program
from tools.images import images_of
from tools.local.cluster import CONFIG, PUSHED, REGISTRY_IMAGE, REGISTRY_PORT, cluster
from tools.repository import environments

NETWORK = {"network inspect": (0, "fc00:f853::1 172.18.0.1")}
NAME = yaml.safe_load(CONFIG.read_text())["name"]
UP = {"version": (0, "29.0.0"), "container inspect": (1, "no such container"), **NETWORK}


def test_a_new_cluster_is_made_as_its_file_says(fakes: Fakes, capsys: pytest.CaptureFixture[str]) -> None:
    fakes.add("docker", UP)
    fakes.add("kind", {"get clusters": (0, f"another\n{NAME}-2"), "get nodes": (0, "one")})
    assert run_program("cluster", cluster) == 0
    assert fakes.calls("kind")[1] == f"kind create cluster --config {CONFIG} --wait 120s"
    (started,) = fakes.calls("docker run")
    assert f"--publish 127.0.0.1:{REGISTRY_PORT}:5000 --network kind " in started
    assert started.endswith(f" --name {NAME}-registry {REGISTRY_IMAGE}")
    told = capsys.readouterr().out
    assert "make deploy" in told
    assert f"REGISTRY={PUSHED} NODE_ADDRESS=127.0.0.1 HOST_ADDRESS=172.18.0.1" in told


def test_its_kubernetes_can_be_chosen(fakes: Fakes) -> None:
    fakes.add("docker", UP)
    fakes.add("kind", {"get clusters": (0, ""), "get nodes": (0, "one")})
    assert run_program("cluster", lambda: cluster("1.34.8")) == 0
    assert fakes.calls("kind create")[0].endswith(" --image kindest/node:v1.34.8")


@pytest.mark.parametrize("version", ["1.34", "v1.34.8", "latest"])
def test_what_is_not_a_version_is_refused(fakes: Fakes, capsys: pytest.CaptureFixture[str], version: str) -> None:
    assert run_program("cluster", lambda: cluster(version)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"cluster: error: KUBERNETES={version} is not a version: give all three numbers, as in KUBERNETES=1.36.1"
    )
    assert not fakes.calls()


def test_every_node_looks_into_the_registry_first(fakes: Fakes) -> None:
    """For what is pushed there by its own name, and for what the overlays name."""
    fakes.add("docker", UP)
    fakes.add("kind", {"get clusters": (0, ""), "get nodes": (0, "one two")})
    assert run_program("cluster", cluster) == 0
    named = {image.name.partition("/")[0] for name in environments() for image in images_of(rendered(name))}
    written = [(words[3], words[-1]) for words in map(str.split, fakes.calls("docker exec"))]
    assert written == [
        (node, f">/etc/containerd/certs.d/{registry}/hosts.toml")
        for node in ("one", "two")
        for registry in (PUSHED, *sorted(named))
    ]


def test_a_cluster_that_is_there_is_kept(fakes: Fakes) -> None:
    fakes.add("docker", {"version": (0, "29.0.0"), **NETWORK})
    fakes.add("kind", {"get clusters": (0, f"another\n{NAME}"), "get nodes": (0, "one")})
    assert run_program("cluster", cluster) == 0
    assert fakes.calls("kind")[1] == f"kind export kubeconfig --name {NAME}"
    assert fakes.calls("docker start") == [f"docker start {NAME}-registry"]
    assert not fakes.calls("docker run")


@pytest.mark.parametrize(
    ("there", "told"),
    [
        ({}, "the command 'docker' is missing: install it"),
        ({"docker": {"version": (1, "Cannot connect")}}, "the Docker daemon does not answer: start it"),
        ({"docker": UP}, "the command 'kind' is missing: install 0.32 or later"),
    ],
)
def test_what_is_missing_is_told(
    fakes: Fakes, capsys: pytest.CaptureFixture[str], there: dict[str, dict[str, tuple[int, str]]], told: str
) -> None:
    for name, answers in there.items():
        fakes.add(name, answers)
    assert run_program("cluster", cluster) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"cluster: error: {told}")


@pytest.mark.parametrize("step", ["get clusters", "create cluster", "get nodes", "network inspect", "docker exec"])
def test_what_kind_or_docker_cannot_do_fails(fakes: Fakes, capfd: pytest.CaptureFixture[str], step: str) -> None:
    said = {step: (1, "their own words")}
    fakes.add("docker", said | UP if step not in UP else UP | said)
    fakes.add("kind", said if step == "get nodes" else said | {"get nodes": (0, "one")})
    assert run_program("cluster", cluster) == 1
    assert "their own words" in capfd.readouterr().err


def test_each_node_port_is_mapped_to_this_machine_alone() -> None:
    (node,) = yaml.safe_load(CONFIG.read_text())["nodes"]
    node_ports = {
        port["nodePort"]
        for environment in environments()
        for item in rendered(environment)
        if item["kind"] == "Service"
        for port in item["spec"]["ports"]
        if "nodePort" in port
    }
    mapped = {(item["containerPort"], item["hostPort"], item["listenAddress"]) for item in node["extraPortMappings"]}
    assert mapped == {(port, port, "127.0.0.1") for port in node_ports}
