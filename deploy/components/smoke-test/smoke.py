"""Asks the front for the page, its files, its configuration and the API's version, time after time.

Fails unless, within the time limit, a row of answers in succession is right: all of the page is there, and environment
and version are those of this very commit. Pods of the former version that are still ending may answer at first.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from html.parser import HTMLParser
from urllib.parse import urljoin

FRONT = "http://datapress-front/"
ANSWERS_IN_A_ROW = 20
LIMIT_SECONDS = 30
PAUSE_SECONDS = 0.05


class Page(HTMLParser):
    """A page's title, and the files that it is made of; the words on it are nobody's business here."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.title = ""
        self.files: set[str] = set()
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a file that the page names."""
        self._inside = tag
        named = dict(attrs)
        file = named.get("href") if tag == "link" else named.get("src")
        # What another server has is not this front's to answer for.
        if file and (url := urljoin(FRONT, file)).startswith(FRONT):
            self.files.add(url)

    def handle_endtag(self, tag: str) -> None:
        """Leave an element."""
        if tag == self._inside:
            self._inside = ""

    def handle_data(self, data: str) -> None:
        """Note the title."""
        if self._inside == "title":
            self.title += data.strip()


def get(url: str) -> bytes:
    """Return what the front answers, on a connection of its own so that every pod gets its turn."""
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  # FRONT is http://
        body: bytes = answer.read()
    return body


def fault(environment: str, revision: str) -> str:
    """Return what is wrong with one round of answers; empty if nothing is."""
    try:
        page = Page(get(FRONT).decode())
        for file in page.files:
            get(file)
        shown = json.loads(get(f"{FRONT}config.json"))["environment"]
        served = json.loads(get(f"{FRONT}api/version"))
        answers = [
            ("config.json", shown, environment),
            ("api/version", served["environment"], environment),
            ("api/version", served["revision"], revision),
        ]
    except (OSError, ValueError, LookupError) as error:
        return f"{FRONT} does not answer as it should: {error!r}"
    if not page.title:
        return f"{FRONT} is not the page: it has no title"
    return "; ".join(
        f"{FRONT}{path} serves {found}, not {wanted}" for path, found, wanted in answers if found != wanted
    )


def main() -> int:
    """Return the exit status: 0 if what this commit asks for is served, 1 if not."""
    # This container runs the image of the API that the commit asks for, and the image knows its own revision.
    revision, environment = os.environ["APP_REVISION"], os.environ["APP_ENV"]
    deadline = time.monotonic() + LIMIT_SECONDS
    row, last = 0, ""
    while row < ANSWERS_IN_A_ROW:
        if wrong := fault(environment, revision):
            row, last = 0, wrong
        else:
            row += 1
        if time.monotonic() > deadline:
            print(f"smoke test failed: {last or 'the answers came too slowly'}", file=sys.stderr)
            return 1
        time.sleep(PAUSE_SECONDS)
    print(f"smoke test passed: {ANSWERS_IN_A_ROW} times in a row the page of {environment}, and the API at {revision}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
