"""Mutants of what is deployed to each environment, and of argocd/.

Each key, item and value of each object, at every depth, is deleted and weakened; in place, where the tests of
tests/manifests look. An object or a field that is added tomorrow is among them.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import pytest

from tests.mutants.plugin import Mutant
from tests.support.product import API, FRONT, PREFIX, argocd, deployed
from tools.manifests import base_name
from tools.repository import environments

Change = Callable[[], AbstractContextManager[None]]

ARGOCD = "argocd"
# Mutants that are as good as the product, and why. `*` stands for anything.
EQUIVALENT: dict[str, str] = {}
ANOTHER = rf".* (Deployment|Job)/(?!({API}|{FRONT}|{PREFIX}-smoke)\.).*"
# What the team that runs the product decides, and why no test need see another value: patterns of what is changed, of
# which some are seen all the same. Whoever changes a value here meets no red test.
FREE: dict[str, str] = {
    r".*\.metadata\.annotations(?!.*argoproj).*": "for people, and for programs that are not the product's",
    r".*\.metadata\.labels(?!.*pod-security).*": "for people; those by which something is selected are seen by that",
    r".*\.(replicas|revisionHistoryLimit|minReadySeconds|progressDeadlineSeconds): .* → .*": "how far, and how fast",
    r".*\.revisionHistoryLimit: deleted": "Kubernetes and Argo CD have a default of their own",
    r".*\.rollingUpdate\.maxSurge: .* → .*": "how fast",
    r".*\.(terminationGracePeriod|activeDeadline)Seconds: .* → .*": "how patient",
    r".*\.preStop\.sleep\.seconds: .* → .*": "how patient; the sums of times are held",
    r".*Probe\.(initialDelaySeconds|periodSeconds|timeoutSeconds|failureThreshold): .*": "how patient",
    r".*\.(requests|limits)\.\S+: .* → .*": "how much; that memory is reserved, and that all has an end, is held",
    r".*\.sizeLimit: .* → .*": "how much",
    r".* Service/\S+\.ports\[\d+\]\.(name|port|nodePort): .* → .*": "where; what asks for them is held",
    r".* Service/\S+\.spec\.type: deleted": "the default is a Service within the cluster",
    r".* Deployment/\S+\.spec\.strategy\.type: deleted": "the default is a rolling update",
    r".* NetworkPolicy/[^.]*\.metadata\.name: .*": "for people",
    r".* Secret/\S+\.type: .*": "nothing reads it",
    r".*sync-wave: .* → .*": "how early; that it is before what needs it is held",
    r".* Job/\S+\.containers\[0\]\.name: .* → .*": "nothing names it",
    r"argocd Application/.*\.(retry\.limit|retry\.backoff).*": "how often",
    r"argocd Application/.*\.metadata\.finalizers.*": "whether what it deployed goes with it",
    r"argocd AppProject/.*\.spec\.description: .*": "words for people",
    # The product's own workloads and Services are held to their images; of another, nothing here knows the program.
    rf"{ANOTHER}\.(name|image|runAsUser|runAsGroup|mountPath): .* → .*": "its image's",
    rf".* Service/(?!({API}|{FRONT})[.:])[^.]*(: deleted|\.metadata\.name: .*|\.spec\.selector.*)": "nobody asks it",
    rf"{ANOTHER}\.(ports|env|command|args|httpGet)\b.*": "its program's",
}


# Proven elsewhere, on every change of a part: tests/manifests/test_network_policies.py.
ELSEWHERE = "NetworkPolicy"


def mutants() -> Iterator[Mutant]:
    """Make every mutant of every object."""
    for name, objects in {**{name: deployed(name) for name in environments()}, ARGOCD: argocd()}.items():
        judge = partial(_looks_at, name)
        for index, manifest in enumerate(objects):
            kind = manifest["kind"]
            title = f"{name} {kind}/{base_name(manifest)}"
            if kind != ELSEWHERE:
                yield Mutant(f"{title}: deleted", kind, partial(_without, objects, index), judge)
            for what, change in _changes(manifest):
                if not what.startswith(".spec") or kind != ELSEWHERE:
                    yield Mutant(title + what, kind, change, judge)


def _looks_at(name: str, item: pytest.Item) -> bool:
    """Whether a test looks at these objects and at no other environment's.

    A test that compares environments does not count: it sees a change to one, and is blind to the same one in the base.
    """
    if name == ARGOCD:
        return name in getattr(item, "fixturenames", ())
    callspec = getattr(item, "callspec", None)
    return callspec is not None and name in (
        callspec.params.get(key) for key in ("environment", "followed_environment")
    )


def _changes(node: Any, path: str = "") -> Iterator[tuple[str, Change]]:
    keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for key in keys:
        value = node[key]
        here = f"{path}.{key}" if isinstance(node, dict) else f"{path}[{key}]"
        yield f"{here}: deleted", partial(_without, node, key)
        for what, other in _weaker(value):
            yield f"{here}: {what}", partial(_with, node, key, other)
        yield from _changes(value, here)


def _weaker(value: Any) -> Iterator[tuple[str, Any]]:
    match value:
        case bool():
            yield f"{value} → {not value}", not value
        case int():
            yield from ((f"{value} → {other}", other) for other in {0, 2 * value or 1} - {value})
        case str():
            yield from _weaker_text(value)
        case dict() | list() if value:
            yield "emptied", type(value)()
        case {}:
            yield "filled", {"mutant": "mutant"}


def _weaker_text(text: str) -> Iterator[tuple[str, str]]:
    yield f"{_short(text)!r} → '…-mutant'", f"{text}-mutant"
    if len(text.splitlines()) > 1:
        yield f"{_short(text)!r} without its first line", text.partition("\n")[2]
    if re.fullmatch(r"[v-]?\d[\d.]*[A-Za-z]{0,2}", text):  # a quantity, a time, a version
        more = re.sub(r"\d+", lambda digits: str(2 * int(digits[0]) or 1), text)
        yield f"{text!r} → {more!r}", more
    elif cut := re.fullmatch(r"(.+)[:=/@].*", text):
        yield f"{text!r} → {cut[1]!r}", cut[1]


def _short(text: str) -> str:
    return text.splitlines()[0] if text else text


@contextmanager
def _with(node: Any, key: Any, other: Any) -> Iterator[None]:
    value, node[key] = node[key], other
    yield
    node[key] = value


@contextmanager
def _without(node: Any, key: Any) -> Iterator[None]:
    value = node.pop(key)
    yield
    if isinstance(node, list):
        node.insert(key, value)
    else:
        node[key] = value
