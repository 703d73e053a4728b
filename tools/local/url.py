"""make url: how the front of an environment is reached from here, on the current context's cluster.

In the environment: NODE_ADDRESS, where the cluster's node ports are reached from here.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tools.command import RefusedError, ask, overlay
from tools.images import deployment_of
from tools.local.context import Cluster, current_cluster
from tools.local.front import FRONT
from tools.local.run import PORTS
from tools.manifests import (
    NODE_PORT_TYPES,
    Manifest,
    backends_of,
    listeners_of,
    namespace_of,
    parents_of,
    pods_of,
    selector_of,
    selects,
    type_of,
)
from tools.render import render
from tools.texts import load_json

DEFAULT_PORTS = {"http": 80, "https": 443}


def front_services(manifests: Sequence[Manifest]) -> list[Manifest]:
    """Return the Services that lead to the front's pods.

    Raises:
        RefusedError: if there is none.
    """
    front = deployment_of(manifests, FRONT.name)
    (pod,) = pods_of([front])
    found = [
        item
        for item in manifests
        if item["kind"] == "Service"
        and namespace_of(item) == namespace_of(front)
        and selects(selector_of(item), pod.labels)
    ]
    if not found:
        raise RefusedError(
            f"no Service leads to the pods of the Deployment {front['metadata']['name']}:"
            " add one whose selector has their labels, or put the base's back"
        )
    return found


def _has_an_address(service: Manifest) -> bool:
    return type_of(service) in NODE_PORT_TYPES


def is_exposed(manifests: Sequence[Manifest]) -> bool:
    """Tell whether the front can be reached from outside the cluster, by what its objects say."""
    services = front_services(manifests)
    return any(map(_has_an_address, services)) or bool(list(_hosts(manifests, services)))


def url_of(cluster: Cluster, manifests: Sequence[Manifest]) -> str:
    """Return a URL of the front, with a slash at its end; empty if there is none, or none yet.

    The host of an Ingress or an HTTPRoute comes first, then the address of a load balancer, then a node port.
    """
    services = front_services(manifests)
    found = [*_hosts(manifests, services), *(url for service in services for url in _addresses(cluster, service))]
    return next(iter(found), "")


def port_forward(cluster: Cluster, manifests: Sequence[Manifest]) -> str:
    """Return the command by which the front answers on this machine, whatever exposes it."""
    service = front_services(manifests)[0]
    name, namespace = service["metadata"]["name"], namespace_of(service)
    ports = f"{PORTS['FRONT_PORT']}:{service['spec']['ports'][0]['port']}"
    scope = f" -n {namespace}" if namespace else ""
    return f"kubectl --context {shlex.quote(cluster.context)}{scope} port-forward service/{name} {ports}"


def _hosts(manifests: Sequence[Manifest], services: Sequence[Manifest]) -> Iterator[str]:
    """Give the URLs of the hosts that are routed to the front; a wildcard is not a host."""
    names = {service["metadata"]["name"] for service in services}
    for item in manifests:
        found: Iterator[str] = iter(())
        if item["kind"] == "Ingress":
            found = _ingress_urls(item["spec"], names)
        elif item["kind"] == "HTTPRoute":
            found = _route_urls(item, names, [one for one in manifests if one["kind"] == "Gateway"])
        yield from (url for url in found if "*" not in url)


def _ingress_urls(spec: Mapping[str, Any], names: set[str]) -> Iterator[str]:
    secure = {host for entry in spec.get("tls", []) for host in entry.get("hosts", [])}
    for rule in spec.get("rules", []):
        for path in rule.get("http", {}).get("paths", []):
            if "host" in rule and path["backend"].get("service", {}).get("name") in names:
                scheme = "https" if rule["host"] in secure else "http"
                yield f"{scheme}://{rule['host']}{path.get('path', '').rstrip('/')}/"


def _route_urls(route: Manifest, names: set[str], gateways: Sequence[Manifest]) -> Iterator[str]:
    """Give the URLs of a route's own hosts or, where it has none, of the listeners that it belongs to."""
    if not {backend["name"] for _, backend in backends_of(route)} & names:
        return
    listeners = list(_listeners(route, gateways))
    # Whether a Gateway that is not here has a certificate is the platform's business: such a one redirects.
    scheme = "https" if any(one["protocol"] == "HTTPS" for one in listeners) else "http"
    hosts = route["spec"].get("hostnames") or [one["hostname"] for one in listeners if "hostname" in one]
    # No port: what leads to the listener's, a load balancer say, has the one that users know.
    yield from (f"{scheme}://{host}/" for host in hosts)


def _listeners(route: Manifest, gateways: Sequence[Manifest]) -> Iterator[dict[str, Any]]:
    for _, parent in parents_of(route):
        for gateway in gateways:
            if gateway["metadata"]["name"] == parent["name"]:
                listeners = (listener for _, listener in listeners_of(gateway))
                yield from (one for one in listeners if parent.get("sectionName") in (None, one["name"]))


def _addresses(cluster: Cluster, service: Manifest) -> Iterator[str]:
    """Give the URLs of a Service; what the overlay leaves to the cluster, the cluster is asked for."""
    if not _has_an_address(service):
        return
    live = _live(cluster, service)
    port = live["spec"]["ports"][0]
    scheme = "https" if "https" in {port.get("name"), port.get("appProtocol")} or port["port"] == 443 else "http"  # noqa: PLR2004
    if service["spec"]["type"] == "LoadBalancer":
        for entry in live.get("status", {}).get("loadBalancer", {}).get("ingress", []):
            yield _url(scheme, entry.get("hostname") or entry["ip"], port["port"])
    elif "nodePort" in port:
        yield _url(scheme, node_address(cluster), port["nodePort"])


def _live(cluster: Cluster, service: Manifest) -> Manifest:
    """Return a Service as the cluster has it; as the overlay has it, if it is not there."""
    name, namespace = service["metadata"]["name"], namespace_of(service)
    found = ask(*cluster.kubectl, "-n", namespace, "get", "service", name, "--ignore-not-found", "-o", "json").stdout
    live: Manifest = load_json(found, "what kubectl says") if found.strip() else service
    return live


def _url(scheme: str, host: str, port: int) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}/" if port == DEFAULT_PORTS[scheme] else f"{scheme}://{shown}:{port}/"


def node_address(cluster: Cluster) -> str:
    """Return where the cluster's node ports are reached from here."""
    if given := os.environ.get("NODE_ADDRESS"):
        return given
    if cluster.context.startswith("kind-") or cluster.may_have_docker:
        return "127.0.0.1"
    path = "{.items[0].status.addresses[?(@.type=='%s')].address}"
    found = ask(*cluster.kubectl, "get", "nodes", "-o", f"jsonpath={path % 'ExternalIP'} {path % 'InternalIP'}")
    # Whoever may not list the nodes is told how else to reach the front.
    return (found.stdout.split() or ["127.0.0.1"])[0]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("environment", metavar="ENV", help="the overlay's name")


def main(options: argparse.Namespace) -> int:
    """Print the URL of the front or, where there is none, the command that makes one.

    Raises:
        RefusedError: if there is no such environment, or no cluster.
    """
    manifests = render(overlay(options.environment))
    cluster = current_cluster()
    url = url_of(cluster, manifests)
    if not url and is_exposed(manifests):
        print("The cluster has given it no address yet; until then this reaches it:", file=sys.stderr, flush=True)
    print(url or port_forward(cluster, manifests))
    return 0
