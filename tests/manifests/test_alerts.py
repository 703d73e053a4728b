"""When each alert of the component fires, when not, and when it ends, by Prometheus' own promtool.

A series is a list of samples in promtool's notation; a case says how many alerts there are at some of them, by number.
Each threshold, window and selector is then changed in turn: a case must see it.
"""

import re
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.durations import UNITS, seconds
from tests.support.product import FOLLOWED, PREFIX, namespace, overlay
from tools.check.rendering import open_tree
from tools.manifests import Manifest
from tools.repository import OVERLAYS, REPOSITORY

COMPONENT = OVERLAYS.parent / "components" / "monitoring"
OWN, FOREIGN = namespace(FOLLOWED), "globex"
STEP_SECONDS = 15  # of the probes
RUNBOOK = "docs/runbooks/alertes.md"
Series = dict[str, str]


@dataclass(frozen=True)
class Alert:
    """One alert: its name, its labels, the expression and how long that must hold."""

    name: str
    expression: str
    held: str
    labels: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return " ".join([self.name, *(value for key, value in self.labels if key == "window")])


@dataclass(frozen=True)
class Case:
    """Series, and how many alerts there are at some of their samples."""

    series: Series
    firing: dict[int, int]
    step: int = STEP_SECONDS


@cache
def objects() -> list[Manifest]:
    with open_tree(REPOSITORY) as tree:
        return tree.render(overlay(FOLLOWED), [COMPONENT]).objects


@cache
def rules() -> list[dict[str, Any]]:
    groups = [group for one in objects() if one["kind"] == "PrometheusRule" for group in one["spec"]["groups"]]
    return [rule for group in groups for rule in group["rules"]]


@cache
def alerts() -> list[Alert]:
    return [Alert(one["alert"], one["expr"], one.get("for", ""), tuple(one["labels"].items())) for one in alerting()]


def alerting() -> list[dict[str, Any]]:
    return [one for one in rules() if "alert" in one]


@cache
def recorded() -> list[Alert]:
    """Return what is recorded for the alerts, to be tried as they are: how many there are is what is 1."""
    return [Alert(one["record"], one["expr"] + " == 1", "", ()) for one in rules() if "record" in one]


# --- series


def samples(*runs: tuple[float, int]) -> str:
    return " ".join(f"{value}x{number - 1}" for value, number in runs if number)


def counter(*runs: tuple[int, int]) -> str:
    """Return what grows by a number at each sample."""
    total, parts = 9999, []  # a rate near zero is an estimate
    for growth, number in runs:
        parts.append(f"{total}+{growth}x{number - 1}")
        total += growth * number
    return " ".join(parts)


def both(pattern: str, own: str, foreign: str) -> Series:
    """Return a series of this environment and one of another, which must not matter."""
    return {pattern.replace("NS", OWN): own, pattern.replace("NS", FOREIGN): foreign}


# --- budgets: good for twice the long window, bad for a while, then good again


def _failing(bad: int, good: int, after: int) -> Series:
    return both('probe_success{namespace="NS"}', samples((1, good), (0, bad), (1, after)), f"0x{good + bad + after}")


def _slow(bad: int, good: int, after: int) -> Series:
    slow = samples((0, good), (1, bad), (0, after))
    return both('probe:slow_answer{namespace="NS"}', slow, f"1x{good + bad + after}")


def _erring(bad: int, good: int, after: int) -> Series:
    whole, pattern = good + bad + after, 'http_requests_total{namespace="NS",route="/",status="STATUS"}'
    erring = both(pattern.replace("STATUS", "500"), counter((0, good), (9, bad), (0, after)), f"0+9x{whole}")
    answered = both(pattern.replace("STATUS", "200"), counter((9, good), (0, bad), (9, after)), f"0+0x{whole}")
    probes = {f'http_requests_total{{namespace="{OWN}",route="/health",status="503"}}': f"0+900x{whole}"}
    return erring | answered | probes


BUDGETS: dict[str, tuple[Callable[[int, int, int], Series], float]] = {
    "AnswersFail": (_failing, 0.005),
    "AnswersSlow": (_slow, 0.01),
    "ApiErrors": (_erring, 0.005),
}
# Google's SRE workbook, chapter 5: the long window → the short one, and how many times too fast the budget is spent.
BURN = {"1h": ("5m", 14.4), "6h": ("30m", 6.0), "3d": ("6h", 1.0)}


def budget_cases(alert: Alert) -> Iterator[Case]:
    long = dict(alert.labels)["window"]
    short, factor = BURN[long]
    make, budget = BUDGETS[alert.name]
    step = 60 if long == "3d" else STEP_SECONDS
    whole, recent = seconds(long) // step, seconds(short) // step
    # A rate is of the steps between samples.
    between = alert.name == "ApiErrors"
    most, few = int(budget * factor * (whole - between)), int(budget * factor * (recent - between))
    good = 2 * whole
    end = good + most + between  # where they are one more than is allowed
    still = {end: 1, end + recent - few - 1 - between: 1, end + recent - few - between: 0}
    yield Case(make(most + 1, good, recent + 1), still, step)
    yield Case(make(most, good, recent + 1), {end - 1: 0}, step)


# --- the others


UP = both('up{namespace="NS",pod="POD"}'.replace("POD", f"{PREFIX}-api-1"), samples((0, 60)), samples((0, 60)))
LATE = {f'up{{namespace="{OWN}",pod="{PREFIX}-api-2"}}': samples((1, 5), (0, 20), (1, 30))}
OTHERS_POD = {f'up{{namespace="{OWN}",pod="other-1"}}': samples((0, 60))}
CONTAINER = 'namespace="NS",pod="a",container="CONTAINER"'


def _memory(used: float) -> Series:
    def of(metric: str, container: str, value: float, more: str = "") -> Series:
        labels = CONTAINER.replace("CONTAINER", container) + more
        return both(f"{metric}{{{labels}}}", samples((value, 60)), samples((value * 1.2, 60)))

    used_by, limit = "container_memory_working_set_bytes", "container_spec_memory_limit_bytes"
    state = "kube_pod_container_resource_limits"
    found = of(used_by, "by-kubelet", used) | of(limit, "by-kubelet", 100)
    found |= of(used_by, "by-state", used) | of(state, "by-state", 100, ',resource="memory"')
    found |= of(state, "by-state", 1e9, ',resource="cpu"')
    found |= of(used_by, "without-limit", used) | of(limit, "without-limit", 0)
    return found | of(used_by, "", 99) | of(limit, "", 100)


def _lives(*spans: tuple[int, int], container: str = "api") -> Series:
    """Return the start of each life of a container: from which to which sample it runs."""
    labels = CONTAINER.replace("NS", OWN).replace("CONTAINER", container)
    return {
        f'container_start_time_seconds{{{labels},id="{number}"}}': " ".join(
            filter(None, [f"_x{begin}" if begin else "", samples((begin, end - begin)), "stale"])
        )
        for number, (begin, end) in enumerate(spans)
    }


RESTARTED = _lives((66, 90), (90, 118), (118, 180))
RARELY = _lives((0, 56), (60, 118), (118, 180))
OTHERS = {key.replace(OWN, FOREIGN): value for key, value in _lives((0, 60), (60, 90), (90, 118), (118, 180)).items()}
OTHERS |= _lives((66, 90), (90, 118), (118, 180), container="") | _lives(
    (66, 90), (90, 118), (118, 180), container="POD"
)
CHANGING = {
    f"container_start_time_seconds{{{CONTAINER.replace('NS', OWN).replace('CONTAINER', 'api')}}}": "1x100 2x10 3x20"
}


def _argocd(label: str, value: str, other: str) -> Series:
    rest = {"sync_status": "Synced", "health_status": "Healthy"}
    shown = {**rest, label: value}, {**rest, label: other}
    found = {}
    for where, name, labels in ((OWN, "a", shown[0]), (OWN, "b", shown[1]), (FOREIGN, "c", shown[0])):
        said = ",".join(f'{key}="{text}"' for key, text in {"dest_namespace": where, "name": name, **labels}.items())
        found[f"argocd_app_info{{{said}}}"] = samples((1, 100))
    return found


def _absent(metric: str) -> Case:
    series = both(f'{metric}{{namespace="NS"}}', f"{samples((1, 10))} stale _x30 {samples((1, 10))}", samples((1, 60)))
    return Case(series, {29: 0, 30: 1, 41: 0})


def _durations() -> Series:
    found = both('probe_duration_seconds{namespace="NS"}', "0.4 0.6 0.6", "9 9 9")
    return found | both('probe_success{namespace="NS"}', "1 1 0", "1 1 1")


UNANSWERED = both('probe_success{namespace="NS"}', samples((1, 10), (0, 10), (1, 10)), samples((0, 40)))
DAYS = 14 * 24 * 3600
CASES: dict[str, list[Case]] = {
    "PageUnanswered": [
        Case(UNANSWERED, {9: 0, 16: 0, 17: 1, 19: 1, 20: 0}),
        # One answer in between, and it is no outage.
        Case(both('probe_success{namespace="NS"}', samples((0, 6), (1, 1), (0, 4)), samples((1, 40))), {6: 0, 10: 0}),
    ],
    "probe:slow_answer": [Case(_durations(), {0: 0, 1: 1, 2: 0})],
    "UsersUnmeasured": [_absent("probe_success")],
    "ApiUnmeasured": [_absent("http_requests_total")],
    "CertificateExpires": [
        Case(
            both('probe_ssl_earliest_cert_expiry{namespace="NS"}', samples((DAYS + 600, 400)), samples((600, 400))),
            {40: 0, 280: 0, 281: 1},
        ),
        Case({'probe_success{namespace="NS"}'.replace("NS", OWN): samples((1, 400))}, {399: 0}),
    ],
    "RolloutStuck": [
        Case(UP | LATE | OTHERS_POD, {19: 0, 20: 1, 24: 1, 25: 1}),
        Case(LATE | OTHERS_POD, {24: 0, 25: 0}),
    ],
    "MemoryNearLimit": [Case(_memory(91), {19: 0, 20: 2}), Case(_memory(89), {40: 0})],
    "ContainerRestarts": [
        Case(RESTARTED | OTHERS, {119: 1, 179: 0}),
        Case(RARELY | OTHERS, {118: 0}),
        Case(CHANGING, {105: 0, 112: 1, 125: 1}),
    ],
    "ApplicationOutOfSync": [
        Case(_argocd("sync_status", "OutOfSync", "Synced"), {59: 0, 60: 1}),
        Case(_argocd("sync_status", "Unknown", "Synced"), {60: 1}),
    ],
    "ApplicationDegraded": [
        Case(_argocd("health_status", "Degraded", "Progressing"), {19: 0, 20: 1}),
        Case(_argocd("health_status", "Missing", "Suspended"), {20: 1}),
    ],
}


def cases(alert: Alert) -> list[Case]:
    return [*budget_cases(alert)] if alert.name in BUDGETS else CASES[alert.name]


# --- promtool


def _firing(alert: Alert) -> str:
    """Return the expression that counts what fires: without a time to hold, the rule's own, asked at once."""
    if not alert.held:
        return f"count({alert.expression}) or vector(0)"
    return f'count(ALERTS{{alertname="{alert.name}",alertstate="firing"}}) or vector(0)'


def promtool(alert: Alert, directory: Path) -> Iterator[str]:
    """Give what promtool says against each of an alert's cases that does not hold."""
    rule = {"alert": alert.name, "expr": alert.expression, "for": alert.held or "0s"}
    (directory / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "any", "rules": [rule]}]}))
    for number, case in enumerate(cases(alert)):
        asked = [
            {
                "expr": _firing(alert),
                "eval_time": f"{at * case.step}s",
                "exp_samples": [{"labels": "{}", "value": count}],
            }
            for at, count in case.firing.items()
        ]
        series = [{"series": name, "values": values} for name, values in case.series.items()]
        test = {"interval": f"{case.step}s", "input_series": series, "promql_expr_test": asked}
        file = directory / f"{number}.yaml"
        # Without a time to hold nothing depends on the rule's own evaluations, of which there would be thousands.
        content = {"evaluation_interval": f"{case.step}s", "tests": [test]}
        file.write_text(yaml.safe_dump(content | ({"rule_files": ["rules.yaml"]} if alert.held else {})))
        done = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True, check=False)
        if done.returncode:
            yield f"case {number}: {done.stdout}{done.stderr}"


@pytest.mark.parametrize("alert", [*alerts(), *recorded()], ids=str)
def test_an_alert_fires_stays_silent_and_ends(alert: Alert, tmp_path: Path) -> None:
    assert list(promtool(alert, tmp_path)) == []


# What changes: a number outside quotes and windows, a window, a matcher, a comparison.
_NUMBER = re.compile(r'(?<![\w."\[])\d+(?:\.\d+)?(?![\w."\]])(?=(?:[^"]*"[^"]*")*[^"]*$)')
_WINDOW = re.compile(r"(?<=\[)\d+[smhd]")
_MATCHER = re.compile(r'[a-z_]+(?:=~|!=|=)"[^"]*"(?:, )?')
_COMPARISON = re.compile(r"(?<= )(?:==|<|>)(?= )")
OPPOSITES = {"==": "!=", "<": ">", ">": "<"}


def _times(text: str, factor: float) -> str:
    if text[-1] in UNITS:
        return f"{int(seconds(text) * factor)}s"
    return f"{float(text) * factor:g}"


def _replaced(alert: Alert, found: re.Match[str], text: str) -> Alert:
    return replace(alert, expression=alert.expression[: found.start()] + text + alert.expression[found.end() :])


def mutants(alert: Alert) -> Iterator[tuple[str, Alert]]:
    changes: list[tuple[re.Pattern[str], Callable[[str], list[str]]]] = [
        (_NUMBER, lambda text: [_times(text, factor) for factor in (2, 0.5)] if float(text) else []),
        (_MATCHER, lambda _: [""]),
        (_COMPARISON, lambda text: [OPPOSITES[text]]),
    ]
    for pattern, others in changes:
        for found in pattern.finditer(alert.expression):
            for text in others(found[0]):
                yield f"{alert}: {found[0]} at {found.start()} → {text or 'nothing'}", _replaced(alert, found, text)
    # One window may stand for errors and for all answers: under steady traffic, either alone would change nothing.
    for window in sorted(set(_WINDOW.findall(alert.expression))):
        for text in (_times(window, factor) for factor in (2, 0.5)):
            changed = alert.expression.replace(f"[{window}]", f"[{text}]")
            yield f"{alert}: {window} → {text}", replace(alert, expression=changed)
    for factor in (2, 0.5) if alert.held else ():
        yield f"{alert}: for {_times(alert.held, factor)}", replace(alert, held=_times(alert.held, factor))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("alert", [*alerts(), *recorded()], ids=str)
def test_every_change_of_an_alert_is_seen(alert: Alert, tmp_path: Path) -> None:
    def survives(number: int, mutant: Alert) -> bool:
        directory = tmp_path / str(number)
        directory.mkdir()
        return next(promtool(mutant, directory), None) is None

    made = list(mutants(alert))
    with ThreadPoolExecutor(2) as pool:
        survived = pool.map(survives, range(len(made)), [mutant for _, mutant in made])
    assert [what for (what, _), lives in zip(made, survived, strict=True) if lives] == []
    assert len(made) > 2


# --- what people read


def test_every_alert_leads_to_its_heading_in_the_runbook() -> None:
    headings = {f"#{line[3:].lower()}" for line in (REPOSITORY / RUNBOOK).read_text().splitlines() if line[:3] == "## "}
    for rule in alerting():
        address = rule["annotations"]["runbook_url"]
        assert address.partition("#")[0].endswith(f"/{RUNBOOK}")
        assert address.endswith(f"#{rule['alert'].lower()}")
        assert f"#{address.partition('#')[2]}" in headings
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in ("critical", "warning")
