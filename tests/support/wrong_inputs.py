"""Wrong inputs as people make them: files, arguments and variables, made at random from a seed.

As a program, in a clone: tries those from one seed to another, and prints of each, as JSON, what came of it.
"""

import contextlib
import io
import json
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.__main__ import COMMANDS, main
from tools.command import run_program
from tools.repository import environments

LOOKS = [["check"], ["check", "--json"], ["diff"], ["diff", "--markdown"], ["compare"], ["compare", "--json"]]
OPTIONS = [
    "--json",
    "--explain",
    "--root",
    "--from",
    "--node-port",
    "--owner",
    "--environment",
    "--live",
    "--yes",
    "-x",
]
WORDS = [
    *("", "-", "--", "--help=", "/", "*", "a b", "é", "\u2028", "\udce9", "'", '"', "$x", "%s", "{}", "\n", "a=b", "="),
    *("0", "-1", "9" * 30, "HEAD", "HEAD~9999", f"sha256:{'0' * 64}", "sha256:zz", "1.36.1", "v1", "api", "../x"),
    *environments(),
]
VARIABLES = ["REGISTRY", "NODE_ADDRESS", "API_PORT", "FRONT_PORT", "KUBECONFIG", "COLUMNS", "TERM", "TMPDIR"]
VALUES = [
    *(
        "=",
        "[]",
        "{}",
        "null",
        "~",
        "",
        "2026-01-01",
        "0x_",
        "1e999",
        "yes",
        "-1",
        "9" * 20,
        "'",
        '"',
        "*a",
        "&a",
        "[",
        "{",
    ),
    *(
        "!!python/object:a b",
        "!!timestamp x",
        "<<: 1",
        "a: b: c",
        "\x0b",
        "\t",
        "\u2028",
        "|",
        ">",
        "? [a]",
        "- -",
        "%",
        "@",
    ),
]
Change = Callable[[random.Random, bytes], bytes]


def _other_value(chance: random.Random, content: bytes) -> bytes:
    lines = content.decode().split("\n")
    number = chance.choice([index for index, line in enumerate(lines) if ":" in line] or [0])
    lines[number] = f"{lines[number].partition(':')[0]}: {chance.choice(VALUES)}"
    return "\n".join(lines).encode()


def _other_line(chance: random.Random, content: bytes) -> bytes:
    lines = content.split(b"\n")
    number = chance.randrange(len(lines))
    line = lines[number]
    lines[number : number + 1] = chance.choice([[], [line, line], [b"  " + line], [line.lstrip()]])
    return b"\n".join(lines)


def _cut(chance: random.Random, content: bytes) -> bytes:
    return content[: chance.randrange(len(content) + 1)]


def _spoilt(chance: random.Random, content: bytes) -> bytes:
    at = chance.randrange(len(content) + 1)
    return content[:at] + bytes([chance.randrange(256)]) + content[at:]


def _in_another_encoding(chance: random.Random, content: bytes) -> bytes:
    return ("é " + content.decode()).encode(chance.choice(["cp1252", "utf-16", "utf-8-sig"]), errors="replace")


EDITS: list[Change] = [_other_value, _other_value, _other_line, _cut, _spoilt, _in_another_encoding]


def _spoil(chance: random.Random, file: Path) -> None:
    """Edit a file, lose it, put a folder or a link to nothing in its place, or an editor's lock beside it."""
    content, edit = file.read_bytes(), chance.choice([*EDITS, None])
    if edit:
        file.write_bytes(edit(chance, content))
        return
    place = chance.choice([file, file.with_name(f".#{file.name}")])
    place.unlink(missing_ok=True)
    match chance.choice(["lost", "folder", "link"]):
        case "folder":
            place.mkdir()
        case "link":
            place.symlink_to("somebody@a-machine.4321")


@contextmanager
def _wrong_call(chance: random.Random) -> Iterator[list[str]]:
    name = chance.choice(VARIABLES)
    os.environ[name] = chance.choice(WORDS)
    commands = [*(command for command in COMMANDS if command != "run"), "x"]  # it would go on, if nothing is wrong
    try:
        yield [chance.choice(commands), *chance.choices([*WORDS, *OPTIONS], k=chance.randrange(4))]
    finally:
        del os.environ[name]


@contextmanager
def _wrong_file(chance: random.Random) -> Iterator[list[str]]:
    tops = [Path("deploy"), Path("argocd")]
    files = [path for top in tops for path in sorted(top.rglob("*")) if path.suffix in (".yaml", ".json")]
    with TemporaryDirectory() as kept:
        for top in tops:
            shutil.copytree(top, Path(kept, top))
        try:
            _spoil(chance, chance.choice(files))
            yield chance.choice(LOOKS)
        finally:
            for top in tops:
                shutil.rmtree(top)
                shutil.copytree(Path(kept, top), top)


def tried(seed: int) -> dict[str, object]:
    """Try an input; return its command line, its status and what it said."""
    said, printed = io.StringIO(), io.StringIO()
    chance = random.Random(seed)  # noqa: S311 - nothing is secret here
    with (
        (_wrong_call if seed % 2 else _wrong_file)(chance) as arguments,
        contextlib.redirect_stderr(said),
        contextlib.redirect_stdout(printed),
    ):
        try:
            status = run_program("try", lambda: main(arguments))
        except SystemExit as ended:  # of --help
            status = int(ended.code or 0)
    return {"seed": seed, "arguments": arguments, "status": status, "said": said.getvalue()}


if __name__ == "__main__":
    for one in range(int(sys.argv[1]), int(sys.argv[2])):
        print(json.dumps(tried(one)), flush=True)
