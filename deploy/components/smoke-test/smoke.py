"""Asks the front for the page and the API's version, until the version is that of this very image, time after time.

Fails unless, within the time limit, a row of answers in succession is right: pods of the former version that are still
ending may answer at first.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request

FRONT = "http://datapress-front"
TITLE = "<title>DataPress – POC</title>"
ANSWERS_IN_A_ROW = 20
LIMIT_SECONDS = 30
PAUSE_SECONDS = 0.05


def get(path: str) -> str:
    """Return what the front answers, on a connection of its own so that every pod gets its turn."""
    with urllib.request.urlopen(f"{FRONT}{path}", timeout=5) as answer:  # noqa: S310  # FRONT is http://
        body: bytes = answer.read()
    return body.decode()


def fault(expected: str) -> str:
    """Return what is wrong with one round of answers; empty if nothing is."""
    try:
        if TITLE not in get("/"):
            return f"{FRONT}/ is not the page"
        served = json.loads(get("/api/version"))["revision"]
    except (OSError, ValueError, LookupError) as error:
        return f"{FRONT} does not answer as it should: {error!r}"
    return "" if served == expected else f"{FRONT}/api/version serves {served}, not {expected}"


def main() -> int:
    """Return the exit status: 0 if the version that this commit asks for is served, 1 if not."""
    # This container runs the image of the API that the commit asks for, and the image knows its own revision.
    expected = os.environ["APP_REVISION"]
    deadline = time.monotonic() + LIMIT_SECONDS
    row, last = 0, ""
    while row < ANSWERS_IN_A_ROW:
        if wrong := fault(expected):
            row, last = 0, wrong
        else:
            row += 1
        if time.monotonic() > deadline:
            print(f"smoke test failed: {last or 'the answers came too slowly'}", file=sys.stderr)
            return 1
        time.sleep(PAUSE_SECONDS)
    print(f"smoke test passed: {ANSWERS_IN_A_ROW} times in a row the page, and the API at {expected}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
