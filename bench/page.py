"""What Lighthouse says of the page, on a phone and on a desk: `make bench-page`.

Product and judge run on this machine's loopback, which browsers take for secure. The performance is shown and judged by
nobody: it is this machine's as much as the page's. Fails unless every other mark is full.
"""

import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.workers import running
from tools.command import FailedError, ask, one_line, run_program
from tools.local.ports import free_port
from tools.local.run import PORTS
from tools.repository import REPOSITORY, environments

LIGHTHOUSE = REPOSITORY / ".build" / "lighthouse" / "node_modules" / ".bin" / "lighthouse"
# In a container, and for root, Chromium cannot make its sandbox; it sees our own page only.
OPTIONS = ["--quiet", "--output=json", "--chrome-flags=--headless --no-sandbox"]
SCREENS = {"phone": [], "desk": ["--preset=desktop"]}
MEASURED, FULL = "performance", 100


def marks(url: str, options: list[str], into: Path) -> dict[str, int]:
    """Return the marks of a page, of 100 each, by category.

    Raises:
        FailedError: if it cannot be judged.
    """
    said = ask(LIGHTHOUSE, url, *OPTIONS, *options, f"--output-path={into}")
    if said.returncode:
        raise FailedError(f"Lighthouse cannot judge {url}: {one_line(said.stderr)}")
    report = json.loads(into.read_text())
    return {name: round(FULL * category["score"]) for name, category in report["categories"].items()}


def main() -> None:
    """Print the marks.

    Raises:
        FailedError: if one is missing that no machine's speed explains.
    """
    os.environ.setdefault("CHROME_PATH", "/usr/bin/chromium")
    ports = {name: str(free_port()) for name in PORTS}
    front = ports["FRONT_PORT"]
    command = [sys.executable, "-m", "tools", "run", environments()[0]]
    with TemporaryDirectory() as scratch, running(command, int(front), **ports):
        found = {
            screen: marks(f"http://127.0.0.1:{front}/", options, Path(scratch) / "report.json")
            for screen, options in SCREENS.items()
        }
    for screen, given in found.items():
        print(f"{screen:<6} {', '.join(f'{name} {mark}' for name, mark in given.items())}")
    if any(mark < FULL for given in found.values() for name, mark in given.items() if name != MEASURED):
        raise FailedError("the page lost marks: run Lighthouse in a browser to see where")


if __name__ == "__main__":
    sys.exit(run_program("bench-page", main))
