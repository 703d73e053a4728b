"""The commands of the README and of the documents: where they stand, which test runs each, and how.

A block of commands is a fence of the language `sh`. RUNS says which tests run those under a heading; one that no test
machine can run says so itself, in the quote above it that its readers see.
"""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from documents.pages import pages
from tests.documents.reading import PARSER
from tests.support.clones import IDENTITY, shell_environment
from tools.repository import REPOSITORY, VENV_BIN

NOT_RUN = re.compile(r"^\*\*(?:Non exécuté par les tests|Not run by the tests)\*\*\s*: \S")
COMMANDS = "tests/documents/test_commands.py"
CLUSTER = "tests/cluster/test_commands.py"
GITOPS = "tests/cluster/gitops/test_commands.py"
DIAGNOSIS = "tests/cluster/test_diagnosis.py"
ADDING = "tests/documents/test_adding.py"
CI = ".ci/run"


def under(page: str, test: str, *headings: str) -> dict[str, list[str]]:
    """Declare one test that runs the one block under each of some headings of a page."""
    return {f"{page}: {heading}": [test] for heading in headings}


# Page and heading → what runs each of its blocks, in their order.
RUNS = {
    "README.md: Run it": [
        f"{COMMANDS}::test_two_commands_to_the_page",
        f"{CLUSTER}::test_two_more_to_recette",
        CI,
    ],
    "README.md: Make it yours": [f"{ADDING}::test_a_copy_has_names_of_its_own"],
    "README.md: How it is proven": [CI],
    "deploy/platform/README.md: platform": [f"{GITOPS}::test_the_platform_s_rules_are_applied_by_hand"],
    "docs/documentation-technique.md: 5.2 Avant de proposer une modification": [
        f"{COMMANDS}::test_three_questions_before_a_change",
    ],
    **under(
        "docs/runbooks/ajouter-un-environnement.md",
        f"{ADDING}::test_an_environment_more_is_held_to_the_rules_of_the_others",
        "1. L'overlay",
        "2. Ce qu'il a, et que dev n'a pas",
        "3. Argo CD le suit",
        "4. Qui peut joindre qui",
        "5. Là où les environnements sont énumérés",
        "6. Vérifier, puis fusionner",
    ),
    **under(
        "docs/runbooks/ajouter-un-composant.md",
        f"{ADDING}::test_a_component_more_changes_the_environment_that_takes_it",
        "1. Le composant",
        "2. L'overlay qui le prend",
        "3. Vérifier",
    ),
    "docs/runbooks/deployer.md: 1. Ce que l'on vient d'écrire": [f"{CLUSTER}::test_deploy_what_was_just_written"],
    "docs/runbooks/deployer.md: 2. L'état de Git, une fois": [f"{CLUSTER}::test_deploy_what_git_has"],
    "docs/runbooks/diagnostiquer.md: 1. Ce que voit un utilisateur": [f"{DIAGNOSIS}::test_an_api_without_pods"],
    "docs/runbooks/diagnostiquer.md: 2. Ce que sont les pods": [f"{DIAGNOSIS}::test_pods_that_do_not_start"],
    "docs/runbooks/diagnostiquer.md: 3. Ce que dit un conteneur": [f"{DIAGNOSIS}::test_pods_that_do_not_start"],
    "docs/runbooks/diagnostiquer.md: 4. Ce que dit Argo CD": [f"{GITOPS}::test_argo_cd_says_how_it_is"],
    "docs/runbooks/diagnostiquer.md: 5. Le réseau, de l'intérieur": [f"{DIAGNOSIS}::test_the_network_from_within"],
    "docs/runbooks/installer-argo-cd.md: 2. Régler": [f"{GITOPS}::test_argo_cd_is_set_up"],
    "docs/runbooks/installer-argo-cd.md: 3. Suivre ce dépôt": [f"{GITOPS}::test_argo_cd_is_left_and_taken_up_again"],
    "docs/runbooks/installer-argo-cd.md: 4. Arrêter de suivre": [f"{GITOPS}::test_argo_cd_is_left_and_taken_up_again"],
    "docs/runbooks/previsualiser.md: Sans cluster": [f"{COMMANDS}::test_preview_shows_what_a_merge_would_change"],
    "docs/runbooks/previsualiser.md: Avec un accès au cluster": [f"{CLUSTER}::test_preview_asks_the_cluster"],
    "docs/runbooks/promouvoir.md: Promouvoir": [f"{GITOPS}::test_promote_and_go_back"],
    "docs/runbooks/promouvoir.md: Suivre le déploiement": [f"{GITOPS}::test_promote_and_go_back"],
    "docs/runbooks/revenir-en-arriere.md: 1. Trouver la promotion": [f"{GITOPS}::test_promote_and_go_back"],
    "docs/runbooks/revenir-en-arriere.md: 2. L'annuler": [f"{GITOPS}::test_promote_and_go_back"],
    "docs/runbooks/revenir-en-arriere.md: 4. Vérifier": [f"{GITOPS}::test_promote_and_go_back"],
}


@dataclass(frozen=True)
class Block:
    """A block of a page that is marked as code.

    Attributes:
        place: the page and the heading above it, as RUNS has them
        language: of the fence; empty for one that has none, or is indented
        not_run: whether it says to its readers that no test runs it
    """

    place: str
    line: int
    language: str
    text: str
    not_run: bool

    @property
    def is_run(self) -> bool:
        """Whether it is one of commands, and a test has to run it."""
        return self.language == "sh" and not self.not_run


def blocks(page: str, name: str) -> Iterator[Block]:
    """Give the blocks of a page's Markdown."""
    tokens = PARSER.parse(page)
    heading, quoted = "", ""
    for before, token in pairwise(tokens):
        if before.type == "heading_open":
            heading = token.content
        if token.type == "inline":
            quoted = token.content if token.level > 1 and before.type == "paragraph_open" else ""
        if token.type in ("fence", "code_block"):
            line = (token.map or [0])[0] + 1
            yield Block(f"{name}: {heading}", line, token.info, token.content, bool(NOT_RUN.match(quoted)))
            quoted = ""


def all_blocks() -> list[Block]:
    """Return those of every page."""
    found = [(page.read_text(), str(page.relative_to(REPOSITORY))) for page in pages()]
    return [block for text, name in found for block in blocks(text, name)]


def commands(page: str, heading: str, number: int = 0) -> str:
    """Return the commands under a heading of a page; of several blocks that are run, the number-th."""
    found = blocks((REPOSITORY / page).read_text(), page)
    return [block.text for block in found if block.is_run and block.place == f"{page}: {heading}"][number]


def headings(page: str) -> list[str]:
    """Return the headings of a page under which there are commands that are run, in their order."""
    found = blocks((REPOSITORY / page).read_text(), page)
    places = [block.place for block in found if block.is_run]
    return [place.partition(": ")[2] for place in dict.fromkeys(places)]


def run(text: str, directory: Path, **variables: str) -> str:
    """Run commands as a reader would, each only if the one before succeeded; return what they print."""
    environ = shell_environment()
    # The packages' kubectl, as the Makefile has it.
    environ |= IDENTITY | {"PATH": f"{VENV_BIN}:{environ['PATH']}"} | variables
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=directory,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return done.stdout
