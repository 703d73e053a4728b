"""What is wrong with the way in by a Gateway: https://gateway-api.sigs.k8s.io/reference/1.6/spec/."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from tools.check.catalogue import Scope, rule
from tools.check.names import made_secrets
from tools.check.rendering import Problem, Rendering, Tree, nearest
from tools.manifests import (
    NODE_PORT_TYPES,
    FieldPath,
    Manifest,
    backends_of,
    get,
    listeners_of,
    namespace_of,
    parents_of,
    targets_of,
    title,
    type_of,
)

# What components/gateway has where only an overlay knows the value.
PLACEHOLDER = "set-by-the-overlay"
# https://cert-manager.io/docs/usage/gateway/
ISSUERS = ("cert-manager.io/cluster-issuer", "cert-manager.io/issuer")


def _gateways(tree: Tree, renderings: list[Rendering]) -> Iterator[tuple[Rendering, Manifest]]:
    for rendering in renderings:
        yield from ((rendering, one) for one in tree.taken(rendering, rendering.of_kind("Gateway")))


def _issuer_of(gateway: Manifest) -> FieldPath:
    """Return where a Gateway names who issues its certificates; nothing if they come by hand."""
    annotations = gateway["metadata"].get("annotations") or {}
    return next((("metadata", "annotations", name) for name in ISSUERS if name in annotations), ())


@rule(
    "gateway",
    Scope.RENDERINGS,
    why="The gateway takes no such listener, or none gets a certificate: the page does not answer, and nobody is told.",
    remedy="Give the overlay's patch of the Gateway the class, the host name of each listener and the issuer.",
)
def gateways(tree: Tree, renderings: list[Rendering]) -> Iterator[Problem]:
    """A Gateway without its class, a listener without what TLS needs, or a route of a listener that is not there."""
    for rendering, gateway in _gateways(tree, renderings):
        for path, reason, advice in _wrong(gateway):
            yield rendering.problem(gateway, path, f"{title(gateway)} {reason}", advice)
        for route in tree.taken(rendering, rendering.of_kind("HTTPRoute")):
            yield from _wrong_parents(rendering, route, gateway)


def _wrong(gateway: Manifest) -> Iterator[tuple[FieldPath, str, str]]:
    issuer, listeners = _issuer_of(gateway), list(listeners_of(gateway))
    named: list[FieldPath] = [("spec", "gatewayClassName"), *filter(None, [issuer])]
    for path in [*named, *((*path, "hostname") for path, _ in listeners)]:
        if get(gateway, path) == PLACEHOLDER:
            yield path, f"has '{PLACEHOLDER}' for {path[-1]}", "replace it in a patch of the overlay"
    secure = {str(one.get("hostname", "")) for _, one in listeners if one["protocol"] == "HTTPS"}
    for path, listener in listeners:
        name = f"listener '{listener['name']}'"
        if listener["protocol"] == "HTTPS" and not get(listener, ("tls", "certificateRefs")):
            yield path, f"has no certificate for {name}", "name its Secret in tls.certificateRefs"
        if listener["protocol"] == "HTTPS" and issuer and not listener.get("hostname"):
            yield path, f"has no hostname for {name}, so cert-manager makes no certificate", "give it one"
        if listener["protocol"] == "HTTP" and secure and str(listener.get("hostname", "")) not in secure:
            reason = f"has {name} for a host that no listener has with TLS: what is redirected there gets no answer"
            yield (*path, "hostname"), reason, f"write {' or '.join(sorted(filter(None, secure)))}"


def _wrong_parents(rendering: Rendering, route: Manifest, gateway: Manifest) -> Iterator[Problem]:
    """Find the listeners that a route names and that its Gateway does not have."""
    known = [str(listener["name"]) for _, listener in listeners_of(gateway)]
    for path, parent in parents_of(route):
        section, is_parent = parent.get("sectionName"), parent["name"] == gateway["metadata"]["name"]
        if is_parent and section and section not in known:
            reason = f"{title(gateway)} has no listener '{section}', to which {title(route)} belongs"
            advice = f"name one that it has{nearest(section, known)}"
            yield rendering.problem(route, (*path, "sectionName"), reason, advice)


@rule(
    "certificate",
    Scope.RENDERINGS,
    why="Without its Secret the gateway does not serve the listener. It is a note: a Secret may be there by hand.",
    remedy="Name an issuer of cert-manager in the Gateway's annotations, or make the Secret in the cluster.",
)
def certificates(tree: Tree, renderings: list[Rendering]) -> Iterator[Problem]:
    """A certificate of a Gateway that neither the overlay nor cert-manager makes."""
    for rendering, gateway in _gateways(tree, renderings):
        made = made_secrets(rendering)
        scope = f" -n {namespace_of(gateway)}" if namespace_of(gateway) else ""
        for path, name in () if _issuer_of(gateway) else _secrets(gateway):
            if name not in made:
                reason = f"nothing makes or renews the certificate in Secret '{name}' of {title(gateway)}"
                by_hand = f"kubectl{scope} create secret tls {name} --cert=FILE --key=FILE"
                advice = f"by hand: {by_hand}; or annotate it with {ISSUERS[0]}"
                yield rendering.problem(gateway, path, reason, advice, note=True)


def _secrets(gateway: Manifest) -> Iterator[tuple[FieldPath, str]]:
    """Give the Secrets of its own namespace that a Gateway names."""
    for path, listener in listeners_of(gateway):
        for index, one in enumerate(get(listener, ("tls", "certificateRefs")) or []):
            if one.get("kind", "Secret") == "Secret" and not one.get("namespace"):
                yield (*path, "tls", "certificateRefs", index, "name"), one["name"]


@rule(
    "way-in",
    Scope.RENDERINGS,
    why="Who comes by the node port has no TLS, or is turned away where the network policy lets in the gateway alone.",
    remedy="Take out the patch that gives the Service a node port.",
)
def ways_in(tree: Tree, renderings: list[Rendering]) -> Iterator[Problem]:
    """A Service with a node port to which an HTTPRoute leads as well."""
    for rendering in renderings:
        routes = tree.taken(rendering, rendering.of_kind("HTTPRoute"))
        routed = {str(one["name"]) for route in routes for _, one in backends_of(route)}
        for service in rendering.of_kind("Service"):
            if service["metadata"]["name"] in routed and type_of(service) in NODE_PORT_TYPES:
                reason = f"{title(service)} is behind a Gateway, and has a way in beside it"
                yield rendering.problem(service, ("spec", "type"), reason, "take out the patch that makes it so")


@rule(
    "probe",
    Scope.RENDERINGS,
    why="The front turns it away, as it lets in nobody but the gateway: an alert without a fault, and none of TLS.",
    remedy="Let the overlay's patch of the Probe ask what users type.",
)
def probes(tree: Tree, renderings: list[Rendering]) -> Iterator[Problem]:
    """A Probe that does not ask by a host name of the Gateway that leads there."""
    for rendering, gateway in _gateways(tree, renderings):
        names = sorted({str(one["hostname"]) for _, one in listeners_of(gateway) if one.get("hostname")})
        for probe in tree.taken(rendering, rendering.of_kind("Probe")):
            for path, target in targets_of(probe) if names else ():
                if urlsplit(target).hostname not in names:
                    reason = f"{title(probe)} asks {target}, past {title(gateway)}"
                    yield rendering.problem(probe, path, reason, f"ask {' or '.join(names)}, by https")


@rule(
    "hostname",
    Scope.RENDERINGS,
    why="A gateway serves one of the two, whichever is older, and the other environment's users see the wrong page.",
    remedy="Give each environment a host name of its own.",
    own=True,
)
def hostnames(tree: Tree, renderings: list[Rendering]) -> Iterator[Problem]:
    """A host name that Gateways of two environments have."""
    owners: dict[Any, str] = {}
    for rendering, gateway in _gateways(tree, renderings):
        for path, listener in listeners_of(gateway):
            name = listener.get("hostname")
            owner = owners.setdefault(name, rendering.environment)
            if name and owner != rendering.environment:
                reason = f"{owner} has the host name {name} too"
                yield rendering.problem(gateway, (*path, "hostname"), reason, "give each environment its own")
