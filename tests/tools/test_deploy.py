"""`make deploy` and `make undeploy`, with programs that stand in for Docker, kind and, but for its errors, kubectl."""

import copy
import io
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tools.conftest import Fakes, rendered
from tools.command import RefusedError, run_program
from tools.images import images_of, version
from tools.local import deploy
from tools.local.deploy import Cluster, confirm, load_command, main, write_kustomization
from tools.manifests import Manifest
from tools.render import render
from tools.repository import OVERLAYS, REPOSITORY, environments

REMOTE = "team@production"
SERVER = "https://192.0.2.1:6443"
REVISION = "0123456789abcdef"
DIGEST = f"sha256:{'ab' * 32}"
NAMES = [f"ghcr.io/datapress/{name}" for name in ("api", "front")]
PUSHED = [name.replace("ghcr.io", "registry:5000") for name in NAMES]
UP = {"version": (0, "29.0.0")}


@pytest.fixture(autouse=True)
def quiet_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REGISTRY", "NODE_ADDRESS", "ASSUME_YES"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def asked_urls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The URLs that were looked at; each of them answers."""
    urls: list[str] = []
    monkeypatch.setattr(deploy, "answers", lambda url: not urls.append(url))  # type: ignore[func-returns-value]
    return urls


@pytest.fixture
def set_up(fakes: Fakes, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that makes a context's cluster, and a Docker."""

    def make(context: str, **answers: tuple[int, str]) -> None:
        kubectl = {"current-context": (0, context), "config view": (0, SERVER)}
        fakes.add("kubectl", kubectl | {name.replace("_", " "): answer for name, answer in answers.items()})
        pushed = "\n".join(f"{name}@{DIGEST}" for name in PUSHED)
        fakes.add("docker", UP | {"inspect": (0, pushed)})
        for tool in ("kind", "minikube", "k3d"):
            fakes.add(tool)
        monkeypatch.setattr(deploy, "kubectl", lambda: "kubectl")
        monkeypatch.setattr(deploy, "revision", lambda: REVISION)
        monkeypatch.setattr(deploy, "render", lambda directory: rendered(directory.name))

    return make


def status(*arguments: str) -> int:
    return run_program("deploy", lambda: main(list(arguments)))


def changes(fakes: Fakes) -> list[str]:
    """Return what was called that changes something."""
    looks = ("config", "get --raw", "docker version", "image inspect", "get nodes")
    return [call for call in fakes.calls() if not any(look in call for look in looks)]


# --- the whole of it


def test_a_kind_cluster_gets_the_images_and_the_overlay(
    fakes: Fakes, set_up: Callable[..., None], asked_urls: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    set_up("kind-datapress")
    assert status("up", "recette") == 0
    kubectl = "kubectl --context kind-datapress"
    names = [f"{name}:sha-{REVISION}" for name in NAMES]
    arguments = f"--build-arg=VERSION={version()} --build-arg=REVISION={REVISION}"
    assert changes(fakes) == [
        f"docker build {arguments} --tag {names[0]} {REPOSITORY}/src/api",
        f"docker build {arguments} --tag {names[1]} {REPOSITORY}/src/front",
        f"kind load docker-image --name datapress {names[0]}",
        f"kind load docker-image --name datapress {names[1]}",
        f"{kubectl} apply --kustomize {REPOSITORY}/.build/deploy/recette",
        f"{kubectl} --namespace datapress-recette rollout status deployment/datapress-api --timeout=180s",
        f"{kubectl} --namespace datapress-recette rollout status deployment/datapress-front --timeout=180s",
    ]
    assert asked_urls == ["http://localhost:30080/"]
    said = capfd.readouterr().out
    for part in ("kind-datapress", SERVER, "datapress-recette", *names, "Ready: http://localhost:30080/"):
        assert part in said


def test_a_registry_gets_the_images_and_the_cluster_their_digests(
    fakes: Fakes, set_up: Callable[..., None], asked_urls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(REMOTE)
    monkeypatch.setenv("REGISTRY", "registry:5000")
    monkeypatch.setenv("NODE_ADDRESS", "192.0.2.7")
    assert status("up", "dev", "--yes") == 0
    assert fakes.calls("docker push") == [f"docker push {name}:sha-{REVISION}" for name in PUSHED]
    applied = render(REPOSITORY / ".build" / "deploy" / "dev")
    assert images(applied) == [f"{name}:sha-{REVISION}@{DIGEST}" for name in PUSHED]
    assert asked_urls == ["http://192.0.2.7:30081/"]


@pytest.mark.usefixtures("asked_urls")
@pytest.mark.parametrize(
    ("name", "loads"),
    [
        ("minikube", "minikube image load {}"),
        ("k3d-try", "k3d image import --cluster try {}"),
        ("docker-desktop", None),
    ],
)
def test_each_local_cluster_gets_images_its_own_way(
    fakes: Fakes, set_up: Callable[..., None], name: str, loads: str | None
) -> None:
    set_up(name)
    assert status("up", "dev") == 0
    names = [f"{name}:sha-{REVISION}" for name in NAMES]
    assert changes(fakes)[2:-3] == ([loads.format(name) for name in names] if loads else [])


def test_undeploy_deletes_what_the_overlay_renders(fakes: Fakes, set_up: Callable[..., None]) -> None:
    set_up("kind-datapress")
    assert status("down", "dev") == 0
    delete = f"delete --kustomize {OVERLAYS}/dev --ignore-not-found --timeout=180s"
    assert changes(fakes) == [f"kubectl --context kind-datapress {delete}"]


@pytest.mark.usefixtures("asked_urls")
def test_the_address_is_that_of_a_node(
    set_up: Callable[..., None], asked_urls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(REMOTE, get_nodes=(0, " 192.0.2.8"))
    monkeypatch.setenv("REGISTRY", "registry:5000")
    monkeypatch.setenv("ASSUME_YES", "1")
    assert status("up", "dev") == 0
    assert asked_urls == ["http://192.0.2.8:30081/"]


def test_a_node_port_out_of_reach_is_told_with_another_way(
    set_up: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    set_up("minikube", get_nodes=(1, "forbidden"))
    monkeypatch.setattr(deploy, "URL_SECONDS", 0)
    monkeypatch.setattr(deploy, "answers", lambda _url: False)
    assert status("up", "dev") == 0
    said = capfd.readouterr().out
    assert "http://localhost:30081/ does not answer here" in said
    assert "kubectl --context minikube -n datapress-dev port-forward service/datapress-front 8081:80" in said
    assert "Ready" not in said


def test_a_rollout_that_fails_shows_why(
    fakes: Fakes, set_up: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    set_up(
        "kind-datapress",
        rollout=(1, "exceeded its progress deadline"),
        get_pods=(0, "datapress-api-1 CrashLoopBackOff"),
        events=(0, "Back-off restarting"),
        logs=(0, "APP_ENV holds 'nowhere'"),
    )
    assert status("up", "dev") == 1
    said = capfd.readouterr()
    for part in ("CrashLoopBackOff", "Back-off restarting", "APP_ENV holds 'nowhere'"):
        assert part in said.out
    assert said.err.splitlines()[-1].startswith(
        "deploy: error: the Deployment datapress-api in datapress-dev does not get ready"
    )
    assert all(
        "app.kubernetes.io/name=datapress-api" in call for call in fakes.calls() if "logs" in call or "get pods" in call
    )


@pytest.mark.parametrize("step", ["build", "push", "apply"])
def test_nothing_follows_a_step_that_fails(
    fakes: Fakes,
    set_up: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    step: str,
) -> None:
    set_up(REMOTE, apply=(3, "refused"))
    if step != "apply":
        fakes.add("docker", UP | {step: (3, "refused")})
    monkeypatch.setenv("REGISTRY", "registry:5000")
    assert status("up", "dev", "--yes") == 1
    assert f" {step} " in changes(fakes)[-1]
    said = capfd.readouterr().err
    assert "refused" in said
    assert "deploy: error: this ended with status 3:" in said


def test_kubernetes_gives_up_on_a_rollout_before_we_do() -> None:
    for environment in environments():
        for item in rendered(environment):
            if item["kind"] == "Deployment":
                assert item["spec"]["progressDeadlineSeconds"] < deploy.ROLLOUT_SECONDS


# --- what is refused; nothing is changed then


def refusal(fakes: Fakes, capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the one line that a request gets which must be refused."""
    assert status(*arguments) == 2
    assert changes(fakes) == []
    (line,) = capfd.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize("action", ["up", "down"])
def test_a_wrong_environment_lists_the_right_ones(fakes: Fakes, capfd: pytest.CaptureFixture[str], action: str) -> None:
    said = refusal(fakes, capfd, action, "prod")
    assert said.startswith("deploy: error: ENV=prod is no environment")
    assert all(environment in said for environment in environments())


def test_a_wrong_command_line_is_refused(fakes: Fakes, capfd: pytest.CaptureFixture[str]) -> None:
    assert "usage: python -m tools.local.deploy" in refusal(fakes, capfd, "sideways", "dev")
    assert "ENV" in refusal(fakes, capfd, "up")


def test_no_docker_is_told(fakes: Fakes, capfd: pytest.CaptureFixture[str]) -> None:
    assert "the command 'docker' is missing: install it" in refusal(fakes, capfd, "up", "dev")
    fakes.add("docker", {"version": (1, "Cannot connect to the Docker daemon")})
    assert "the Docker daemon does not answer: start it" in refusal(fakes, capfd, "up", "dev")


@pytest.mark.parametrize("action", ["up", "down"])
def test_no_cluster_is_told_by_the_real_kubectl(
    fakes: Fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], action: str
) -> None:
    fakes.add("docker", UP)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert "kubectl has no current context" in refusal(fakes, capfd, action, "dev")
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        "{apiVersion: v1, kind: Config, current-context: kind-gone, users: [{name: me, user: {token: none}}],"
        " clusters: [{name: gone, cluster: {server: 'https://127.0.0.1:1'}}],"
        " contexts: [{name: kind-gone, context: {cluster: gone, user: me}}]}"
    )
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    said = refusal(fakes, capfd, action, "dev")
    assert "the cluster of context 'kind-gone' (https://127.0.0.1:1) does not answer: " in said
    assert "refused" in said


def test_a_cluster_that_is_not_local_needs_a_registry(
    fakes: Fakes, set_up: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    set_up(REMOTE)
    assert "REGISTRY=" in refusal(fakes, capfd, "up", "dev", "--yes")
    monkeypatch.setenv("REGISTRY", "https://registry:5000")
    assert "REGISTRY=https://registry:5000 is no registry" in refusal(fakes, capfd, "up", "dev", "--yes")


def test_a_missing_kind_is_told(fakes: Fakes, set_up: Callable[..., None], capfd: pytest.CaptureFixture[str]) -> None:
    set_up("kind-datapress")
    (fakes.directory / "kind").unlink()
    assert "the command 'kind' is missing: " in refusal(fakes, capfd, "up", "dev")


@pytest.mark.parametrize("action", ["up", "down"])
@pytest.mark.parametrize("value", ["", "0", "yes"])
def test_without_a_terminal_a_cluster_that_is_not_local_is_left_alone(
    fakes: Fakes,
    set_up: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    action: str,
    value: str,
) -> None:
    set_up(REMOTE)
    monkeypatch.setenv("REGISTRY", "registry:5000")
    monkeypatch.setenv("ASSUME_YES", value)
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert "nobody to ask: say ASSUME_YES=1" in refusal(fakes, capfd, action, "dev")


# --- the question


@pytest.mark.parametrize(
    ("name", "local"),
    [
        ("kind-datapress", True),
        ("k3d-try", True),
        ("minikube", True),
        ("docker-desktop", True),
        (REMOTE, False),
        ("kind", False),
        ("not-kind-datapress", False),
        ("minikube-production", False),
        ("kubernetes-admin@kubernetes", False),
    ],
)
def test_a_cluster_is_local_by_the_name_that_a_local_tool_gives(name: str, local: bool) -> None:
    assert (load_command(name) is not None) is local


@pytest.mark.parametrize(
    ("answer", "goes_on"), [("y", True), ("YES", True), ("n", False), ("", False), ("maybe", False)]
)
def test_a_cluster_that_is_not_local_is_asked_about(answer: str, goes_on: bool) -> None:
    """By a terminal of its own, as somebody at a keyboard has."""
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    program = f"from tools.local.deploy import *; confirm(Cluster({REMOTE!r}, {SERVER!r}, None), 'what', False)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, stdin=theirs, capture_output=True, text=True, check=False
    )
    os.close(ours)
    os.close(theirs)
    assert (done.returncode == 0) is goes_on
    assert f"context    {REMOTE}\n  server     {SERVER}" in done.stdout
    assert "[y/N]" in done.stdout
    assert ("nothing was changed" in done.stderr) is not goes_on


def test_a_local_cluster_or_a_yes_is_not_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    confirm(Cluster("kind-datapress", SERVER, []), "what", assume_yes=False)
    confirm(Cluster(REMOTE, SERVER, None), "what", assume_yes=True)
    with pytest.raises(RefusedError):
        confirm(Cluster(REMOTE, SERVER, None), "what", assume_yes=False)


# --- the generated kustomization


def images(manifests: list[Manifest]) -> list[str]:
    pods = [item["spec"]["template"]["spec"] for item in manifests if item["kind"] == "Deployment"]
    return [container["image"] for pod in pods for container in pod["containers"]]


def without_images(manifests: list[Manifest]) -> list[Manifest]:
    rest: list[dict[str, Any]] = copy.deepcopy(manifests)
    for item in rest:
        if item["kind"] == "Deployment":
            for container in item["spec"]["template"]["spec"]["containers"]:
                del container["image"]
    return rest


@pytest.mark.parametrize("environment", environments())
@pytest.mark.parametrize("suffix", ["", f"@{DIGEST}"])
def test_it_changes_the_images_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: str, suffix: str
) -> None:
    monkeypatch.setattr(deploy, "GENERATED", tmp_path)
    overlay = rendered(environment)
    references = [(image, f"registry:5000/{image.context.name}:sha-1{suffix}") for image in images_of(overlay)]
    directory = write_kustomization(OVERLAYS / environment, references)
    generated = render(directory)
    assert images(generated) == [f"registry:5000/api:sha-1{suffix}", f"registry:5000/front:sha-1{suffix}"]
    assert without_images(generated) == without_images(overlay)
    assert "do not edit" in (directory / "kustomization.yaml").read_text().splitlines()[0]
