"""An environment behind a Gateway, taken as its runbook says: TLS, one way in, and all of it replaced under traffic."""

import base64
import json
import select
import shlex
import socket
import ssl
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Browser, expect
from sslyze.mozilla_tls_profile.tls_config_checker import (
    SCAN_COMMANDS_NEEDED_BY_MOZILLA_CHECKER,
    MozillaTlsConfiguration,
    TlsConfigurationEnum,
    check_server_against_tls_configuration,
)
from sslyze.plugins.certificate_info.implementation import CertificateInfoExtraArgument
from sslyze.scanner.models import ScanCommandsExtraArguments, ServerScanRequest
from sslyze.scanner.scanner import Scanner
from sslyze.server_setting import ServerNetworkLocation

from tests.cases.changes import predict
from tests.cluster.agreement import Mutant, judge
from tests.cluster.clients import Client, pod_of
from tests.cluster.load import TIMEOUT_SECONDS, Load, load_by
from tests.support.api_server import ApiServer
from tests.support.browsing import live
from tests.support.clones import make_clone, make_origin
from tests.support.cluster import Cluster, Measure, press_button, running
from tests.support.commands import all_blocks, run, steps
from tests.support.mutations import mutations
from tests.support.product import API, FOLLOWED, FRONT, PREFIX, namespace
from tests.support.waiting import eventually
from tools.diff.rules import Effect
from tools.dryrun import Request, ask
from tools.manifests import Manifest
from tools.network.flows import FLOWS
from tools.network.policy import End
from tools.render import render
from tools.repository import OVERLAYS, REPOSITORY

pytestmark = pytest.mark.timeout(300)

ENVIRONMENT = "behind-a-gateway"
HOST = f"{ENVIRONMENT}.{PREFIX}.example"  # as the runbook names it, in the place of the environment that it is for
KINDS = ("gateways.gateway.networking.k8s.io", "clusterissuers.cert-manager.io")
RUNBOOK = "docs/runbooks/prendre-la-passerelle.md"
SERVING_SECONDS = 60
PORTS = {"HTTP": 80, "HTTPS": 443}  # of the Service that leads to the gateway


@dataclass(frozen=True)
class Platform:
    """What the cluster has of a gateway; the product's tests only use it.

    Attributes:
        namespace: that of the gateway's pods
        labels: by which the network policy knows them
        gateway_class: the name of its class
        issuer: an authority of cert-manager's, of the cluster's own
        authority: that one's certificate, in PEM
        listeners: the ports of a Gateway's listeners there, by protocol
        entries: the node ports that lead to them
        deployment: the gateway's own
    """

    namespace: str
    labels: dict[str, str]
    gateway_class: str
    issuer: str
    authority: str
    listeners: dict[str, int]
    entries: dict[str, int]
    deployment: Manifest


@pytest.fixture(scope="module")
def platform(cluster: Cluster) -> Platform:
    there = cluster.kubectl("get", "customresourcedefinitions", "--output=name")
    if missing := [kind for kind in KINDS if kind not in there]:
        pytest.skip(f"the cluster has no {' and no '.join(missing)}: {RUNBOOK} says what to install")
    end = yaml.safe_load(FLOWS.read_text())["ends"]["elsewhere/gateway"]
    chosen = [f"--selector={key}={value}" for key, value in end["labels"].items()]
    (service,) = cluster.objects("services", end["namespace"], *chosen)
    (deployment,) = cluster.objects("deployments", end["namespace"], *chosen)
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    opened = {port["name"]: port["containerPort"] for port in container["ports"]}
    entries = {port["port"]: port for port in service["spec"]["ports"]}
    gateway_class = _items(cluster, "gatewayclasses")[0]
    issuer = next(one for one in _items(cluster, "clusterissuers") if "ca" in one["spec"])
    secret = cluster.get("secret", issuer["spec"]["ca"]["secretName"], "cert-manager")
    return Platform(
        end["namespace"],
        end["labels"],
        gateway_class["metadata"]["name"],
        issuer["metadata"]["name"],
        base64.b64decode(secret["data"]["tls.crt"]).decode(),
        {name: opened[entries[port]["targetPort"]] for name, port in PORTS.items()},
        {name: entries[port]["nodePort"] for name, port in PORTS.items()},
        deployment,
    )


@pytest.fixture(scope="module")
def hardened(cluster: Cluster, platform: Platform) -> Iterator[None]:
    """The platform's Traefik with the settings that the runbook has for its chart; without them at the end."""
    (text,) = [one.text for one in all_blocks() if one.place.startswith(RUNBOOK) and "tlsOptions:" in one.text]
    values = yaml.safe_load(text)
    grace = values["ports"]["websecure"]["transport"]["lifeCycle"]["requestAcceptGraceTimeout"]
    options = {"tls.yaml": yaml.safe_dump({"tls": {"options": values["tlsOptions"]}})}
    (container,) = platform.deployment["spec"]["template"]["spec"]["containers"]
    name, where = platform.deployment["metadata"]["name"], ("-n", platform.namespace)
    own = {"name": "e2e-options", "namespace": platform.namespace}
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": own, "data": options}
    added = [
        "--providers.file.filename=/options/tls.yaml",
        f"--entryPoints.websecure.transport.lifeCycle.requestAcceptGraceTimeout={grace}",
    ]
    changed = {
        "name": container["name"],
        "args": [*container["args"], *added],
        "volumeMounts": [{"name": "options", "mountPath": "/options"}],
    }
    volumes = [{"name": "options", "configMap": {"name": own["name"]}}]
    patch = {"spec": {"template": {"spec": {"containers": [changed], "volumes": volumes}}}}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(settings))
    try:
        cluster.kubectl("patch", "deployment", name, *where, "--patch", json.dumps(patch))
        cluster.wait_for_rollout(platform.namespace, name)
        yield
    finally:
        before = [{"op": "replace", "path": "/spec/template", "value": platform.deployment["spec"]["template"]}]
        cluster.kubectl("patch", "deployment", name, *where, "--type=json", "--patch", json.dumps(before))
        cluster.wait_for_rollout(platform.namespace, name)
        cluster.kubectl("delete", "-f", "-", stdin=json.dumps(settings))


def _items(cluster: Cluster, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(cluster.kubectl("get", kind, "--output=json"))["items"]
    return found


class _Direct(HTTPSConnection):
    """HTTPS to a host at an address that no DNS knows; a connection that was closed meanwhile is opened anew."""

    def __init__(self, host: str, address: tuple[str, int], context: ssl.SSLContext) -> None:
        super().__init__(host, timeout=TIMEOUT_SECONDS)
        self.address, self.context = address, context

    def connect(self) -> None:
        plain = socket.create_connection(self.address, timeout=TIMEOUT_SECONDS)
        self.sock = self.context.wrap_socket(plain, server_hostname=self.host)

    def request(self, *arguments: Any, **named: Any) -> None:
        # As every client that keeps connections does before it uses one again.
        if self.sock is not None and select.select([self.sock], [], [], 0)[0]:
            self.close()
        super().request(*arguments, **named)


@dataclass(frozen=True)
class Entry:
    """An environment behind a Gateway, as users reach it."""

    cluster: Cluster
    platform: Platform
    namespace: str

    def context(self, *protocols: str) -> ssl.SSLContext:
        """Return what verifies the certificate, and offers protocols above TLS."""
        context = ssl.create_default_context(cadata=self.platform.authority)
        context.set_alpn_protocols(protocols)
        return context

    def address(self, protocol: str) -> tuple[str, int]:
        return self.cluster.node_address, self.platform.entries[protocol]

    def connect(self, host: str = HOST) -> HTTPSConnection:
        return _Direct(host, self.address("HTTPS"), self.context("http/1.1"))

    def ask(
        self, path: str, headers: Mapping[str, str] | None = None, *, secure: bool = True, host: str = HOST
    ) -> HTTPResponse:
        """Return an answer, its body read."""
        connection = self.connect() if secure else HTTPConnection(*self.address("HTTP"), timeout=TIMEOUT_SECONDS)
        connection.request("GET", path, headers={"Host": host, **(headers or {})})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer

    def serves(self) -> bool:
        try:
            return self.ask("/api/").status == 200
        except OSError:
            return False

    def presented(self, *, verified: bool = True) -> tuple[bytes | None, str | None]:
        """Return the certificate, and the protocol that is agreed on above TLS."""
        context = self.context("h2", "http/1.1")
        if not verified:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        plain = socket.create_connection(self.address("HTTPS"), timeout=TIMEOUT_SECONDS)
        with context.wrap_socket(plain, server_hostname=HOST) as secure:
            return secure.getpeercert(binary_form=True), secure.selected_alpn_protocol()

    def kubectl(self, *arguments: str) -> str:
        return self.cluster.kubectl("-n", self.namespace, *arguments)

    def logs(self) -> str:
        """Return what the product and the gateway have logged."""
        own = [self.kubectl("logs", f"--selector=app.kubernetes.io/name={name}", "--tail=-1") for name in (API, FRONT)]
        chosen = ",".join(f"{key}={value}" for key, value in self.platform.labels.items())
        gateway = self.cluster.kubectl("logs", "-n", self.platform.namespace, f"--selector={chosen}", "--tail=-1")
        return "".join([*own, gateway])


@pytest.fixture(scope="module")
def overlay(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The overlay of an environment like the one that took the gateway, with the names of this cluster's platform."""
    directory = tmp_path_factory.mktemp("gateway")
    clone = make_clone(make_origin(directory), directory / "clone")
    for step in steps("take-the-gateway"):
        run(step, clone)
    run(f"python -m tools new-environment {ENVIRONMENT} --from {FOLLOWED} --no-argocd", clone)
    found = clone / OVERLAYS.relative_to(REPOSITORY) / ENVIRONMENT
    file = found / "gateway.yaml"
    operations = {one["path"]: one for one in yaml.safe_load(file.read_text())}
    operations["/spec/gatewayClassName"]["value"] = platform.gateway_class
    operations["/metadata/annotations/cert-manager.io~1cluster-issuer"]["value"] = platform.issuer
    for index, protocol in enumerate(PORTS):
        port = {"op": "replace", "path": f"/spec/listeners/{index}/port", "value": platform.listeners[protocol]}
        operations[str(port["path"])] = port
    file.write_text(yaml.safe_dump([*operations.values()]))
    return found


@pytest.fixture(scope="module")
def entry(
    cluster: Cluster, platform: Platform, overlay: Path, images: dict[str, str], measure: Measure
) -> Iterator[Entry]:
    assert images
    found = Entry(cluster, platform, f"{PREFIX}-{ENVIRONMENT}")
    started = time.monotonic()
    try:
        cluster.kubectl("apply", "-k", overlay)
        eventually(found.serves, SERVING_SECONDS, f"https://{HOST}/ answers")
        measure("from kubectl apply to the API over HTTPS", f"{time.monotonic() - started:.1f} s")
        cluster.wait_for_rollout(found.namespace)
        yield found
    finally:
        cluster.remove(found.namespace)


# --- TLS


def test_http_2_is_spoken(entry: Entry) -> None:
    assert entry.presented()[1] == "h2"


@pytest.mark.usefixtures("hardened")
@pytest.mark.filterwarnings("ignore:Parsed a serial number")  # of an authority that sslyze brings along
def test_tls_is_mozilla_s_intermediate_profile(entry: Entry, tmp_path: Path) -> None:
    authority = tmp_path / "authority.pem"
    authority.write_text(entry.platform.authority)
    address, port = entry.address("HTTPS")
    # Its new pod is ready before it knows the Gateway.
    eventually(entry.serves, SERVING_SECONDS, f"https://{HOST}/ answers")
    scanner = Scanner()
    scanner.queue_scans(
        [
            ServerScanRequest(
                ServerNetworkLocation(HOST, port, ip_address=address),
                scan_commands=SCAN_COMMANDS_NEEDED_BY_MOZILLA_CHECKER,
                scan_commands_extra_arguments=ScanCommandsExtraArguments(
                    certificate_info=CertificateInfoExtraArgument(custom_ca_file=authority)
                ),
            )
        ]
    )
    (result,) = scanner.get_results()
    profile = MozillaTlsConfiguration.get(TlsConfigurationEnum.MOZILLA_INTERMEDIATE)
    check_server_against_tls_configuration(result, profile)


# --- who gets what


def test_plain_http_is_redirected_and_never_reaches_the_front(entry: Entry) -> None:
    request_id = f"plain-{uuid.uuid4()}"
    answer = entry.ask("/api/version?a=b", {"X-Request-ID": request_id}, secure=False)
    assert (answer.status, answer.headers["Location"]) == (301, f"https://{HOST}/api/version?a=b")
    assert entry.ask("/api/version", {"X-Request-ID": f"tls-{request_id}"}).status == 200
    logged = entry.logs()
    assert f'"tls-{request_id}"' in logged
    assert f'"{request_id}"' not in logged


@pytest.mark.parametrize("secure", [True, False], ids=["HTTPS", "HTTP"])
def test_another_host_is_not_found(entry: Entry, secure: bool) -> None:
    assert entry.ask("/", secure=secure, host=f"www.{HOST}").status == 404


@pytest.mark.parametrize("path", ["/", "/app.js", "/api/", "/api/absent", "/absent"])
def test_every_answer_has_what_only_tls_allows(entry: Entry, path: str) -> None:
    headers = entry.ask(path).headers
    assert [value.split("=")[0] for value in headers.get_all("Strict-Transport-Security", [])] == ["max-age"]
    assert headers.get_all("Cross-Origin-Opener-Policy") == ["same-origin"]
    assert headers.get_all("X-Content-Type-Options") == ["nosniff"]


def test_the_page_works_over_http_2(entry: Entry, browser: Browser, browser_type_launch_args: dict[str, Any]) -> None:
    """In a browser that takes the cluster's own authority for granted, and knows where the host is."""
    address, port = entry.address("HTTPS")
    resolved = f"--host-resolver-rules=MAP {HOST}:443 {address}:{port}"
    chromium = browser.browser_type.launch(**{**browser_type_launch_args, "args": ["--no-sandbox", resolved]})
    page = chromium.new_context(ignore_https_errors=True).new_page()
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    answer = press_button(page, f"https://{HOST}/")
    assert answer["service"] == "api"
    protocols = "performance.getEntriesByType('navigation').map(entry => entry.nextHopProtocol)"
    assert page.evaluate(protocols) == ["h2"]
    assert page.evaluate("window.isSecureContext")
    live(page).click()
    expect(page.locator("#sent")).to_have_text("2", timeout=5000)
    expect(page.locator("#failed")).to_have_text("0")
    assert told == []
    chromium.close()


def test_no_log_has_the_address_of_a_client(entry: Entry) -> None:
    """It comes to the front in X-Forwarded-For, which anybody may write as well."""
    request_id = f"address-{uuid.uuid4()}"
    assert entry.ask("/api/", {"X-Request-ID": request_id, "X-Forwarded-For": "192.0.2.77"}).status == 200
    logged = entry.logs()
    assert f'"{request_id}"' in logged
    assert [address for address in ("192.0.2.77", entry.cluster.host_address) if address in logged] == []


# --- one way in


def test_only_the_gateway_s_pods_reach_the_front(entry: Entry, scratch: str) -> None:
    """Each of the others has one half of what the policy asks for."""
    labels, namespace = entry.platform.labels, entry.platform.namespace
    clients = {
        "gateway": End("", namespace, labels),
        "namespace-alone": End("", namespace),
        "labels-alone": End("", scratch, labels),
        "own-namespace": End("", entry.namespace),
    }
    pods = [pod_of(f"e2e/{name}", end) for name, end in clients.items()]
    (front, *_) = entry.cluster.pods(entry.namespace, FRONT)
    target = (front["status"]["podIP"], 8080, "TCP")
    with running(entry.cluster, pods):
        found = {
            name: Client(entry.cluster, entry.cluster.get("pod", f"e2e-{name}", end.namespace), "e2e").connect([target])
            for name, end in clients.items()
        }
    assert {name: errors == [""] for name, errors in found.items()} == {name: name == "gateway" for name in clients}


def test_the_smoke_test_is_let_in(entry: Entry, overlay: Path) -> None:
    """As Argo CD adds it to an overlay that it follows."""
    file = overlay / "kustomization.yaml"
    before = file.read_text()
    kustomization = yaml.safe_load(before)
    kustomization["components"].append("../../components/smoke-test")
    file.write_text(yaml.safe_dump(kustomization))
    try:
        entry.cluster.kubectl("apply", "-k", overlay)
        entry.kubectl("wait", "job", "--all", "--for=condition=Complete", "--timeout=60s")
    finally:
        file.write_text(before)
        entry.kubectl("delete", "jobs", "--all")


def test_the_front_has_no_node_port(entry: Entry) -> None:
    (port,) = entry.cluster.get("service", FRONT, entry.namespace)["spec"]["ports"]
    assert "nodePort" not in port


# --- without a cluster


@pytest.mark.usefixtures("entry")
def test_make_check_refuses_what_the_api_server_refuses(overlay: Path, tmp_path: Path, measure: Measure) -> None:
    """Of the gateway's objects, each with one thing wrong, by the definitions that are kept for that."""
    server, objects = ApiServer(tmp_path), render(overlay)
    (made,) = [one for one in objects if one["kind"] == "Namespace"]
    origins = [one for one in objects if one["kind"] in ("Gateway", "HTTPRoute")]
    for origin in origins:
        origin["metadata"]["name"] += "-agreement"
    mutants = [Mutant(what, sent, origin) for origin in origins for what, sent in mutations(origin)]
    verdicts = server.all([partial(server.create, one.sent, one.origin) for one in mutants])
    (answers,) = ask([Request([one.sent for one in mutants], [made])]).answers
    assert judge(mutants, answers, verdicts) == []
    assert min(sum(one.refuses for one in verdicts), sum(not one.refuses for one in verdicts)) > len(mutants) // 10
    measure("objects of the Gateway API judged alike", str(len(mutants)))


# --- a change


def test_another_host_name_takes_effect_as_it_is_predicted(entry: Entry, overlay: Path) -> None:
    """Within seconds, and no pod restarts."""
    file = overlay / "gateway.yaml"
    text, before = file.read_text(), render(overlay)
    pods = {pod["metadata"]["uid"] for pod in entry.cluster.objects("pods", entry.namespace)}
    other = f"other.{HOST}"
    try:
        file.write_text(text.replace(HOST, other))
        predicted = [one for one in predict(before, render(overlay)) if one.object == f"Gateway {PREFIX}"]
        assert {(one.rule, one.effect) for one in predicted} == {("way in", Effect.STAYS)}
        entry.cluster.kubectl("apply", "-k", overlay)
        eventually(lambda: entry.ask("/api/", host=other).status == 200, SERVING_SECONDS, f"https://{other}/ answers")
        assert entry.ask("/api/").status == 404
    finally:
        file.write_text(text)
        entry.cluster.kubectl("apply", "-k", overlay)
        eventually(entry.serves, SERVING_SECONDS, f"https://{HOST}/ answers")
    assert {pod["metadata"]["uid"] for pod in entry.cluster.objects("pods", entry.namespace)} == pods


# --- under traffic


def lose_nothing(seen: Load, what: str, measure: Measure) -> None:
    measure(f"  HTTPS, {what}", str(seen))
    assert len(seen.answers) > 100
    assert seen.failed == []


def test_a_renewed_certificate_costs_nothing(entry: Entry, measure: Measure) -> None:
    before = entry.presented()[0]
    with load_by(entry.connect) as seen:
        time.sleep(2)
        renew(entry)
        eventually(lambda: entry.presented()[0] != before, 30, "the new certificate is presented")
        time.sleep(2)
    lose_nothing(seen, "certificate renewed", measure)


def renew(entry: Entry) -> None:
    """Ask for a renewal as `cmctl renew` does; the Secret stays until the new certificate is there."""
    (certificate,) = entry.cluster.objects("certificates", entry.namespace)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    issuing = {"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "by a test"}
    conditions = [*certificate["status"]["conditions"], issuing | {"lastTransitionTime": now}]
    patch = json.dumps({"status": {"conditions": conditions}})
    name = certificate["metadata"]["name"]
    entry.kubectl("patch", "certificate", name, "--subresource=status", "--type=merge", f"--patch={patch}")


def test_every_pod_replaced_costs_nothing(entry: Entry, measure: Measure) -> None:
    with load_by(entry.connect) as seen:
        entry.kubectl("rollout", "restart", "deployment")
        entry.cluster.wait_for_rollout(entry.namespace)
        time.sleep(2)
    lose_nothing(seen, "every pod replaced", measure)


@pytest.mark.usefixtures("hardened")
def test_the_gateway_s_own_pod_replaced_costs_nothing(entry: Entry, measure: Measure) -> None:
    name, where = entry.platform.deployment["metadata"]["name"], ("-n", entry.platform.namespace)
    with load_by(entry.connect) as seen:
        time.sleep(1)
        entry.cluster.kubectl("rollout", "restart", f"deployment/{name}", *where)
        entry.cluster.wait_for_rollout(entry.platform.namespace, name)
        # As long as the former pod goes on serving, and a little more.
        time.sleep(15)
    lose_nothing(seen, "the gateway's own pod replaced", measure)


def test_a_challenge_by_http_passes_with_its_component_alone(entry: Entry, overlay: Path) -> None:
    issuers = [one["metadata"]["name"] for one in _items(entry.cluster, "clusterissuers") if "acme" in one["spec"]]
    if not issuers:
        pytest.skip("the cluster has no ClusterIssuer of an ACME server")
    before = entry.presented(verified=False)[0]
    entry.kubectl("annotate", "gateway", "--all", "--overwrite", f"cert-manager.io/cluster-issuer={issuers[0]}")
    eventually(lambda: entry.cluster.objects("challenges", entry.namespace), 60, "there is a challenge")
    time.sleep(5)
    assert entry.cluster.objects("challenges", entry.namespace)
    component = overlay.parent.parent / "components" / "acme-http01" / "network-policy.yaml"
    entry.kubectl("apply", "--filename", str(component))
    eventually(lambda: entry.presented(verified=False)[0] != before, 60, "its certificate is presented")


# --- the certificate by hand, and without one


def of_this_environment(name: str) -> list[str]:
    """Return the runbook's commands, which name the environment that took the gateway first."""
    return [step.replace(namespace(FOLLOWED), f"{PREFIX}-{ENVIRONMENT}") for step in steps(name)]


def test_a_certificate_by_hand_is_presented_or_missed(entry: Entry, tmp_path: Path) -> None:
    entry.kubectl("annotate", "gateway", "--all", "cert-manager.io/cluster-issuer-")
    entry.kubectl("delete", "certificates", "--all")
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={HOST}"]
    named = ["-addext", f"subjectAltName=DNS:{HOST}", "-keyout", "tls.key", "-out", "tls.crt"]
    run(shlex.join([*request, *named]), tmp_path)
    (create,) = of_this_environment("certificate-by-hand")
    run(create, tmp_path)
    by_hand = replace(entry, platform=replace(entry.platform, authority=(tmp_path / "tls.crt").read_text()))
    eventually(by_hand.serves, SERVING_SECONDS, "the certificate by hand is presented")
    entry.kubectl("delete", "secret", "--field-selector=type=kubernetes.io/tls")
    (look,) = of_this_environment("diagnose-the-gateway")
    eventually(lambda: "InvalidCertificateRef" in run(look, tmp_path), 30, "the runbook tells what is missing")
