"""make new-environment: an environment more, like one that is there, in every list that names environments.

    python -m tools new-environment NAME --from SOURCE [--node-port PORT] [--no-argocd]

The files are edited as text, at the places where YAML says that the entries of the source end: comments, quotes and the
width of lines stay as they are. Why so: docs/decisions/0030-une-copie-prend-ses-noms.md
"""

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import yaml

from tools.adopt import LABEL
from tools.command import Parser, RefusedError, do
from tools.local.cluster import CONFIG
from tools.network.flows import OUTSIDE
from tools.render import render
from tools.repository import APPLICATION, OVERLAYS, REPOSITORY, environments, followed, kustomization_of
from tools.texts import parsing_yaml, read_text, read_yaml

DEPLOY = OVERLAYS.parent
FLOWS = DEPLOY / "flows.yaml"
CONFIG_OF_PAGE = "config.json"
PROJECT = APPLICATION.with_name("project.yaml")
GITHUB = REPOSITORY / ".github"
NODE_PORT = re.compile(r"(nodePort: *)(\d+)")
# By these the page tells an environment from the others: the first that none has yet. Words on any colour can be read.
LOOKS = {
    "colour": ["#8f5200", "#5b3a8c", "#0b6b63", "#9c2f55", "#2f5d7c", "#5c6b1d"],
    "mark": ["▲", "●", "■", "▼", "◄", "►"],
}
# https://kubernetes.io/docs/concepts/services-networking/service/#type-nodeport
NODE_PORTS = range(30000, 32768)
Changes = Iterator[tuple[Path, str]]


@dataclass(frozen=True)
class Addition:
    """An environment to add.

    Attributes:
        name: its name
        source: the environment that it is made like
        node_port: the port of each node by which it is reached; None for none
        is_followed: whether Argo CD follows it
    """

    name: str
    source: str
    node_port: int | None
    is_followed: bool

    @property
    def word(self) -> str:
        """A pattern of the source's name, which may end another: datapress-recette."""
        return rf"(?<![A-Za-z0-9_]){re.escape(self.source)}(?![A-Za-z0-9_-])"

    def renamed(self, text: str) -> str:
        """Return a text with the new name in place of the source's."""
        return re.sub(self.word, self.name, text)

    def with_copies(self, file: Path, skipped: str = "") -> str:
        """Return a file of YAML in which each entry that names the source stands once more, with the new name.

        Args:
            file: where it is
            skipped: a pattern of what is not copied

        Raises:
            UnreadableError: if it is no YAML.
        """
        text = read_text(file)
        with parsing_yaml(text, file):
            document = yaml.compose(text)
        found = [
            (end, start, flow)
            for start, end, flow in _entries(text, document, self.word)
            if not (skipped and re.search(skipped, text[start:end]))
        ]
        for end, start, flow in sorted(found, reverse=True):
            copy = self.renamed(text[start:end])
            indent = text[text.rfind("\n", 0, start) + 1 : start]
            rest = len(text) if (line := text.find("\n", end)) < 0 else line
            # Beside it in a list on one line; else on a line of its own, under its comment.
            text = f"{text[:end]}, {copy}{text[end:]}" if flow else f"{text[:rest]}\n{indent}{copy}{text[rest:]}"
        return text


def _entries(text: str, node: yaml.Node | None, word: str) -> Iterator[tuple[int, int, bool]]:
    """Give where the entries of mappings and lists begin and end that name the source, and whether in flow style."""
    for entry in _children(node):
        start, end = entry[0].start_mark.index, entry[-1].end_mark.index
        named = re.search(word, text[start : entry[0].end_mark.index])
        # Of a list the entries are copied that hold nothing but values; of a mapping those whose key is the source's.
        if named and (len(entry) > 1 or not any(_children(one) for pair in _children(entry[0]) for one in pair)):
            yield start, start + len(text[start:end].rstrip()), bool(getattr(node, "flow_style", False))
        else:
            yield from _entries(text, entry[-1], word)


def _children(node: yaml.Node | None) -> list[tuple[yaml.Node, ...]]:
    if isinstance(node, yaml.MappingNode):
        return [tuple(pair) for pair in node.value]
    return [(item,) for item in node.value] if isinstance(node, yaml.SequenceNode) else []


def changes(new: Addition) -> Changes:
    """Give what is to be written: paths and texts."""
    yield from _overlay(new)
    if new.is_followed:
        yield from _argocd(new)
    yield DEPLOY / "differences.yaml", new.with_copies(DEPLOY / "differences.yaml")
    yield FLOWS, _flows(new)
    # What the platform refuses is meant for what Argo CD deploys: `make deploy` brings images without a digest.
    for path in sorted((DEPLOY / "platform").rglob("*.yaml")) if new.is_followed else ():
        yield path, new.with_copies(path)
    for path in sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yml")):
        yield path, new.with_copies(path)
    template = GITHUB / "pull_request_template.md"
    yield template, re.sub(rf"(?m)^(.*\[ \] ){new.source}$", rf"\g<0>\n\g<1>{new.name}", read_text(template))
    if new.node_port:
        last = r"(?s)(.*\n)( *- \{containerPort: )\d+(, hostPort: )\d+([^\n]*#)[^\n]*\n"
        port = rf"\g<0>\g<2>{new.node_port}\g<3>{new.node_port}\g<4> {new.name}\n"
        yield CONFIG, re.sub(last, port, read_text(CONFIG), count=1)


def _overlay(new: Addition) -> Changes:
    source = OVERLAYS / new.source
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        to = OVERLAYS / new.name / path.relative_to(source)
        text = new.renamed(read_text(path))
        if path == source / CONFIG_OF_PAGE:
            text = _with_its_own_look(text)
        if path == kustomization_of(source) and new.node_port is None:
            text = re.sub(r"(patches:\n)?  - path: node-port.yaml\n(?!  - )|  - path: node-port.yaml\n", "", text)
        if path.name != "node-port.yaml" or new.node_port is not None:
            yield to, NODE_PORT.sub(rf"\g<1>{new.node_port}", text)


def _with_its_own_look(text: str) -> str:
    """Return a page's configuration with a colour and a mark that no environment has, where it has any."""
    others = [read_text(path) for path in OVERLAYS.glob(f"*/{CONFIG_OF_PAGE}")]
    for name, choice in LOOKS.items():
        free = [value for value in choice if not any(f'"{value}"' in other for other in others)] or choice
        text = re.sub(rf'("{name}": )"[^"]*"', rf'\g<1>"{free[0]}"', text)
    return text


def _argocd(new: Addition) -> Changes:
    """Give the Application, the list that it is in, and the project that permits it."""
    (own,) = [path for path in APPLICATION.parent.glob("*.yaml") if f"overlays/{new.source}\n" in read_text(path)]
    text = new.renamed(read_text(own))
    if own == APPLICATION:
        text = re.sub(r"\n *#[^\n]*(\n *repoURL:)", r"\1", text)
        text = re.sub(r"(repoURL|targetRevision): .*", r"\1: set by kustomization.yaml", text)
    yield APPLICATION.with_name(f"{new.name}.yaml"), text
    listed = APPLICATION.with_name("kustomization.yaml")
    yield listed, read_text(listed).replace(f"  - {own.name}\n", f"  - {own.name}\n  - {new.name}.yaml\n", 1)
    yield PROJECT, new.with_copies(PROJECT)


def _flows(new: Addition) -> str:
    """Return the list of flows; without a node port nobody comes in from outside."""
    text = new.with_copies(FLOWS, "" if new.is_followed else _of_argocd(new.source))
    if new.node_port is not None:
        return text
    reached = [
        (before, item)
        for key, ends in _children(yaml.compose(text))
        if key.value == "reaches"
        for end, items in _children(ends)
        if end.value == OUTSIDE
        for before, item in pairwise(items.value)
    ]
    for before, item in reversed(reached):
        if item.value.startswith(f"{new.name}/"):
            text = text[: before.end_mark.index] + text[item.end_mark.index :]
    return text


def _of_argocd(source: str) -> str:
    """Return a pattern of the ends that only Argo CD makes: no `kubectl apply -k` brings their workloads."""
    names = {item["metadata"]["name"] for item in render(OVERLAYS / source)}
    ends = read_yaml(FLOWS)[0]["ends"]
    alone = [
        end
        for end, what in ends.items()
        if end.startswith(f"{source}/") and what.get("workload", end) not in names | {end}
    ]
    return "|".join(rf"{re.escape(end)}\b" for end in alone)


def checked(options: argparse.Namespace) -> Addition:
    """Return what the command line asks for.

    Raises:
        RefusedError: if it cannot be added.
    """
    name, source, port = options.name, options.source, options.node_port
    known = environments()
    groups = {end.partition("/")[0] for end in read_yaml(FLOWS)[0]["ends"]}
    if not LABEL.fullmatch(name):
        raise RefusedError(f"an environment cannot be called '{name}'; give a name of a-z, 0-9 and '-', as in preprod")
    if name in groups.union(known):
        raise RefusedError(f"the name '{name}' is taken; give one other than {', '.join(sorted(groups.union(known)))}")
    if source not in known:
        raise RefusedError(f"there is no environment '{source}'; choose one of {', '.join(known)}")
    if port is not None:
        _check_port(port, source)
    return Addition(name, source, port, source in followed() and not options.no_argocd)


def _check_port(port: int, source: str) -> None:
    taken = {
        int(found[2]): path.parent.name
        for path in OVERLAYS.glob("*/*.yaml")
        for found in NODE_PORT.finditer(read_text(path))
    }
    if port not in NODE_PORTS:
        raise RefusedError(f"--node-port {port} is out of range; give one of {NODE_PORTS[0]} to {NODE_PORTS[-1]}")
    if port in taken:
        raise RefusedError(f"--node-port {port} is that of {taken[port]}; give another, such as {max(taken) + 1}")
    if source not in taken.values():
        raise RefusedError(f"{source} has no node port to take after; leave out --node-port, or choose another source")


def add_arguments(parser: Parser) -> None:
    """Say what the command takes."""
    parser.add_argument("name", metavar="NAME", help="what it is called, in lower case: preprod")
    parser.add_argument(
        "--from", dest="source", metavar="SOURCE", required=True, help="the environment it is made like"
    )
    parser.add_argument(
        "--node-port", type=int, metavar="PORT", help="by which it is reached (default: by no node port)"
    )
    parser.add_argument("--no-argocd", action="store_true", help="Argo CD does not follow it, though it follows SOURCE")


def main(options: argparse.Namespace) -> int:
    """Do what the command line says.

    Raises:
        RefusedError: if it cannot be added; nothing is written then.
        FailedError: if a step does not succeed.
    """
    new = checked(options)
    written = [(path, text) for path, text in changes(new) if not path.exists() or read_text(path) != text]
    for path, text in written:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        print(f"wrote {path.relative_to(REPOSITORY)}")
    do(["make", "--no-print-directory", "pages"])
    do(["make", "--no-print-directory", "check"])
    print(f"\nNext: read deploy/overlays/{new.name}/, config.json first; `git add --all`; `make diff REF=origin/main`.")
    return 0
