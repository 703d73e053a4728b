"""Values that look like real secrets: what is once in Git is known for ever."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from tools.check.catalogue import Scope, rule
from tools.check.rendering import Problem, Rendering, Tree, nearest
from tools.check.sources import Place, read, text_of
from tools.manifests import FieldPath, Manifest, entries, title

# The prefix of a dummy, which the API refuses when APP_ENV is production.
DUMMY = "demo-"
_SECRET_NAME = re.compile(r"PASSW|SECRET|TOKEN|CREDENTIAL|API_?KEY|PRIVATE_?KEY|ACCESS_?KEY", re.IGNORECASE)
# What the name of a variable ends with that only says something of a secret.
_ABOUT_ONE = re.compile(
    r"(FILE|PATH|DIR|NAME|TTL|HEADER|LENGTH|AGE|EXPIRY|EXPIRATION|EXPIRES_IN|ENABLED|SECONDS|MINUTES|TIMEOUT)$",
    re.IGNORECASE,
)
# A dummy, a variable of Kubernetes or of the deployment, a template's placeholder, what SOPS has encrypted.
_STANDS_FOR_ONE = re.compile(rf"{DUMMY}|\$[({{]|{{{{|<[^<>]+>$|ENC\[\w+,")
_KNOWN_FORM = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_\w{36}|\bglpat-[\w-]{20}|\bxox[abprs]-[\w-]{10}"
    r"|(?<![\w-])eyJ[\w-]{10,}\.eyJ[\w-]{10,}|AGE-SECRET-KEY-1\w{20}"
)
# user:password@ in a URL
_IN_URL = re.compile(r"://[^\s/:@$]+:(?P<password>[^\s/@]+)@")
_WORD = re.compile(r"[A-Za-z0-9+/_=-]{20,}")
# What is made to be shown to everybody: certificates and public keys.
_PUBLIC = re.compile(
    r"-----BEGIN ((?:TRUSTED |X509 )?CERTIFICATE|(?:RSA )?PUBLIC KEY|X509 CRL)-----[^-]+-----END \1-----"
    r"|\b(?:ssh-rsa|ssh-ed25519|ecdsa-sha2-nistp\d+) AAAA[\w+/=]+"
)
# Texts that look like secrets and are none: each with its file and the reason.
ALLOWED = "allowed-secrets.yaml"
# A random text of 20 letters and digits has about 4 bits a character; words and hexadecimal digests have less.
_RANDOM_BITS = 3.8


@rule(
    "secret",
    why="What was once in Git is known for ever, to everybody who ever cloned it.",
    remedy=(
        "Take it out, change it where it is used, and seal the new one (make seal), or leave a dummy that begins "
        "with demo-, which the API refuses in production. What is none stands in deploy/allowed-secrets.yaml with its "
        "file, the text and the reason."
    ),
)
def secrets(rendering: Rendering) -> Iterator[Problem]:
    """A value that looks like a real secret."""
    allowed = _allowed(rendering.deploy)
    for one in _suspects(rendering):
        value = one.value
        for entry in allowed:
            value = value.replace(entry.text, "") if entry.is_for(one) else value
        if reason := _why(one.name, value, one.manifest["kind"] == "Secret"):
            yield rendering.problem(
                one.manifest,
                one.path,
                f"'{one.name}' of {title(one.manifest)} {reason}",
                f"take it out of Git, change it where it is used, and `make seal` it; a dummy begins with {DUMMY}",
                word=_first_line(value, reason),
            )


@dataclass(frozen=True)
class Suspect:
    """A value that looks like a secret: of which object, where in it, by which name, and in which file."""

    manifest: Manifest
    path: FieldPath
    name: str
    value: str
    file: Path


@dataclass(frozen=True)
class Allowed:
    """An entry of the texts that look like secrets and are none: where it stands, and what it says."""

    place: Place
    file: Path
    text: str
    reason: str

    def is_for(self, suspect: Suspect) -> bool:
        """Tell whether this allows a part of a value; without a reason it allows nothing."""
        return bool(self.text and self.reason) and self.file == suspect.file and self.text in suspect.value


def _suspects(rendering: Rendering) -> Iterator[Suspect]:
    for manifest, path, name, value in _values(rendering):
        if _why(name, value, manifest["kind"] == "Secret"):
            yield Suspect(manifest, path, name, value, rendering.sources.locate(manifest, path).file)


def _allowed(deploy: Path) -> list[Allowed]:
    documents = read(deploy / ALLOWED)
    entries = [(one, node) for one in documents if isinstance(one.node, yaml.SequenceNode) for node in one.node.value]
    return [
        Allowed(one.place(node), deploy.parent / text_of(node, "file"), text_of(node, "text"), text_of(node, "reason"))
        for one, node in entries
    ]


@rule(
    "allowed-secret",
    Scope.RENDERINGS,
    why="An entry for what is gone would let pass, unseen, what comes back to the same place.",
    remedy="Remove the entry, or give it its file, the text as the file has it, and the reason.",
)
def allowed_secrets(tree: Tree, renderings: list[Rendering]) -> Iterator[Problem]:
    """An entry of deploy/allowed-secrets.yaml that allows nothing."""
    allowed = _allowed(tree.deploy)
    # Each value is looked at a second time, so only if there is something to compare it with.
    suspects = [one for rendering in renderings for one in _suspects(rendering)] if allowed else []
    files = [str(one.file.relative_to(tree.deploy.parent)) for one in suspects]
    for entry in allowed:
        if not any(map(entry.is_for, suspects)):
            lacks = [name for name in ("text", "reason") if not getattr(entry, name)]
            reason = f"this has no {lacks[0]}" if lacks else "no text that looks like a secret is allowed by this"
            near = nearest(str(entry.file.relative_to(tree.deploy.parent)), files)
            yield Problem(entry.place, reason, f"give it one{near}" if lacks else f"remove it, or correct it{near}")


def _values(rendering: Rendering) -> Iterator[tuple[Manifest, FieldPath, str, str]]:
    for container in rendering.containers:
        for path, item in container.items("env"):
            yield container.manifest, (*path, "value"), item["name"], str(item.get("value", ""))
        for field in ("command", "args"):
            for index, text in enumerate(container.data.get(field) or []):
                yield container.manifest, (*container.path, field, index), field, str(text)
    for manifest in rendering.of_kind("ConfigMap", "Secret"):
        for path, text in entries(manifest):
            yield manifest, path, str(path[-1]), text


def _why(name: str, value: str, in_secret: bool) -> str:
    """Return why a value looks like a real secret; empty if it does not."""
    if not value or _STANDS_FOR_ONE.match(value):
        return ""
    passwords = [found["password"] for found in _IN_URL.finditer(value)]
    reasons = {
        "is in a Secret and is no dummy": in_secret,
        "has the name of a secret and stands here in clear text": _is_named_as_one(name) and " " not in value,
        "has the form of a key": _KNOWN_FORM.search(value),
        "holds a password in a URL": any(not one.startswith((DUMMY, "$(")) for one in passwords),
        "holds a text that looks random, as keys do": any(map(_is_random, _words(value))),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _is_named_as_one(name: str) -> bool:
    return bool(_SECRET_NAME.search(name)) and not _ABOUT_ONE.search(name)


def _words(value: str) -> list[str]:
    return _WORD.findall(_PUBLIC.sub("", value))


def _is_random(word: str) -> bool:
    kinds = all(re.search(kind, word) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
    shares = [word.count(letter) / len(word) for letter in set(word)]
    return kinds and -sum(share * math.log2(share) for share in shares) > _RANDOM_BITS


def _first_line(value: str, reason: str) -> str:
    """Return the part of a value by which its line is found in a file."""
    for pattern in (_KNOWN_FORM, _IN_URL):
        if found := pattern.search(value):
            return found[0]
    random = next(filter(_is_random, _words(value)), "")
    return random if "random" in reason else value.partition("\n")[0]
