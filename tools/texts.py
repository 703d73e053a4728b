"""The one place where a text that somebody else wrote is read: a file, or what kubectl says.

It is UTF-8, and YAML means what it means to Kubernetes, where a date or `=` is text.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

# libyaml, which nearly every build of PyYAML has, is ten times as fast.
_BASE = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_TEXT_TO_KUBERNETES = {"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value"}
_RESOLVERS = {
    first: [(tag, pattern) for tag, pattern in known if tag not in _TEXT_TO_KUBERNETES]
    for first, known in _BASE.yaml_implicit_resolvers.items()
}
LOADER: Any = type("KubernetesLoader", (_BASE,), {"yaml_implicit_resolvers": _RESOLVERS})
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class UnreadableError(Exception):
    """A text cannot be read; the message says where and why.

    Attributes:
        line: the line of what is wrong, from 1
        reason: what is wrong
    """

    def __init__(self, source: Path | str, line: int, reason: str) -> None:
        super().__init__(f"{source}:{line}: {reason}: correct it, then run this again")
        self.line, self.reason = line, reason


def read_text(file: Path, newline: str | None = None) -> str:
    """Return what a file says.

    Args:
        file: which one
        newline: as in `open`: "" leaves the ends of lines as they are

    Raises:
        UnreadableError: if it is not UTF-8, or cannot be read.
    """
    try:
        with file.open(encoding="utf-8", newline=newline) as opened:
            return opened.read()
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        found = "UTF-16" if error.object.startswith(_UTF16) else f"the byte {error.object[error.start]:#04x}"
        raise UnreadableError(file, line, f"{found} where UTF-8 is expected") from None
    except OSError as error:
        raise UnreadableError(file, 1, f"this cannot be read ({error.strerror})") from None


def read_yaml(file: Path) -> list[Any]:
    """Return the documents of a file.

    Raises:
        UnreadableError: if it is no YAML.
    """
    return load_yaml(read_text(file), file)


def load_yaml(text: str, source: Path | str) -> list[Any]:
    """Return the documents of a text, which `source` names, without empty ones.

    Raises:
        UnreadableError: if it is no YAML.
    """
    with parsing_yaml(text, source):
        return [document for document in yaml.load_all(text, Loader=LOADER) if document]


@contextmanager
def parsing_yaml(text: str, source: Path | str) -> Iterator[None]:
    """Turn what a YAML parser raises, within the context, into what names the place.

    Raises:
        UnreadableError: if it raises something.
    """
    try:
        yield
    except (yaml.YAMLError, ValueError, AttributeError, RecursionError) as error:
        # What PyYAML's constructors raise of themselves: `0x_` is no number, and a date may be none.
        reason = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
        raise UnreadableError(source, _line_of(error, text), f"this is no YAML: {reason}") from None


def _line_of(error: Exception, text: str) -> int:
    if mark := getattr(error, "problem_mark", None):
        return int(mark.line) + 1
    return text.encode()[: getattr(error, "position", 0)].count(b"\n") + 1


def load_json(text: str, source: Path | str) -> Any:
    """Return what a text says as JSON; `source` names it.

    Raises:
        UnreadableError: if it is none.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UnreadableError(source, error.lineno, f"this is no JSON: {error.msg}") from None
    except RecursionError:
        raise UnreadableError(source, 1, "this is no JSON: it is nested too deeply") from None
