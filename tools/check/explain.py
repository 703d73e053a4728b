"""What a rule is for, with a mistake that it finds and what was right, from the catalogue that tests it."""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from tools.check.catalogue import RULES, Rule
from tools.command import RefusedError
from tools.repository import REPOSITORY
from tools.texts import load_yaml, read_text

BROKEN = REPOSITORY / "tests" / "cases" / "catalogue" / "broken"
_WIDTH = 100


@dataclass(frozen=True)
class Example:
    """A mistake.

    Attributes:
        story: what somebody did
        edits: for each text, its file, the wrong one and the right one
    """

    story: str
    edits: list[dict[str, str]]


def explain(name: str) -> str:
    """Return why a rule is there, what to do, a bad example and a good one.

    Raises:
        RefusedError: if there is no such rule.
    """
    if name not in RULES:
        near = " or ".join(get_close_matches(name, RULES, cutoff=0.5))
        raise RefusedError(f"there is no rule '{name}'; {f'did you mean {near}?' if near else '--help lists them'}")
    return "\n".join(_paragraphs(RULES[name]))


def _paragraphs(rule: Rule) -> Iterator[str]:
    shown = example(rule)
    yield f"{rule.name}: {rule.finds}\n"
    for head, text in (("Why", rule.why), ("What to do", rule.remedy), ("For example", shown.story)):
        yield textwrap.fill(f"{head}: {text}", _WIDTH) + "\n"
    for edit in shown.edits:
        yield f"bad, in {edit['file']}:\n{_quoted(edit['new'])}"
        yield f"good:\n{_quoted(edit['old'])}"


def _quoted(text: str) -> str:
    return textwrap.indent(textwrap.dedent(text).strip("\n"), "    ")


def example(rule: Rule) -> Example:
    """Return the shortest mistake of the catalogue that is for a rule."""
    cases = sorted((BROKEN / rule.name).glob("*/case.yaml"))
    return min((_read(case, rule.name) for case in cases), key=lambda one: (not one.edits, len(str(one.edits))))


def _read(case: Path, rule: str) -> Example:
    text = read_text(case)
    story = [line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#")]
    content: dict[str, Any] = load_yaml(text, case)[0]
    edits: list[dict[str, str]] = content.get("edits") or [*_replaced(case.parent)]
    found_in = [one["file"] for one in content["expect"] if one["rule"] == rule]
    # What a case needs besides the mistake is of no interest here.
    shown = [one for one in edits if one["file"] in found_in] or edits
    return Example(" ".join(story), [_with_lines(case.parent, one) for one in shown])


def _replaced(case: Path) -> Iterator[dict[str, str]]:
    """Return the files that a case has in place of the repository's, as edits."""
    for file in sorted(case.rglob("*.yaml")):
        own = REPOSITORY / file.relative_to(case)
        if own.is_file():
            yield {"file": str(file.relative_to(case)), "old": read_text(own), "new": read_text(file)}


def _with_lines(case: Path, edit: dict[str, str]) -> dict[str, str]:
    """Return an edit that only adds or removes with the lines around it: nothing alone says nothing."""
    files = [root / edit["file"] for root in (case, REPOSITORY) if (root / edit["file"]).is_file()]
    before, found, after = read_text(files[0]).partition(edit["old"]) if files else ("", "", "")
    if not found or (edit["old"].strip() and edit["new"].strip()):
        return edit
    head, tail = "".join(before.splitlines(keepends=True)[-2:]), after.partition("\n")[0]
    return {**edit, "old": f"{head}{edit['old']}{tail}", "new": f"{head}{edit['new']}{tail}"}
