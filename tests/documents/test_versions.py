"""The versions that the pages name are those that the tests run with."""

import re

import pytest

from documents.pages import pages
from documents.typography import NO_BREAK
from tools.repository import REPOSITORY

# Words around a version in a page → the file that decides it, and the words around it there.
DECIDED = {
    r"Argo CD {}": ("tests/cluster/argocd.sh", r"^version=v{}$"),
    r"argo-cd/(?:blob/)?v{}/": ("tests/cluster/argocd.sh", r"^version=v{}$"),
    r"le correctif dont kind {},": ("tools/go.mod", r"^\tsigs\.k8s\.io/kind v{}"),
}
VERSION = r"(\d+\.\d+(?:\.\d+)?)"


@pytest.mark.parametrize("words", DECIDED)
def test_a_page_names_the_version_that_is_run(words: str) -> None:
    file, decides = DECIDED[words]
    (version,) = re.findall(decides.replace("{}", VERSION), (REPOSITORY / file).read_text(), re.MULTILINE)
    texts = {page: page.read_text().replace(NO_BREAK, " ") for page in pages()}
    told = {(page, found) for page, text in texts.items() for found in re.findall(words.replace("{}", VERSION), text)}
    assert told
    # A page may leave out the patch.
    assert {(page, found) for page, found in told if not f"{version}.".startswith(f"{found}.")} == set()
