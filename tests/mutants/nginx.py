"""Mutants of NGINX's two files: each directive is deleted, each of its arguments left out or weakened.

The files themselves are rewritten, so this runs in a copy of the repository.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import crossplane

from tests.mutants.plugin import Mutant
from tests.support import front_server
from tools.local import front

Block = list[dict[str, Any]]

# Mutants that are as good as the product, and why. `*` stands for anything.
EQUIVALENT = {
    "control: *": "the same file as the library writes it",
    "map $request_time $log_duration_ms > default 0: 0 → 1": "every time fits a pattern; gixy wants a default",
    "map $request_uri$http_host$http_referer $unprintable > default 0: deleted": "a default that is not named is empty",
    "map $request_uri$http_host$http_referer $unprintable > ~[^ -~] 1: 1 → 2": "both are true",
    "map $http_content_length$http_transfer_enco… $body > default body: body → body-mutant": "any name will do",
    "server > location = /.problem > return 200 *: 200 → 400": "NGINX keeps the status of the error that led here",
    "server > location = /404.html: without =": "nothing else begins with this path",
}


def mutants() -> Iterator[Mutant]:
    """Make every mutant of both files."""
    # Mutants that serve or log nothing are many, and not worth the wait that a slow machine is.
    front_server.READY_SECONDS = front_server.LOG_SECONDS = 1
    for file in (front.MAIN, front.TEMPLATE):
        parsed = crossplane.parse(os.fspath(file), single=True, comments=False, check_ctx=False)
        block: Block = parsed["config"][0]["parsed"]
        for name, change in [(f"control: {file.name}", nullcontext), *_changes(block)]:
            yield Mutant(name, file.name, partial(_written, file, block, change))


def _changes(block: Block, above: str = "") -> Iterator[tuple[str, Callable[[], AbstractContextManager[None]]]]:
    for directive in block:
        args: list[str] = directive["args"]
        name = above + " ".join([directive["directive"], *map(_short, args)])
        yield f"{name}: deleted", partial(_without, block, directive)
        for index, arg in enumerate(args):
            before, after = args[:index], args[index + 1 :]
            if before + after:
                yield f"{name}: without {_short(arg)}", partial(_with, directive, before + after)
            other = _weaker(arg)
            yield f"{name}: {_short(arg)} → {_short(other)}", partial(_with, directive, [*before, other, *after])
        yield from _changes(directive.get("block", []), f"{name} > ")


def _short(arg: str) -> str:
    return arg if len(arg) <= 40 else f"{arg[:39]}…"


def _weaker(arg: str) -> str:
    if arg in {"on", "off"}:
        return "off" if arg == "on" else "on"
    if arg.startswith("$"):
        return "$pid"
    if number := re.fullmatch(r"(\w*=)?(\d+)([a-z]*)", arg):
        name, digits, unit = number.groups("")
        return f"{name}{int(digits) * 2 or 1}{unit}"
    return f"{arg}-mutant"


@contextmanager
def _without(block: Block, directive: dict[str, Any]) -> Iterator[None]:
    index = block.index(directive)
    del block[index]
    yield
    block.insert(index, directive)


@contextmanager
def _with(directive: dict[str, Any], args: list[str]) -> Iterator[None]:
    before, directive["args"] = directive["args"], args
    yield
    directive["args"] = before


@contextmanager
def _written(file: Path, block: Block, change: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    before = file.read_text()
    with change():
        # The library quotes the template's names, which may hold several arguments.
        file.write_text(re.sub(r"'(\$\{\w+\})'", r"\1", crossplane.build(block)))
    yield
    file.write_text(before)
