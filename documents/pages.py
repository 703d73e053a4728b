"""make docs: what pages of Markdown take from measured figures and from rendered manifests.

    python -m documents.pages

A page has it in a region, whose lines `make docs` writes:

    <!-- début operations : écrit par make docs, ne pas modifier -->
    <!-- fin operations -->

Or within a line, before and behind the text that `make docs` writes:

    La recette a <!-- v:recette.api.replicas --> <!-- /v --> réplicas de l'API.
    Une fusion est servie en <!-- v:mesure.commit-to-served --> <!-- /v -->.

The names of regions are those of REGIONS. Those of values are `mesure.KEY` for a figure in French, `figure.KEY` for one
in English (documents/figures.yaml has the keys), and what `python -m documents.pages --values` lists: of the manifests,
of versions, and of what the tests promise. In code there are no comments, so commands ask for what may change:
`make url` for an address.
"""

import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from documents import checks, diagram, facts, figures, flows, rules
from documents.figures import FIGURES, MEASURED
from documents.markdown import table
from documents.typography import NO_BREAK
from tools import repository
from tools.command import Parser, RefusedError, ask, require_repository, run_program
from tools.network.flows import ELSEWHERE, current
from tools.repository import REPOSITORY

_REGION = re.compile(
    r"^(?P<begin><!-- début (?P<name>\S+) : écrit par make docs, ne pas modifier -->\n)"
    r".*?"
    r"^(?P<end><!-- fin (?P=name) -->$)",
    re.MULTILINE | re.DOTALL,
)
_REGION_MARK = re.compile(r"^<!-- (?:début|fin)\b.*", re.MULTILINE)
_VALUE = re.compile(r"(?P<begin><!-- v:(?P<name>\S+) -->)[^\n]*?(?P<end><!-- /v -->)")
_VALUE_MARK = re.compile(r"<!-- (?:v:.*?|/v) -->")
_BEGINS_A_LINE = re.compile(r"^[ \t]*(?=<!-- v:)", re.MULTILINE)
Make = Callable[[str], str]


# Topic of figures → the region that has its table.
TOPICS = {
    "rollout": "mesures-deploiement",
    "gitops": "mesures-gitops",
    "performance": "mesures-performance",
    "memory": "mesures-memoire",
    "security": "mesures-securite",
    "tools": "mesures-outils",
    "growth": "mesures-croissance",
}
COUNTS = ("-requests", "-failed")  # of the requests that came during what a figure measures


def topic_figures(topic: str) -> str:
    """Return the French table of a topic's figures; with the requests meanwhile, if there were any."""
    keys = [key for key, one in MEASURED.items() if one.topic == topic and not key.endswith(COUNTS)]
    columns = [ending for ending in COUNTS if any(key + ending in MEASURED for key in keys)]
    head = ["mesure", "valeur", *(["requêtes pendant ce temps", "en échec"] if columns else [])]
    rows = [
        [FIGURES[key].label_fr, figures.french(key), *(_if_measured(key + ending) for ending in columns)]
        for key in keys
    ]
    return f"{table(head, rows)}\n{figures.french_runs(keys)}\n"


def _if_measured(key: str) -> str:
    return figures.french(key) if key in MEASURED else ""


def operations() -> str:
    """Return the drills' table in French."""
    rows = [_operation(row) for row in figures.operations()]
    sums = figures.french("operations-requests"), figures.french("operations-failed")
    everything = ["**en tout**", "", *sums, ""]
    return f"{table(OPERATIONS_HEAD, [*rows, everything])}\n{figures.french_runs(['operations'])}\n"


def growth() -> str:
    """Return the plot of the API's growth in French: what was measured, and as many times what one pod does."""
    rates = [round(figures.value(key)) for key in MEASURED if key.startswith("growth-")]
    straight = [pods * rates[0] for pods in range(1, len(rates) + 1)]
    return (
        "```mermaid\nxychart-beta\n"
        '  title "Mesuré (barres), et autant de fois un pod (ligne)"\n'
        f'  x-axis "pods de l\'API" {[*range(1, len(rates) + 1)]}\n'
        f'  y-axis "requêtes par seconde" 0 --> {max(rates + straight)}\n'
        f"  bar {rates}\n  line {straight}\n```\n"
    )


OPERATIONS_HEAD = ["opération", "ce qui est permis", "requêtes", "en échec", "silence"]


def operations_in_short() -> str:
    """Return the drills' table in French, with those operations that users must never notice in one row."""
    rows = figures.operations()
    quiet = [row for row in rows if row.allowed == NOTHING_ALLOWED]
    others = figures.Operation(
        name=f"les {len(quiet)} autres opérations et pannes",
        allowed=NOTHING_ALLOWED,
        requests=sum(row.requests for row in quiet),
        failed=sum(row.failed for row in quiet),
        gap=max(row.gap for row in quiet),
    )
    return table(OPERATIONS_HEAD, [_operation(row) for row in (*(row for row in rows if row not in quiet), others)])


NOTHING_ALLOWED = "aucun échec"


def _operation(row: figures.Operation) -> list[str]:
    counts = [figures.french_number(count) for count in (row.requests, row.failed)]
    return [row.name, row.allowed, *counts, f"{figures.french_number(row.gap, 1)}{NO_BREAK}s"]


def flows_to(group: str) -> str:
    """Return the table of who may connect to an environment, or to what is elsewhere."""
    return flows.table(current(), group)


DRAWN: dict[str, Callable[[], str]] = {"schema-recette": partial(diagram.of, "recette"), "croissance": growth}
LISTED = {"verifications-exigees": checks.listed, "regles": rules.sections}
REGIONS: dict[str, Callable[[], str]] = {
    **{region: partial(topic_figures, topic) for topic, region in TOPICS.items()},
    "operations": operations,
    "operations-en-bref": operations_in_short,
    "environnements": facts.environments_compared,
    "flux": flows.tables,
    **{f"flux-{environment}": partial(flows_to, environment) for environment in repository.environments()},
    "flux-ailleurs": partial(flows_to, ELSEWHERE),
    "contrat-services": facts.services,
    "contrat-pods": facts.pods,
    "contrat-configuration": facts.configuration,
    **DRAWN,
    **LISTED,
}


def region(name: str) -> str:
    """Return the Markdown of a region.

    Raises:
        RefusedError: if there is none of that name.
    """
    if name not in REGIONS:
        raise RefusedError(f"there is no region '{name}'; choose one of {', '.join(REGIONS)}")
    return REGIONS[name]()


def value(name: str) -> str:
    """Return what a sentence takes by a name.

    Raises:
        RefusedError: if there is nothing of that name.
    """
    kind, _, key = name.partition(".")
    if kind in FIGURE_KINDS:
        return FIGURE_KINDS[kind](key)
    known = facts.values()
    if name not in known:
        raise RefusedError(f"there is no value '{name}': 'python -m documents.pages --values' lists those there are")
    return known[name]


FIGURE_KINDS: dict[str, Make] = {"mesure": figures.french, "figure": figures.english}


def fill(text: str, where: str, region: Make = region, value: Make = value) -> str:
    """Return a page with its regions and values as they should be; `where` is its name.

    Raises:
        RefusedError: if one of them has no end, no begin or an unknown name, or a value begins a line.
    """
    if found := _BEGINS_A_LINE.search(text):
        raise RefusedError(
            f"{_at(found, where)}: a value begins the line, all of which Markdown then takes for HTML: put a word first"
        )
    return _fill(_REGION, _REGION_MARK, _fill(_VALUE, _VALUE_MARK, text, where, value), where, region)


def _fill(whole: re.Pattern[str], mark: re.Pattern[str], text: str, where: str, make: Make) -> str:
    """Write between each two marks what belongs there; no mark may stand alone, or be of another form."""

    def filled(found: re.Match[str]) -> str:
        names = found.groupdict()
        try:
            made = make(names["name"])
        except RefusedError as error:
            raise RefusedError(f"{_at(found, where)}: {error}") from None
        return f"{names['begin']}{made}{names['end']}"

    paired = {found.start(end) for found in whole.finditer(text) for end in ("begin", "end")}
    for found in mark.finditer(text):
        if found.start() not in paired:
            raise RefusedError(f"{_at(found, where)}: '{found[0]}' has no counterpart, or one of the two is misspelt")
    return whole.sub(filled, text)


def _at(found: re.Match[str], where: str) -> str:
    return f"{where}:{found.string.count(chr(10), 0, found.start()) + 1}"


def pages() -> list[Path]:
    """Return the pages of the repository, those that are new included.

    Raises:
        RefusedError: if Git does not work here.
    """
    require_repository(REPOSITORY)
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate", "-z", "*.md"]
    listed = ask(*command, cwd=REPOSITORY).stdout
    return [REPOSITORY / name for name in sorted(listed.split("\0")) if name and (REPOSITORY / name).exists()]


def main(arguments: list[str]) -> None:
    """Write the pages, or list the values.

    Raises:
        RefusedError: if a page asks for something unknown.
    """
    parser = Parser(prog="docs")
    parser.add_argument("--values", action="store_true", help="list what a sentence may take, besides figures")
    if parser.parse_args(arguments).values:
        print("\n".join(f"{name:40} {text}" for name, text in facts.values().items()))
        return
    for page in pages():
        where = page.relative_to(REPOSITORY)
        text = page.read_text()
        if (filled := fill(text, str(where))) != text:
            page.write_text(filled)
            print(f"wrote {where}")


if __name__ == "__main__":
    sys.exit(run_program("docs", lambda: main(sys.argv[1:])))
