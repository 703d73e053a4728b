"""`make bench-recette`: what it asks for, how it searches, and what it makes of vegeta's report."""

import json
from collections.abc import Callable

import pytest

from bench import recette
from bench.recette import HOLD_SECONDS, LOWEST_RATE, PRECISION, STEP_BACK, Attack, attack, highest_rate, main
from tests.support.product import BY_HAND, FOLLOWED, namespace
from tests.support.programs import Fakes
from tools.command import FailedError, RefusedError
from tools.local.context import Cluster
from tools.manifests import Manifest

URL = "http://node/"


def holds(most: Callable[[int], float]) -> Callable[[str, int, int], Attack]:
    """Return an attack on a server that holds a rate which depends on for how many seconds it must."""
    return lambda _url, rate, seconds: Attack(rate, rate, rate * seconds, int(rate > most(seconds)), 1.0)


@pytest.mark.parametrize("most", [60, 777, 5000])
def test_the_search_ends_just_below_what_is_held(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(recette, "attack", holds(lambda _seconds: most))
    found = highest_rate(URL)
    assert most / PRECISION**1.1 < found.rate <= most
    assert found.requests == found.rate * HOLD_SECONDS


def test_what_is_held_for_a_moment_only_is_not_what_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recette, "attack", holds(lambda seconds: 1000 if seconds < HOLD_SECONDS else 800))
    assert 800 / STEP_BACK**1.1 < highest_rate(URL).rate <= 800


def test_a_server_that_holds_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recette, "attack", holds(lambda _seconds: 0))
    with pytest.raises(FailedError, match=f"does not hold {LOWEST_RATE} requests a second: .* failed"):
        highest_rate(URL)


@pytest.mark.parametrize(
    ("rate", "statuses", "p99", "held"),
    [
        (100.0, {"200": 500}, 99.0, True),
        (100.0, {"200": 500}, 100.0, False),
        (100.0, {"200": 499, "503": 1}, 1.0, False),
        (100.0, {"200": 499, "0": 1}, 1.0, False),
        (98.0, {"200": 490}, 1.0, False),
    ],
    ids=["held", "late", "refused", "no answer", "not sent"],
)
def test_a_rate_is_held_if_all_was_sent_and_answered_in_time(
    fakes: Fakes,
    monkeypatch: pytest.MonkeyPatch,
    rate: float,
    statuses: dict[str, int],
    p99: float,
    held: bool,
) -> None:
    report = {
        "rate": rate,
        "requests": sum(statuses.values()),
        "status_codes": statuses,
        "latencies": {"99th": p99 * 1e6},
    }
    monkeypatch.setattr(recette, "REST_SECONDS", 0)
    fakes.add("vegeta", {"report": (0, json.dumps(report))})
    monkeypatch.setattr(recette, "VEGETA", fakes.directory / "vegeta")
    assert attack(URL, 100, 5).held == held
    assert "-rate=100 -duration=5s" in fakes.calls("vegeta attack")[0]


@pytest.mark.parametrize(
    ("url", "told"),
    [("http://node/", r"http://node/api/ does not answer: .*'make deploy ENV="), ("", "has no URL on this cluster")],
)
def test_without_an_answer_there_is_a_remedy(monkeypatch: pytest.MonkeyPatch, url: str, told: str) -> None:
    monkeypatch.setattr(recette, "current_cluster", lambda: Cluster("kind-dev", "https://127.0.0.1", []))
    monkeypatch.setattr(recette, "url_of", lambda _cluster, _manifests: url)
    monkeypatch.setattr(recette, "answers", lambda _url: False)
    with pytest.raises(RefusedError, match=told):
        main([])


@pytest.mark.parametrize("asked", [[], [BY_HAND]])
def test_it_measures_the_environment_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], asked: list[str]
) -> None:
    def url_of(_cluster: Cluster, manifests: list[Manifest]) -> str:
        return f"http://{next(one['metadata']['name'] for one in manifests if one['kind'] == 'Namespace')}/"

    monkeypatch.setattr(recette, "current_cluster", lambda: Cluster("kind-dev", "https://127.0.0.1", []))
    monkeypatch.setattr(recette, "url_of", url_of)
    monkeypatch.setattr(recette, "answers", lambda _url: True)
    monkeypatch.setattr(recette, "attack", holds(lambda _seconds: 1000))
    main(asked)
    assert f"http://{namespace((asked or [FOLLOWED])[0])}/api/\n" in capsys.readouterr().err


def test_an_environment_that_is_not_there_is_refused() -> None:
    with pytest.raises(RefusedError, match="there is no environment 'nowhere'"):
        main(["nowhere"])
