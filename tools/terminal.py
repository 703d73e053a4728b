"""How the commands of this package show what they found: for people, in colour on a terminal, or for machines."""

import argparse
import json
import os
import sys
from typing import Any

# https://en.wikipedia.org/wiki/ANSI_escape_code#Select_Graphic_Rendition_parameters
_STYLES = {"bold": "1", "faint": "2", "red": "31", "green": "32", "yellow": "33"}


def paint(text: str, style: str) -> str:
    """Return a text in a style, unless it does not go to a terminal or its reader wants none (https://no-color.org)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not sys.stdout.isatty():
        return text
    return f"\033[{_STYLES[style]}m{text}\033[0m"


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Let a command be asked for JSON."""
    parser.add_argument("--json", action="store_true", help="print JSON, for machines")


def print_json(value: Any) -> None:
    """Print a value for machines."""
    print(json.dumps(value, indent=2, ensure_ascii=False))
