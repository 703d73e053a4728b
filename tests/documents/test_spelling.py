"""The French of docs/, of the presentation, of the page, its settings and the labels of figures is spelt right."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from documents import pages
from documents.figures import FIGURES
from documents.slides.design import CODE_FONT
from tests.documents import built
from tests.documents.deck import runs
from tests.documents.reading import IMAGE, TEXT, pieces
from tests.documents.spelling import is_listed, unknown, words
from tests.support.product import PREFIX, namespace
from tools.repository import OVERLAYS, REPOSITORY, environments

LIST = Path(__file__).with_name("mots.txt")
DOCS = REPOSITORY / "docs"
NAMES_AND_VALUES = DOCS / "environnements.md"  # its table has those of manifests
SITE = REPOSITORY / "src" / "front" / "site"
Text = tuple[str, str]  # a place, and what stands there


class _Texts(HTMLParser):
    """Notes what a page of HTML shows, and says to those who do not see it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[int, str]] = []

    def handle_data(self, data: str) -> None:
        self.found.append((self.getpos()[0], data))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {"alt", "aria-label", "title"} | ({"content"} if ("name", "description") in attrs else set())
        assert tag
        self.found += [(self.getpos()[0], value) for name, value in attrs if name in told and value]


def of_page(path: Path) -> Iterator[Text]:
    for piece in pieces(path.read_text()):
        if piece.kind in (TEXT, IMAGE):
            yield f"{path.relative_to(REPOSITORY)}:{piece.line}", piece.text if piece.kind == TEXT else piece.label


def of_site(path: Path) -> Iterator[Text]:
    parser = _Texts()
    parser.feed(path.read_text())
    yield from ((f"{path.relative_to(REPOSITORY)}:{line}", text) for line, text in parser.found)


def of_script(path: Path) -> Iterator[Text]:
    """Give the sentences among a script's strings."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        for double, template in re.findall(r'"((?:[^"\\]|\\.)*)"|`([^`]*)`', line.partition(" // ")[0]):
            text = re.sub(r"\$\{[^}]*\}|\\u202f", " ", double or template)
            if " " in text.strip():
                yield f"{path.relative_to(REPOSITORY)}:{number}", text


def of_presentation() -> Iterator[Text]:
    deck = built.deck()
    for where, _, _, run in runs(deck):
        if run.font.name != CODE_FONT:
            yield f"presentation {where.partition(':')[0]}", run.text
    for number, slide in enumerate(deck.slides, 1):
        yield f"presentation {number}, notes", slide.notes_slide.notes_text_frame.text


def texts() -> Iterator[Text]:
    for path in pages.pages():
        if path.is_relative_to(DOCS) and path != NAMES_AND_VALUES:
            yield from of_page(path)
    for path in sorted(SITE.glob("*.html")):
        yield from of_site(path)
    for path in sorted(SITE.glob("*.js")):
        yield from of_script(path)
    yield from of_presentation()
    for path in sorted(OVERLAYS.glob("*/config.json")):
        yield from ((str(path.relative_to(REPOSITORY)), value) for value in json.loads(path.read_text()).values())
    yield from ((f"figure {key}", re.sub("`.*?`", "", figure.label_fr)) for key, figure in FIGURES.items())


def misspelt(found: list[Text], listed: set[str]) -> list[str]:
    """Return the words that neither the list nor the dictionary has, each with its place."""
    places = [(word, place) for place, text in found for word in words(text) if not is_listed(word, listed)]
    wrong = unknown(word for word, _ in places)
    return [f"{place}: {word}" for word, place in places if word in wrong]


def test_every_word_is_french_or_listed() -> None:
    names = {PREFIX, *environments(), *map(namespace, environments())}
    listed = set(LIST.read_text().split()) | names
    assert misspelt(list(texts()), listed) == [], f"correct it, or add a word of the field to {LIST.name}"


def test_the_list_is_sorted() -> None:
    listed = LIST.read_text().split("\n")[:-1]
    assert listed == sorted(set(listed))


@pytest.mark.parametrize("kind", ["page", "site", "script"])
def test_a_misspelt_word_is_found_where_it_stands(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.documents.test_spelling.REPOSITORY", tmp_path)
    sources = {
        "page": "# Un titre\n\nUne phrase\navec une **fôte** et `du cdoe`, [un lein](leins.md).\n",
        "site": '<p lang="fr">\nUne phrase\n<b>avec</b> une\n<i title="un lein">fôte</i></p>',
        "script": '// Comemnt.\nlet a = "text/htlm";\n\nlet b = `une ${vraible}\\u202ffôte`, c = "un lein";\n',
    }
    path = tmp_path / "file"
    path.write_text(sources[kind])
    found = misspelt(list({"page": of_page, "site": of_site, "script": of_script}[kind](path)), {"argo"})
    assert sorted(found) == ["file:4: fôte", "file:4: lein"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("L'API, qu'elle sert ; jusqu'à l'overlay", ["API", "elle", "sert", "à", "overlay"]),
        ("Peut-être aujourd’hui ?", ["Peut-être", "aujourd’hui"]),
        ("gunicorn.conf.py, v1.0 et 30080, http://a.b, APP_ENV, <nœud>, kubectl/Kustomize, openAPI", ["et"]),
    ],
)
def test_names_that_machines_read_are_no_words(text: str, found: list[str]) -> None:
    assert list(words(text)) == found


def test_a_listed_word_may_begin_a_sentence() -> None:
    assert is_listed("Overlay", {"overlay"})
    assert not is_listed("argo", {"Argo"})
