"""A clone of what is committed here, with names and node ports of its own.

    python -m tests.support.renamed DIRECTORY

On one cluster, tests of the two run side by side: nothing that the one makes there is called as what the other makes.
"""

import sys
from pathlib import Path

from tests.support.clones import make_clone
from tests.support.commands import run
from tests.support.copies import commit
from tests.support.product import NODE_PORTS, node_port
from tools.adopt import names
from tools.local.cluster import CONFIG
from tools.repository import OVERLAYS, REPOSITORY, environments


def rename(clone: Path) -> None:
    """Have each name of ours begin one of the clone's, which takes commands of make as its owner would."""
    former = names()
    given = f"OWNER={former.owner}2 REPOSITORY={former.repository}2 PRODUCT={former.product}2"
    run(f"make adopt {given} ENVIRONMENTS='{' '.join(f'{name}={name}-2' for name in environments())}'", clone)


def move_node_ports(clone: Path) -> None:
    """Give each environment of the clone a node port that none has here."""
    former = [str(port) for name in environments() if (port := node_port(name))]
    overlays = clone.glob(f"{OVERLAYS.relative_to(REPOSITORY)}/*/*.yaml")
    for path in [*overlays, clone / CONFIG.relative_to(REPOSITORY)]:
        text = path.read_text()
        for number, new in zip(former, NODE_PORTS, strict=False):
            text = text.replace(number, str(new))
        path.write_text(text)


def make(clone: Path) -> None:
    """Make it, and commit what is its own."""
    make_clone(REPOSITORY, clone)
    rename(clone)
    move_node_ports(clone)
    commit(clone)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
