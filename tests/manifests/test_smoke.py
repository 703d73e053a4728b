"""The script of the smoke test, against a front that serves the repository's page, and against one that does not."""

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import module_from_spec, spec_from_file_location
from threading import Thread
from types import ModuleType

import pytest

from tools.local.front import SITE
from tools.repository import OVERLAYS

SCRIPT = OVERLAYS.parent / "components" / "smoke-test" / "smoke.py"
ENVIRONMENT, REVISION = "anywhere", "abc"
VERSION = {"version": "1", "revision": REVISION, "environment": ENVIRONMENT}
Answers = dict[str, bytes]


@pytest.fixture
def answers() -> Answers:
    """What the front answers by path: all as it should be."""
    files = {f"/{path.name}": path.read_bytes() for path in SITE.iterdir()}
    config = json.dumps({"environment": ENVIRONMENT}).encode()
    return {**files, "/": files["/index.html"], "/config.json": config, "/api/version": json.dumps(VERSION).encode()}


@pytest.fixture
def smoke(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The script, with a front on this machine and little patience."""

    class Front(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path in answers else 404)
            self.end_headers()
            self.wfile.write(answers.get(self.path, b""))

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Be quiet."""

    spec = spec_from_file_location("smoke", SCRIPT)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, value in (("APP_ENV", ENVIRONMENT), ("APP_REVISION", REVISION)):
        monkeypatch.setenv(name, value)
    with ThreadingHTTPServer(("127.0.0.1", 0), Front) as server:
        monkeypatch.setattr(module, "FRONT", f"http://127.0.0.1:{server.server_port}/")
        for name, number in {"LIMIT_SECONDS": 1, "PAUSE_SECONDS": 0, "ANSWERS_IN_A_ROW": 5}.items():
            monkeypatch.setattr(module, name, number)
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield module
        server.shutdown()


def test_what_is_as_it_should_be_passes(smoke: ModuleType) -> None:
    assert smoke.main() == 0


def test_a_page_of_other_words_passes(smoke: ModuleType, answers: Answers) -> None:
    answers["/"] = (
        b'<html><title>Acme</title><img src="/favicon.svg"><img src="https://elsewhere.invalid/a.png"></html>'
    )
    assert smoke.main() == 0


FAULTS: dict[str, tuple[Callable[[Answers], object], str]] = {
    "page away": (lambda found: found.pop("/"), "does not answer as it should"),
    "another page": (lambda found: found.update({"/": b"<h1>Welcome to nginx!</h1>"}), "it has no title"),
    "empty title": (lambda found: found.update({"/": b"<title> </title><p>text</p>"}), "it has no title"),
    "script away": (lambda found: found.pop("/app.js"), "404"),
    "style away": (lambda found: found.pop("/app.css"), "404"),
    "configuration of another environment": (
        lambda found: found.update({"/config.json": b'{"environment": "other"}'}),
        f"config.json serves other, not {ENVIRONMENT}",
    ),
    "no configuration": (lambda found: found.update({"/config.json": b"{}"}), "KeyError('environment')"),
    "API of another environment": (
        lambda found: found.update({"/api/version": json.dumps({**VERSION, "environment": "other"}).encode()}),
        f"api/version serves other, not {ENVIRONMENT}",
    ),
    "another version": (
        lambda found: found.update({"/api/version": json.dumps({**VERSION, "revision": "other"}).encode()}),
        f"api/version serves other, not {REVISION}",
    ),
    "no version": (lambda found: found.update({"/api/version": b"<html>"}), "JSONDecodeError"),
}


@pytest.mark.parametrize("what", FAULTS)
def test_what_is_wrong_is_told(
    smoke: ModuleType, answers: Answers, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    spoil, told = FAULTS[what]
    spoil(answers)
    assert smoke.main() == 1
    assert told in capsys.readouterr().err
