"""Values that look like real secrets: what is once in Git is known for ever."""

import math
import re
from collections.abc import Iterator

from tools.check.catalogue import rule
from tools.check.rendering import Problem, Rendering
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
# A random text of 20 letters and digits has about 4 bits a character; words and hexadecimal digests have less.
_RANDOM_BITS = 3.8


@rule(
    "secret",
    why="What was once in Git is known for ever, to everybody who ever cloned it.",
    remedy=(
        "Take it out, change it where it is used, and leave a dummy that begins with demo-, which the API refuses "
        "in production."
    ),
)
def secrets(rendering: Rendering) -> Iterator[Problem]:
    """A value that looks like a real secret."""
    for manifest, path, name, value in _values(rendering):
        if reason := _why(name, value, manifest["kind"] == "Secret"):
            yield rendering.problem(
                manifest,
                path,
                f"'{name}' of {title(manifest)} {reason}",
                f"take it out of Git and change it where it is used; a dummy begins with {DUMMY}",
                word=_first_line(value, reason),
            )


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
        "holds a text that looks random, as keys do": any(map(_is_random, _WORD.findall(value))),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _is_named_as_one(name: str) -> bool:
    return bool(_SECRET_NAME.search(name)) and not _ABOUT_ONE.search(name)


def _is_random(word: str) -> bool:
    kinds = all(re.search(kind, word) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
    shares = [word.count(letter) / len(word) for letter in set(word)]
    return kinds and -sum(share * math.log2(share) for share in shares) > _RANDOM_BITS


def _first_line(value: str, reason: str) -> str:
    """Return the part of a value by which its line is found in a file."""
    for pattern in (_KNOWN_FORM, _IN_URL):
        if found := pattern.search(value):
            return found[0]
    random = next((word for word in _WORD.findall(value) if _is_random(word)), "")
    return random if "random" in reason else value.partition("\n")[0]
