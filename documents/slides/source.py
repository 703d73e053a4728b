"""What docs/presentation/presentation.yaml says, with figures and names in their places."""

import re
from pathlib import Path
from typing import Any

import yaml

from documents.pages import value
from documents.typography import typeset
from tools.repository import REPOSITORY

DIRECTORY = REPOSITORY / "docs" / "presentation"
SOURCE = DIRECTORY / "presentation.yaml"
PRESENTATION = SOURCE.with_suffix(".pptx")
PDF = SOURCE.with_suffix(".pdf")
_NAME = re.compile(r"\{([a-z][\w.-]*)\}")
_CODE = re.compile(r"(`[^`]*`)")


def filled(node: Any) -> Any:
    """Return a part of the source with its names replaced and its spaces as French sets them.

    Raises:
        RefusedError: if there is nothing of such a name.
    """
    if isinstance(node, dict):
        return {key: filled(part) for key, part in node.items()}
    if isinstance(node, list):
        return [filled(part) for part in node]
    if isinstance(node, str):
        text = _NAME.sub(lambda found: value(found[1]), node)
        parts = _CODE.split(text)
        return "".join(part if number % 2 else typeset(part) for number, part in enumerate(parts))
    return node


def load(path: Path = SOURCE) -> dict[str, Any]:
    """Return the whole presentation.

    Raises:
        RefusedError: if it asks for an unknown figure or value.
    """
    found: dict[str, Any] = filled(yaml.safe_load(path.read_text()))
    return found
