"""The rules of `make check`, each as a terminal tells it."""

import tools.check  # noqa: F401 - which registers the rules
from tools.check.catalogue import RULES
from tools.check.explain import explain


def sections() -> str:
    """Return a section for each rule."""
    return "".join(f"\n## `{name}`\n\n```text\n{explain(name)}\n```\n" for name in sorted(RULES)) + "\n"
