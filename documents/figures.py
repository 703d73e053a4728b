"""The measured figures of the documents: declared in documents/figures.yaml, kept in docs/mesures.json.

A test hands a number to its fixture `measure` under the figure's key, and a run with RECORD=1 writes it. A document
takes it by that key, in a region or a sentence (documents/pages.py), or a program by one of these:

    value("commit-to-served")    13.4
    french("commit-to-served")   13,4 s
    english("commit-to-served")  13.4 s
"""

import argparse
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import yaml

from documents.typography import NARROW, NO_BREAK
from tools.command import RefusedError
from tools.repository import REPOSITORY

DECLARATIONS = Path(__file__).with_suffix(".yaml")
FILE = REPOSITORY / "docs" / "mesures.json"
MONTHS = ["janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août"]
MONTHS += ["septembre", "octobre", "novembre", "décembre"]
# Unit → decimals, and what follows the number in English and in French.
UNITS = {
    "count": (0, "", ""),
    "ratio": (2, "", ""),
    "s": (1, " s", " s"),
    "ms": (1, " ms", " ms"),
    "MiB": (0, " MiB", " Mio"),
    "MB": (2, " MB", " Mo"),
    "/s": (0, "/s", " requêtes/s"),
    "µs": (0, " µs", " µs"),
}
# What measures → the command that records it; the first that matches counts.
COMMANDS = {
    "tests/cluster/drills/": "make drills",
    "tests/cluster/": "make e2e",
    "bench/recette.py": "make bench-recette",
    "bench/growth.py": "make bench-growth",
    "bench/workers.py": "make bench",
}
DRILLS = "tests/cluster/drills/test_operations.py"


@dataclass(frozen=True)
class Figure:
    """What is known of a figure before it is measured.

    Attributes:
        topic: the table that it is in
        test: what measures it
        parts: of a sum, the figures that it is the sum of
    """

    topic: str
    test: str
    unit: str
    label_en: str
    label_fr: str
    parts: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """How to record it."""
        (command, *_) = (command for start, command in COMMANDS.items() if self.test.startswith(start))
        return f"{command} RECORD=1"


@dataclass(frozen=True)
class Operation:
    """What users saw of an operation: a row of the drills' table, in French."""

    name: str
    allowed: str
    requests: int
    failed: int
    gap: float


@dataclass(frozen=True, order=True)
class Run:
    """When and where something was measured."""

    date: str
    cpus: int
    kubernetes: str  # empty where no cluster was needed


def _declared() -> Iterator[tuple[str, Figure]]:
    for topic, tests in yaml.safe_load(DECLARATIONS.read_text()).items():
        for test, figures in tests.items():
            for key, figure in figures.items():
                yield key, Figure(topic, test, figure["unit"], figure["en"], figure["fr"])
                if figure.get("traffic"):
                    en, fr = figure["en"], figure["fr"]
                    labels = f"{en}: requests meanwhile", f"{fr} : requêtes envoyées"
                    yield f"{key}-requests", Figure(topic, test, "count", *labels)
                    yield f"{key}-failed", Figure(topic, test, "count", f"{en}: failed", f"{fr} : en échec")


def _sums(declared: Mapping[str, Figure]) -> Iterator[tuple[str, Figure]]:
    """Give, of each topic, the requests of users who were to notice nothing, and how many of them failed."""
    for topic, en, fr in (
        ("gitops", "requests during merges, drifts and mistakes", "requêtes pendant fusions, écarts et erreurs"),
        ("security", "requests of others during attacks", "requêtes des autres pendant les attaques"),
    ):
        for ending, labels in (
            ("requests", (f"{en}: sent", f"{fr} : envoyées")),
            ("failed", (f"{en}: failed", f"{fr} : en échec")),
        ):
            # Of a deleted Service and of a front that is full, users do notice something.
            lossy = {f"drift-service-{ending}", f"saturated-{ending}"}
            parts = [key for key, one in declared.items() if one.topic == topic and key.endswith(f"-{ending}")]
            kept = tuple(key for key in parts if key not in lossy)
            yield f"{topic}-{ending}", Figure(topic, declared[kept[0]].test, "count", *labels, kept)


MEASURED = dict(_declared())
_OF_OPERATIONS = {
    "operations": Figure("operations", DRILLS, "count", "operations and faults tried", "opérations et pannes essayées"),
    "operations-requests": Figure(
        "operations", DRILLS, "count", "requests during them: sent", "requêtes pendant celles-ci : envoyées"
    ),
    "operations-failed": Figure(
        "operations", DRILLS, "count", "requests during them: failed", "requêtes pendant celles-ci : en échec"
    ),
}
FIGURES = MEASURED | dict(_sums(MEASURED)) | _OF_OPERATIONS


def _figure(key: str) -> Figure:
    if key not in FIGURES:
        raise RefusedError(f"{DECLARATIONS.name} declares no figure '{key}': correct the key, or declare it there")
    return FIGURES[key]


def _read() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text())
    return found


def value(key: str) -> float:
    """Return a figure.

    Raises:
        RefusedError: if there is no such figure, or no run has recorded it.
    """
    figure = _figure(key)
    if key in _OF_OPERATIONS:
        rows = operations()
        sums = (len(rows), sum(row.requests for row in rows), sum(row.failed for row in rows))
        return dict(zip(_OF_OPERATIONS, sums, strict=True))[key]
    if figure.parts:
        return sum(map(value, figure.parts))
    number: float = _entry(key)["value"]
    return number


def _entry(key: str) -> dict[str, Any]:
    """Return what a run has written of a figure."""
    content = _read()
    found: dict[str, Any] | None = content.get("operations") if key in _OF_OPERATIONS else content["figures"].get(key)
    if found is None:
        raise RefusedError(f"{FILE.relative_to(REPOSITORY)} has no '{key}': run '{FIGURES[key].command}'")
    return found


def english(key: str) -> str:
    """Return a figure as an English text has it."""
    return in_english(value(key), _figure(key).unit)


def in_english(number: float, unit: str) -> str:
    """Return a number of a unit as an English text has it."""
    decimals, symbol, _ = UNITS[unit]
    return f"{number:,.{decimals}f}{symbol}"


def french(key: str) -> str:
    """Return a figure as a French text has it."""
    decimals, _, unit = UNITS[_figure(key).unit]
    return french_number(value(key), decimals) + unit.replace(" ", NO_BREAK)


def french_number(number: float, decimals: int = 0) -> str:
    """Return a number as a French text has it."""
    return f"{number:,.{decimals}f}".replace(",", NARROW).replace(".", ",")


def operations() -> list[Operation]:
    """Return what users saw of each operation.

    Raises:
        RefusedError: if no run has recorded it.
    """
    return [Operation(**row) for row in _entry("operations")["rows"]]


def runs(keys: Iterable[str]) -> list[Run]:
    """Return when and where figures were measured, sorted."""
    measured = [part for key in keys for part in _figure(key).parts or (key,)]
    return sorted({Run(**_entry(key)["run"]) for key in measured})


def french_runs(keys: Iterable[str]) -> str:
    """Return when and where figures were measured, as a sentence in French."""
    return f"Mesuré le {' ; le '.join(map(_french_run, runs(keys)))}."


def _french_run(run: Run) -> str:
    kubernetes = f", Kubernetes{NO_BREAK}{run.kubernetes}" if run.kubernetes else ""
    return f"{_french_day(run.date)} : {run.cpus} processeurs{kubernetes}"


def last_day() -> str:
    """Return the day on which a figure was last measured, in French."""
    content = _read()
    return _french_day(max(entry["run"]["date"] for entry in (*content["figures"].values(), content["operations"])))


def _french_day(text: str) -> str:
    day = date.fromisoformat(text)
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


def add_record_option(parser: argparse.ArgumentParser) -> None:
    """Let a bench be asked to write its figures."""
    parser.add_argument("--record", action="store_true", help=f"write the figures into {FILE.relative_to(REPOSITORY)}")


def record(measured: Mapping[str, float], kubernetes: str = "") -> None:
    """Write figures into docs/mesures.json; those that this run has not measured stay."""
    run = _this_run(kubernetes)
    figures = {key: {"value": round(number, 2), "run": run} for key, number in measured.items()}
    content = _read()
    _write({**content, "figures": content["figures"] | figures})


def record_operations(rows: Iterable[Operation], kubernetes: str) -> None:
    """Write what users saw of each operation into docs/mesures.json."""
    table = {"run": _this_run(kubernetes), "rows": [asdict(row) | {"gap": round(row.gap, 2)} for row in rows]}
    _write({**_read(), "operations": table})


def _this_run(kubernetes: str) -> dict[str, Any]:
    return asdict(Run(datetime.now(UTC).date().isoformat(), os.cpu_count() or 1, kubernetes))


def _write(content: Mapping[str, Any]) -> None:
    FILE.write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
