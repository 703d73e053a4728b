"""French words, checked by hunspell with its French dictionary and a list of the field's own words."""

import re
import subprocess
from collections.abc import Iterable, Iterator

# What precedes a word with an apostrophe is another word.
_ELISION = re.compile(r"^(?:[cdjlmnst]|qu|jusqu|lorsqu|puisqu|presqu|quoiqu)['’]", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
# A name of a program, a file, a field or a version, an address, a placeholder.
_NAME = re.compile(r"\w[\w-]*[./:@=_]\w|\d|_|^[</{$]|[A-Z]{2}[a-z]|[a-z][A-Z]")


def words(text: str) -> Iterator[str]:
    """Give the words of a text that its language has; names of things that machines read are none."""
    for chunk in text.split():
        if not _NAME.search(chunk):
            yield from (_ELISION.sub("", word) for word in _WORD.findall(chunk))


def unknown(asked: Iterable[str]) -> set[str]:
    """Return the words that the dictionary does not have."""
    listed = "\n".join(sorted(set(asked)))
    command = ["hunspell", "-d", "fr_FR", "-i", "utf-8", "-l"]
    done = subprocess.run(command, input=listed, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stderr.strip()}: 'tools/setup.sh test' installs hunspell's French"
    return set(done.stdout.split("\n")) - {""}


def is_listed(word: str, listed: set[str]) -> bool:
    """Whether a list has a word, which at the start of a sentence has a capital letter."""
    return word in listed or word[:1].lower() + word[1:] in listed
