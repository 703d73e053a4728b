"""`make deploy`, `make undeploy` and `make url`, with programs that stand in for Docker, kind and kubectl."""

import copy
import io
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.product import API, rendered
from tests.support.programs import Fakes
from tools.__main__ import main
from tools.command import RefusedError, run_program
from tools.images import deployment_of, images_of, version
from tools.local import context, deploy, undeploy
from tools.local import url as url_module
from tools.local.context import MINIKUBE, Cluster, confirm, current_cluster
from tools.local.deploy import write_kustomization
from tools.local.run import PORTS
from tools.local.url import front_services
from tools.manifests import Manifest
from tools.render import render
from tools.repository import OVERLAYS, REPOSITORY, environments

REMOTE = "team@production"
SERVER = "https://192.0.2.1:6443"
REVISION = "0123456789abcdef"
DIGEST = f"sha256:{'ab' * 32}"
# Whichever; what is derived below is of the same environment.
ENVIRONMENT, *_ = environments()
NAMES = [image.name for image in images_of(rendered(ENVIRONMENT))]
PUSHED = [f"registry:5000/{name.partition('/')[2]}" for name in NAMES]
FRONT = deployment_of(rendered(ENVIRONMENT), "front")["metadata"]
NAMESPACE = FRONT["namespace"]
(SERVICE,) = front_services(rendered(ENVIRONMENT))
NODE_PORT = {"type": "NodePort", "ports": [{"name": "http", "port": 80, "nodePort": 31234}]}
DOCKERS = ["docker-desktop", "orbstack", "rancher-desktop", "colima", "colima-a-profile"]
UP = {"version": (0, "29.0.0")}


def exposed(service: Mapping[str, Any], *others: Manifest) -> list[Manifest]:
    """Return the objects of the environment with another specification of the front's Service, and further objects."""
    manifests = copy.deepcopy(rendered(ENVIRONMENT))
    (found,) = front_services(manifests)
    found["spec"] = {"selector": found["spec"]["selector"], **service}
    return [*manifests, *others]


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

    def make(
        name: str,
        manifests: Sequence[Manifest] = exposed(NODE_PORT),
        *,
        runtime: str = "docker://29.0.0",
        signed: str = "",
        **answers: tuple[int, str],
    ) -> None:
        known = {"server": SERVER, "extensions": [{"name": "cluster_info", "extension": {"provider": signed}}]}
        viewed = json.dumps({"clusters": [{"cluster": known}]})
        kubectl = {"current-context": (0, name), "config view": (0, viewed), "RuntimeVersion": (0, runtime)}
        fakes.add("kubectl", kubectl | {key.replace("_", " "): answer for key, answer in answers.items()})
        fakes.add("docker", UP | {"inspect": (0, "\n".join(f"{pushed}@{DIGEST}" for pushed in PUSHED))})
        for tool in ("kind", "minikube", "k3d", "microk8s"):
            fakes.add(tool)
        monkeypatch.setattr(context, "kubectl", lambda: "kubectl")
        monkeypatch.setattr(deploy, "revision", lambda: REVISION)
        for module in (deploy, undeploy, url_module):
            monkeypatch.setattr(module, "render", lambda _directory: manifests)

    return make


def status(command: str, *arguments: str) -> int:
    return run_program(command, lambda: main([command, *arguments]))


def changes(fakes: Fakes) -> list[str]:
    """Return what was called that changes something."""
    looks = ("config", "get --raw", "RuntimeVersion", "docker version", "image inspect", "get nodes", "get service")
    return [call for call in fakes.calls() if not any(look in call for look in looks)]


# --- the whole of it


def test_a_kind_cluster_gets_the_images_and_the_overlay(
    fakes: Fakes, set_up: Callable[..., None], asked_urls: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    set_up("kind-any")
    assert status("deploy", ENVIRONMENT) == 0
    kubectl = "kubectl --context kind-any"
    names = [f"{name}:sha-{REVISION}" for name in NAMES]
    arguments = f"--build-arg=VERSION={version()} --build-arg=REVISION={REVISION}"
    contexts = [image.context for image in images_of(rendered(ENVIRONMENT))]
    deployments = [item["metadata"]["name"] for item in rendered(ENVIRONMENT) if item["kind"] == "Deployment"]
    assert changes(fakes) == [
        *(f"docker build {arguments} --tag {name} {path}" for name, path in zip(names, contexts, strict=True)),
        *(f"kind load docker-image --name any {name}" for name in names),
        f"{kubectl} apply --kustomize {REPOSITORY}/.build/deploy/{ENVIRONMENT}",
        *(f"{kubectl} --namespace {NAMESPACE} rollout status deployment/{name} --timeout=180s" for name in deployments),
    ]
    assert asked_urls == ["http://127.0.0.1:31234/"]
    said = capfd.readouterr().out
    for part in ("kind-any", SERVER, NAMESPACE, *names, "Ready: http://127.0.0.1:31234/"):
        assert part in said


@pytest.mark.usefixtures("asked_urls")
def test_a_registry_gets_images_and_the_cluster_their_digests(
    fakes: Fakes, set_up: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(REMOTE)
    monkeypatch.setenv("REGISTRY", "registry:5000")
    assert status("deploy", ENVIRONMENT, "--yes") == 0
    assert fakes.calls("docker push") == [f"docker push {name}:sha-{REVISION}" for name in PUSHED]
    applied = render(REPOSITORY / ".build" / "deploy" / ENVIRONMENT)
    assert images(applied) == [f"{name}:sha-{REVISION}@{DIGEST}" for name in PUSHED]


@pytest.mark.usefixtures("asked_urls")
@pytest.mark.parametrize(
    ("name", "signed", "loads"),
    [
        ("minikube", MINIKUBE, ["minikube --profile minikube image load {}"]),
        ("a-profile", MINIKUBE, ["minikube --profile a-profile image load {}"]),
        ("k3d-try", "", ["k3d image import --cluster try {}"]),
        ("microk8s", "", ["docker save --output ARCHIVE {}", "microk8s ctr image import ARCHIVE"]),
        *((name, "", []) for name in DOCKERS),
    ],
)
def test_each_local_cluster_gets_images_its_own_way(
    fakes: Fakes, set_up: Callable[..., None], name: str, signed: str, loads: list[str]
) -> None:
    set_up(name, signed=signed)
    assert status("deploy", ENVIRONMENT) == 0
    names = [f"{name}:sha-{REVISION}" for name in NAMES]
    called = [re.sub(r"\S+/image\.tar", "ARCHIVE", call) for call in changes(fakes)[2:-3]]
    assert called == [load.format(name) for name in names for load in loads]


@pytest.mark.parametrize("name", DOCKERS)
def test_a_local_cluster_on_containerd_needs_a_registry(
    fakes: Fakes, set_up: Callable[..., None], capfd: pytest.CaptureFixture[str], name: str
) -> None:
    set_up(name, runtime="docker://29.0.0 containerd://2.1.0")
    said = refusal(fakes, capfd, "deploy", ENVIRONMENT, "--yes")
    assert "REGISTRY=" in said
    assert "choose Docker" in said


def test_undeploy_deletes_what_the_overlay_renders(fakes: Fakes, set_up: Callable[..., None]) -> None:
    set_up("kind-any")
    assert status("undeploy", ENVIRONMENT) == 0
    delete = f"delete --kustomize {OVERLAYS}/{ENVIRONMENT} --ignore-not-found --timeout=180s"
    assert changes(fakes) == [f"kubectl --context kind-any {delete}"]


def test_a_rollout_that_fails_shows_why(
    fakes: Fakes, set_up: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    set_up(
        "kind-any",
        rollout=(1, "exceeded its progress deadline"),
        get_pods=(0, "api-1 CrashLoopBackOff"),
        events=(0, "Back-off restarting"),
        logs=(0, "APP_ENV holds 'nowhere'"),
    )
    assert status("deploy", ENVIRONMENT) == 1
    said = capfd.readouterr()
    for part in ("CrashLoopBackOff", "Back-off restarting", "APP_ENV holds 'nowhere'"):
        assert part in said.out
    assert said.err.splitlines()[-1].startswith(
        f"deploy: error: the Deployment {API} in {NAMESPACE} does not get ready"
    )
    assert all(
        f"app.kubernetes.io/name={API}" in call for call in fakes.calls() if "logs" in call or "get pods" in call
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
    assert status("deploy", ENVIRONMENT, "--yes") == 1
    assert f" {step} " in changes(fakes)[-1]
    said = capfd.readouterr().err
    assert "refused" in said
    assert "deploy: error: this ended with status 3:" in said


def test_kubernetes_gives_up_on_a_rollout_before_we_do() -> None:
    for environment in environments():
        for item in rendered(environment):
            if item["kind"] == "Deployment":
                assert item["spec"]["progressDeadlineSeconds"] < deploy.ROLLOUT_SECONDS


# --- how the front is reached

TWO = {"type": "NodePort", "ports": [{"name": "http", "port": 80, "nodePort": 31234}, {"port": 81, "nodePort": 31235}]}
INNER = {"type": "ClusterIP", "ports": [{"name": "http", "port": 80}]}
CHOSEN = {"type": "NodePort", "ports": [{"name": "http", "port": 80}]}
SECURE = {"type": "LoadBalancer", "ports": [{"port": 443}]}
TLS = {"type": "NodePort", "ports": [{"port": 8443, "appProtocol": "https", "nodePort": 31234}]}
BALANCED = {"type": "LoadBalancer", "ports": [{"name": "http", "port": 80, "nodePort": 31234}]}
ELSEWHERE = {
    "kind": "Service",
    "metadata": {"name": "other", "namespace": NAMESPACE},
    "spec": {**NODE_PORT, "selector": {}},
}
SECOND = {
    "kind": "Service",
    "metadata": {"name": "second", "namespace": NAMESPACE},
    "spec": {**NODE_PORT, "selector": SERVICE["spec"]["selector"]},
}


def ingress(host: dict[str, str], secure: bool = False, service: str = SERVICE["metadata"]["name"]) -> Manifest:
    paths = [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": service, "port": {"name": "http"}}}}]
    tls = {"tls": [{"hosts": list(host.values())}]} if secure else {}
    return {
        "kind": "Ingress",
        "metadata": {"name": "front"},
        "spec": {"rules": [{**host, "http": {"paths": paths}}], **tls},
    }


def route(service: str = SERVICE["metadata"]["name"]) -> Manifest:
    rules = [{"backendRefs": [{"name": service, "port": 80}]}]
    spec = {"hostnames": ["*.example.org", "press.example.org"], "rules": rules}
    return {"kind": "HTTPRoute", "metadata": {"name": "front"}, "spec": spec}


def behind(gateway: str, **hosts: list[str]) -> list[Manifest]:
    """Return a Gateway with TLS at https and without at http, and the front's route behind the former."""
    listeners = [{"name": name, "protocol": name.upper(), "hostname": "gate.example.org"} for name in ("http", "https")]
    front = route()
    front["spec"] |= {"parentRefs": [{"name": gateway, "sectionName": "https"}], "hostnames": [], **hosts}
    return [{"kind": "Gateway", "metadata": {"name": "gate"}, "spec": {"listeners": listeners}}, front]


def on_the_cluster(spec: Mapping[str, Any], **address: str) -> tuple[int, str]:
    """Return what kubectl says of the front's Service."""
    return 0, json.dumps({"spec": spec, "status": {"loadBalancer": {"ingress": [address]} if address else {}}})


HOST = {"host": "press.example.org"}
NOTHING = (0, "")
# What the overlay has, what the cluster says of the Service, and the URL; none, if it is port-forward that is told.
WAYS: dict[str, tuple[list[Manifest], tuple[int, str], str]] = {
    "no-node-port": (exposed(INNER), NOTHING, ""),
    "node-port": (exposed(NODE_PORT), NOTHING, "http://node:31234/"),
    "two-node-ports": (exposed(TWO), NOTHING, "http://node:31234/"),
    "node-port-of-the-cluster-s-choice": (exposed(CHOSEN), on_the_cluster(NODE_PORT), "http://node:31234/"),
    "node-port-not-chosen-yet": (exposed(CHOSEN), NOTHING, ""),
    "node-port-of-a-second-service": (exposed(INNER, SECOND), NOTHING, "http://node:31234/"),
    "node-port-of-something-else": (exposed(INNER, ELSEWHERE), NOTHING, ""),
    "load-balancer-pending": (exposed(BALANCED), on_the_cluster(BALANCED), ""),
    "load-balancer-not-there": (exposed(BALANCED), NOTHING, ""),
    "load-balancer-ip": (exposed(BALANCED), on_the_cluster(BALANCED, ip="192.0.2.9"), "http://192.0.2.9/"),
    "load-balancer-ipv6": (exposed(BALANCED), on_the_cluster(BALANCED, ip="2001:db8::9"), "http://[2001:db8::9]/"),
    "load-balancer-name": (exposed(BALANCED), on_the_cluster(BALANCED, hostname="lb.test"), "http://lb.test/"),
    "load-balancer-tls": (exposed(SECURE), on_the_cluster(SECURE, ip="192.0.2.9"), "https://192.0.2.9/"),
    "node-port-tls": (exposed(TLS), NOTHING, "https://node:31234/"),
    "ingress": (exposed(INNER, ingress(HOST)), NOTHING, "http://press.example.org/"),
    "ingress-tls": (exposed(NODE_PORT, ingress(HOST, secure=True)), NOTHING, "https://press.example.org/"),
    "ingress-any-host": (exposed(INNER, ingress({})), NOTHING, ""),
    "ingress-of-something-else": (exposed(INNER, ingress(HOST, service="other")), NOTHING, ""),
    "route": (exposed(INNER, route()), NOTHING, "http://press.example.org/"),
    "route-with-tls": (exposed(INNER, *behind("gate")), NOTHING, "https://gate.example.org/"),
    "route-with-tls-and-a-host": (
        exposed(INNER, *behind("gate", hostnames=["press.example.org"])),
        NOTHING,
        "https://press.example.org/",
    ),
    "route-of-a-gateway-elsewhere": (
        exposed(INNER, *behind("platform", hostnames=["press.example.org"])),
        NOTHING,
        "http://press.example.org/",
    ),
    "route-of-something-else": (exposed(INNER, route("other")), NOTHING, ""),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_way_to_the_front_is_told(
    fakes: Fakes,
    set_up: Callable[..., None],
    asked_urls: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    way: str,
) -> None:
    """`make url` alone on one line, `make deploy` at its end."""
    manifests, on_cluster, url = WAYS[way]
    monkeypatch.setenv("NODE_ADDRESS", "node")
    monkeypatch.setattr(deploy, "URL_SECONDS", 0)
    set_up("minikube", manifests, get_service=on_cluster)
    service = f"service/{SERVICE['metadata']['name']}"
    forward = f"kubectl --context minikube -n {NAMESPACE} port-forward {service} {PORTS['FRONT_PORT']}:80"
    assert status("url", ENVIRONMENT) == 0
    assert capfd.readouterr().out == f"{url or forward}\n"
    assert changes(fakes) == []
    assert status("deploy", ENVIRONMENT) == 0
    assert (f"Ready: {url}" if url else f"\n  {forward}\n") in capfd.readouterr().out
    assert asked_urls == ([url] if url else [])


def test_an_overlay_may_leave_the_namespace_to_the_context(
    set_up: Callable[..., None], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifests = exposed(INNER)
    for item in manifests:
        item["metadata"].pop("namespace", None)
    set_up("kind-any", manifests)
    monkeypatch.setattr(deploy, "URL_SECONDS", 0)
    for command in ("url", "deploy"):
        assert status(command, ENVIRONMENT) == 0
        assert "kubectl --context kind-any port-forward service/" in capfd.readouterr().out


def test_an_address_that_is_still_to_come_is_told(
    set_up: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    set_up("minikube", exposed(BALANCED))
    assert status("url", ENVIRONMENT) == 0
    assert "no address yet" in capfd.readouterr().err


def test_an_address_that_does_not_answer_is_told(
    set_up: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    set_up("minikube", get_nodes=(1, "forbidden"))
    monkeypatch.setattr(deploy, "URL_SECONDS", 0)
    monkeypatch.setattr(deploy, "answers", lambda _url: False)
    assert status("deploy", ENVIRONMENT) == 0
    said = capfd.readouterr().out
    assert "http://127.0.0.1:31234/ does not answer here" in said
    assert "port-forward service/" in said
    assert "Ready" not in said


@pytest.mark.parametrize(
    ("name", "address"), [("minikube", "192.0.2.8"), *((name, "127.0.0.1") for name in ("kind-any", *DOCKERS))]
)
def test_the_address_of_a_node_port_is_that_of_a_node(
    set_up: Callable[..., None], capfd: pytest.CaptureFixture[str], name: str, address: str
) -> None:
    set_up(name, get_nodes=(0, " 192.0.2.8"))
    assert status("url", ENVIRONMENT) == 0
    assert capfd.readouterr().out == f"http://{address}:31234/\n"


@pytest.mark.parametrize("environment", environments())
def test_each_environment_has_a_way_to_its_front(environment: str) -> None:
    assert front_services(rendered(environment))


@pytest.mark.parametrize(
    ("kind", "told"),
    [("Service", "no Service leads to the pods of the Deployment"), ("Deployment", "0 Deployments have a container")],
)
def test_an_overlay_without_a_front_is_refused_at_once(
    fakes: Fakes, set_up: Callable[..., None], capfd: pytest.CaptureFixture[str], kind: str, told: str
) -> None:
    name = FRONT["name"] if kind == "Deployment" else SERVICE["metadata"]["name"]
    rest = [item for item in rendered(ENVIRONMENT) if (item["kind"], item["metadata"]["name"]) != (kind, name)]
    set_up("kind-any", rest)
    assert told in refusal(fakes, capfd, "deploy", ENVIRONMENT)
    assert told in refusal(fakes, capfd, "url", ENVIRONMENT)


# --- what is refused; nothing is changed then


def refusal(fakes: Fakes, capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the one line that a request gets which must be refused."""
    assert status(*arguments) == 2
    assert changes(fakes) == []
    (line,) = capfd.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize("action", ["run", "deploy", "undeploy", "url"])
def test_a_wrong_environment_lists_the_right_ones(fakes: Fakes, capfd: pytest.CaptureFixture[str], action: str) -> None:
    said = refusal(fakes, capfd, action, "nowhere")
    assert said.startswith(f"{action}: error: there is no environment 'nowhere'")
    assert all(environment in said for environment in environments())


def test_a_wrong_command_line_is_refused(fakes: Fakes, capfd: pytest.CaptureFixture[str]) -> None:
    for command in ("deploy", "undeploy"):
        assert f"usage: python -m tools {command}" in refusal(fakes, capfd, command)
        assert "--sideways" in refusal(fakes, capfd, command, ENVIRONMENT, "--sideways")


def test_no_docker_is_told(fakes: Fakes, capfd: pytest.CaptureFixture[str]) -> None:
    assert "the command 'docker' is missing: install it" in refusal(fakes, capfd, "deploy", ENVIRONMENT)
    fakes.add("docker", {"version": (1, "Cannot connect to the Docker daemon")})
    assert "the Docker daemon does not answer: start it" in refusal(fakes, capfd, "deploy", ENVIRONMENT)


@pytest.mark.parametrize("action", ["deploy", "undeploy"])
def test_no_cluster_is_told_by_the_real_kubectl(
    fakes: Fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], action: str
) -> None:
    fakes.add("docker", UP)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert "kubectl has no current context" in refusal(fakes, capfd, action, ENVIRONMENT)
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        "{apiVersion: v1, kind: Config, current-context: kind-gone, users: [{name: me, user: {token: none}}],"
        " clusters: [{name: gone, cluster: {server: 'https://127.0.0.1:1'}}],"
        " contexts: [{name: kind-gone, context: {cluster: gone, user: me}}]}"
    )
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    said = refusal(fakes, capfd, action, ENVIRONMENT)
    assert "the cluster of context 'kind-gone' (https://127.0.0.1:1) does not answer: " in said
    assert "refused" in said


def test_a_cluster_that_is_not_local_needs_a_registry(
    fakes: Fakes, set_up: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    set_up(REMOTE)
    assert "REGISTRY=" in refusal(fakes, capfd, "deploy", ENVIRONMENT, "--yes")
    monkeypatch.setenv("REGISTRY", "https://registry:5000")
    assert "REGISTRY=https://registry:5000 is not a registry" in refusal(fakes, capfd, "deploy", ENVIRONMENT, "--yes")


def test_a_missing_kind_is_told(fakes: Fakes, set_up: Callable[..., None], capfd: pytest.CaptureFixture[str]) -> None:
    set_up("kind-any")
    (fakes.directory / "kind").unlink()
    assert "the command 'kind' is missing: " in refusal(fakes, capfd, "deploy", ENVIRONMENT)


@pytest.mark.parametrize("action", ["deploy", "undeploy"])
@pytest.mark.parametrize("value", ["", "0", "yes"])
def test_without_a_terminal_only_a_local_cluster_is_changed(
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
    assert "nobody to ask: say ASSUME_YES=1" in refusal(fakes, capfd, action, ENVIRONMENT)


# --- the question


@pytest.mark.parametrize(
    ("name", "local"),
    [
        ("kind-any", True),
        ("k3d-try", True),
        ("microk8s", True),
        *((name, True) for name in DOCKERS),
        (REMOTE, False),
        ("kind", False),
        ("not-kind-any", False),
        ("minikube", True),
        ("minikube-production", False),
        ("colima.production", False),
        ("kubernetes-admin@kubernetes", False),
    ],
)
def test_a_cluster_is_local_by_the_name_that_a_local_tool_gives(
    set_up: Callable[..., None], name: str, local: bool
) -> None:
    set_up(name)
    assert (current_cluster().load is not None) is local


@pytest.mark.parametrize(
    ("answer", "goes_on"), [("y", True), ("YES", True), ("n", False), ("", False), ("maybe", False)]
)
def test_a_cluster_that_is_not_local_is_asked_about(answer: str, goes_on: bool) -> None:
    """By a terminal of its own, as somebody at a keyboard has."""
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    program = f"from tools.local.context import *; confirm(Cluster({REMOTE!r}, {SERVER!r}, None), 'what', False)"
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
    confirm(Cluster("kind-any", SERVER, []), "what", assume_yes=False)
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
