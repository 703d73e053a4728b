"""The page in a real Chromium: what a user sees, hears and can do."""

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.support.browsing import HIDE, LOOK, button, chain, message, open_page
from tests.support.front_server import (
    CONFIGURATION,
    FORMER,
    GOOD,
    NEWER,
    Front,
    ScriptedApi,
    running_front,
    scripted_server,
    version_of,
)
from tools.local.front import SITE
from tools.local.ports import free_port

OK = "L’API répond."
WAITING = "Test en cours"
DOWN = "L’API est indisponible pour le moment."
SLOW = "L’API n’a pas répondu à temps."
FRONT_SLOW = "Le front n’a pas répondu à temps."
UNEXPECTED = "L’API a répondu, mais pas ce qui était attendu."
UNREACHABLE = "Le front est injoignable."
AGAIN = "La page réessaie d’elle-même"
BACK = "L’API répond de nouveau."
ALL_PASSED = ["passed", "passed", "passed"]
API_FAILED = ["passed", "passed", "failed"]
FRONT_FAILED = ["passed", "failed", "beyond"]
OF_FRONT = {"X-Request-ID": "an-id"}


def answer(page: Page) -> Locator:
    return page.locator("#answer")


def test_success_shows_what_the_real_api_answers(page: Page, site: Front) -> None:
    problems: list[str] = []
    page.on("console", lambda line: problems.append(line.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    open_page(page, site)
    assert page.title() == "DataPress – POC"
    expect(page.get_by_role("heading", level=1)).to_have_text("DataPress – POC")
    expect(page.get_by_text(CONFIGURATION["version"], exact=True)).to_be_visible()
    expect(page.get_by_text(CONFIGURATION["environment"], exact=True)).to_be_visible()
    expect(page.get_by_text(CONFIGURATION["banner"], exact=True)).to_be_visible()

    with page.expect_response("**/api/") as received:
        button(page).click()
    expect(message(page)).to_have_text(OK)
    shown = answer(page).inner_text()
    assert json.loads(shown) == received.value.json()
    assert shown.startswith('{\n  "service": "api",')
    expect(page.locator("#status")).to_have_text("200")
    expect(page.locator("#duration")).to_have_text(re.compile(r"^\d+\sms$"))
    expect(page.locator("#request-id")).to_have_text(received.value.headers["x-request-id"])
    assert chain(page) == ALL_PASSED
    assert problems == []  # neither an error nor anything that the Content-Security-Policy refused


def test_page_contacts_its_own_server_alone(page: Page, site: Front) -> None:
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    open_page(page, site)
    button(page).click()
    expect(message(page)).to_have_text(OK)
    assert hosts == {urlsplit(site.url).netloc}
    named = {host for path in SITE.glob("*.*") for host in re.findall(r"//([\w.-]+)", path.read_text())}
    assert named == {"www.w3.org"}  # the name of SVG's vocabulary, which nobody fetches


def test_waiting_is_told_and_cannot_be_pressed_twice(page: Page, staged: Front, script: ScriptedApi) -> None:
    script.gate.clear()
    open_page(page, staged)
    button(page).click()
    expect(message(page)).to_contain_text(WAITING)
    expect(button(page)).to_be_focused()
    expect(button(page)).to_have_attribute("aria-disabled", "true")
    expect(page.locator("#details")).to_have_attribute("aria-busy", "true")
    button(page).click(force=True)
    page.keyboard.press("Enter")
    script.gate.set()
    expect(message(page)).to_have_text(OK)
    expect(button(page)).to_have_attribute("aria-disabled", "false")
    expect(page.locator("#details")).to_have_attribute("aria-busy", "false")
    assert script.asked() == 1


def test_keyboard_alone_is_enough(page: Page, staged: Front, script: ScriptedApi) -> None:
    open_page(page, staged)
    page.keyboard.press("Tab")
    expect(button(page)).to_be_focused()
    outline = button(page).evaluate("element => getComputedStyle(element).outlineStyle")
    assert outline == "solid"
    for number, key in enumerate(("Enter", "Space"), start=1):
        page.keyboard.press(key)
        expect(message(page)).to_have_text(OK)
        assert script.asked() == number
        expect(button(page)).to_be_focused()


def test_slow_api_is_given_up_after_five_seconds(page: Page, staged: Front, script: ScriptedApi) -> None:
    script.gate.clear()
    open_page(page, staged)
    with page.expect_response("**/api/") as received:
        button(page).click()
    expect(message(page)).to_contain_text(SLOW, timeout=1000)
    assert chain(page) == API_FAILED
    assert received.value.status == 504
    assert 4400 <= received.value.request.timing["responseStart"] <= 5000
    assert received.value.json()["request_id"] == page.locator("#request-id").inner_text()
    assert received.value.headers["content-type"] == "application/problem+json"
    assert received.value.headers["retry-after"] == "5"


def test_page_gives_up_by_itself_when_nothing_comes_back(page: Page, staged: Front) -> None:
    open_page(page, staged)
    page.evaluate("""() => {
      const never = (path, { signal }) => new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
      });
      globalThis.fetch = never;
    }""")
    button(page).click()
    expect(message(page)).to_contain_text(FRONT_SLOW, timeout=5500)
    assert chain(page) == FRONT_FAILED
    expect(page.locator("#duration")).to_have_text(re.compile(r"^5\s0\d\d\sms$"))
    expect(page.locator("#status")).to_be_hidden()


def test_down_then_back_without_a_press(page: Page, tmp_path: Path) -> None:
    port = free_port()
    with running_front(tmp_path, f"127.0.0.1:{port}") as front:
        open_page(page, front)
        button(page).click()
        expect(message(page)).to_contain_text(DOWN)
        expect(message(page)).to_contain_text(AGAIN)
        expect(page.locator("#status")).to_have_text("502")
        expect(page.locator("#request-id")).not_to_be_empty()
        expect(answer(page)).to_be_hidden()
        assert chain(page) == API_FAILED
        with scripted_server(ScriptedApi(), port):
            expect(message(page)).to_have_text(BACK)
            expect(answer(page)).to_contain_text('"service": "api"')
            assert chain(page) == ALL_PASSED


def test_retries_come_slower_and_slower_until_one_succeeds(page: Page, staged: Front, script: ScriptedApi) -> None:
    def press() -> None:
        with page.expect_response("**/api/"):
            button(page).click()
        expect(button(page)).to_have_attribute("aria-disabled", "false")

    def assert_next_request_after(delay: int) -> None:
        already = script.asked()
        page.clock.run_for(delay - 1000)  # real time passes as well: a margin for slow machines
        page.wait_for_timeout(50)  # time for a request that should not be
        assert script.asked() == already
        with page.expect_response("**/api/", timeout=5000):
            page.clock.run_for(1000)
        page.wait_for_timeout(50)  # time for the page to set the next timer

    script.answer(503, b"{}")
    page.clock.install()
    open_page(page, staged)
    press()
    page.evaluate("""() => {
      globalThis.changes = 0;
      new MutationObserver(() => { globalThis.changes += 1; }).observe(message, { childList: true });
    }""")
    for delay in (3000, 4500, 6750):
        assert_next_request_after(delay)
    assert page.evaluate("globalThis.changes") == 0  # or a screen reader would say the same at each retry
    press()  # starts over, and leaves nothing of the retry that was due after 10,125 ms
    for delay in (3000, 4500, 6750):
        assert_next_request_after(delay)
    script.answer(200, GOOD)
    press()
    page.clock.run_for(120_000)
    page.reload()
    assert script.asked() == 9


def nth(held: list[Route], page: Page, number: int) -> Route:
    """Return a request that is held back, once it is: the event that tells of it may come before."""
    while len(held) <= number:
        page.wait_for_timeout(10)
    return held[number]


def test_press_outranks_a_retry_under_way(page: Page, staged: Front) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/api/", hold)
    page.clock.install()
    open_page(page, staged)
    button(page).click()
    nth(held, page, 0).fulfill(status=503, headers=OF_FRONT)
    expect(message(page)).to_contain_text(DOWN)
    page.clock.run_for(3000)
    retry = nth(held, page, 1)
    button(page).click()
    press = nth(held, page, 2)
    with page.expect_response("**/api/"):
        retry.fulfill(body=GOOD, headers=OF_FRONT)
    page.clock.run_for(10)
    expect(message(page)).to_contain_text(WAITING)
    press.fulfill(body=GOOD, headers=OF_FRONT)
    expect(message(page)).to_have_text(OK)


def test_hidden_page_asks_nothing_until_it_is_looked_at(page: Page, staged: Front, script: ScriptedApi) -> None:
    script.answer(503, b"{}")
    page.clock.install()
    open_page(page, staged)
    page.evaluate(LOOK)  # nothing failed yet: nothing to retry
    button(page).click()
    expect(message(page)).to_contain_text(DOWN)
    page.evaluate(HIDE, True)
    page.clock.run_for(120_000)
    script.answer(200, GOOD)
    page.evaluate(HIDE, False)
    page.evaluate(LOOK)
    expect(message(page)).to_have_text(BACK)
    assert script.asked() == 2


NONSENSE = {
    "not JSON": (b"<html>hello</html>", "<html>hello</html>"),
    "empty": (b"", ""),
    "null": (b"null", "null"),
    "a list": (b"[1]", "[\n  1\n]"),
    "no timestamp": (b'{"service": "api"}', '{\n  "service": "api"\n}'),
    "bad timestamp": (b'{"service":"api","ts":"soon"}', '{\n  "service": "api",\n  "ts": "soon"\n}'),
    "bad service": (
        b'{"service":1,"ts":"2025-11-24T09:09:57Z"}',
        '{\n  "service": 1,\n  "ts": "2025-11-24T09:09:57Z"\n}',
    ),
    "long": (b"x" * 501, "x" * 500),
    "markup": (b"<img src=x onerror=alert(1)>", "<img src=x onerror=alert(1)>"),
}


def test_nonsense_is_told_and_shown_as_it_came(page: Page, staged: Front, script: ScriptedApi) -> None:
    open_page(page, staged)
    for case, (body, shown) in NONSENSE.items():
        script.answer(200, body)
        with page.expect_response("**/api/"):
            button(page).click()
        expect(button(page), case).to_have_attribute("aria-disabled", "false")
        expect(message(page), case).to_contain_text(UNEXPECTED)
        assert chain(page) == API_FAILED
        assert answer(page).text_content() == shown, case
        expect(page.locator("#status")).to_have_text("200")


def test_error_of_the_api_itself_is_told_with_its_document(page: Page, staged: Front, script: ScriptedApi) -> None:
    script.answer(500, b'{"title": "Internal Server Error", "status": 500}', "application/problem+json")
    open_page(page, staged)
    button(page).click()
    expect(message(page)).to_contain_text("L’API signale une erreur (statut 500).")
    expect(answer(page)).to_contain_text('"title": "Internal Server Error"')
    expect(page.locator("#request-id")).not_to_be_empty()


def test_lost_network_is_told(page: Page, staged: Front) -> None:
    page.clock.install()
    open_page(page, staged)
    page.context.set_offline(True)
    button(page).click()
    expect(message(page)).to_contain_text(UNREACHABLE)
    expect(page.locator("#request-id")).to_be_hidden()
    expect(page.locator("#copy-id")).to_be_hidden()
    assert chain(page) == FRONT_FAILED
    page.context.set_offline(False)
    page.clock.run_for(3000)
    expect(message(page)).to_have_text(BACK)


BAD_CONFIGURATIONS = {
    "broken": ('{"version": ', "ce n’est pas du JSON"),
    "not an object": ("null", "version, environment, banner"),
    "wrong type": ('{"version": "v1", "environment": "x", "banner": 5}', "«\u202fbanner\u202f»"),
    "no environment": ('{"version": "v1", "banner": ""}', "«\u202fenvironment\u202f»"),
    "missing": (None, "le serveur ne la donne pas (statut 404)"),
}


def test_bad_configuration_is_told_and_the_test_still_works(page: Page, staged: Front) -> None:
    for case, (text, reason) in BAD_CONFIGURATIONS.items():
        staged.config.unlink() if text is None else staged.config.write_text(text)
        open_page(page, staged)
        expect(page.locator("#banner"), case).to_contain_text("/config.json")
        expect(page.locator("#banner"), case).to_contain_text(reason)
        expect(page.locator("#version"), case).to_have_text("Version inconnue")
        button(page).click()
        expect(message(page), case).to_have_text(OK)
        assert not re.search("undefined|null|NaN|object Object", page.locator("body").inner_text()), case


def test_unreachable_configuration_is_told(page: Page, site: Front) -> None:
    page.route("**/config.json", lambda route: route.abort())
    open_page(page, site)
    expect(page.locator("#banner")).to_contain_text("elle n’a pas pu être lue")


def test_edited_page_and_configuration_show_on_reload(page: Page, staged: Front) -> None:
    open_page(page, staged)
    staged.config.write_text(json.dumps(CONFIGURATION | {"version": "v2.0"}))
    seen: set[str] = set()
    page.on("request", lambda request: seen.add(urlsplit(request.url).path))
    page.reload()
    expect(page.locator("#version")).to_have_text("v2.0")
    assert seen >= {"/", "/app.css", "/app.js", "/config.json"}


def test_an_answer_of_another_server_is_not_the_api_s(page: Page, staged: Front) -> None:
    """A gateway before the front answers in its place: nothing of it has the id that the front gives."""
    page.route("**/api/", lambda route: route.fulfill(status=502, body="Bad Gateway"))
    open_page(page, staged)
    button(page).click()
    expect(message(page)).to_contain_text(f"{UNREACHABLE[:-1]}\u202f: un serveur placé devant lui")
    assert chain(page) == FRONT_FAILED


def test_an_answer_that_breaks_off_is_the_api_s(page: Page, staged: Front, script: ScriptedApi) -> None:
    open_page(page, staged)
    script.headers["Content-Encoding"] = "gzip"  # which it is not
    button(page).click()
    expect(message(page)).to_contain_text("s’est interrompue")
    assert chain(page) == API_FAILED


def test_retries_are_counted_and_their_time_is_told(page: Page, staged: Front, script: ScriptedApi) -> None:
    script.answer(503, b"{}")
    page.clock.install()
    open_page(page, staged)
    button(page).click()
    told = page.locator("#retry")
    for number, seconds in ((2, 3), (3, 5)):
        expect(told).to_have_text(f"Essai {number} dans {seconds}\u202fs")
        page.clock.run_for(1000)
        expect(told).to_have_text(f"Essai {number} dans {seconds - 1}\u202fs")
        page.clock.run_for((seconds - 1) * 1000)
    expect(told).to_have_text("Essai 4 dans 7\u202fs")
    script.answer(200, GOOD)
    page.clock.run_for(7000)
    expect(message(page)).to_have_text(BACK)
    expect(told).to_be_empty()


def test_the_api_s_time_is_told_here_and_in_utc(browser: Browser, staged: Front) -> None:
    with browser.new_context(locale="fr-FR", timezone_id="America/Montreal") as context:
        page = context.new_page()
        open_page(page, staged)
        button(page).click()
        expect(page.locator("#time")).to_have_text("04:09:57, soit 09:09:57\u202fUTC")


@pytest.mark.parametrize("secure", [True, False], ids=["secure", "plain"])
def test_the_request_s_id_can_be_copied(page: Page, staged: Front, secure: bool) -> None:
    """On a node's port, HTTP is plain, and browsers give no clipboard."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_page(page, staged)
    button(page).click()
    expect(message(page)).to_have_text(OK)
    shown = page.locator("#request-id").inner_text()
    if not secure:
        page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined, configurable: true })")
    page.get_by_role("button", name="Copier l’identifiant").click()
    expect(page.locator("#copy-id")).to_have_text("Copié")
    expect(page.locator("#copy-id")).to_be_focused()
    page.evaluate("delete navigator.clipboard")
    assert page.evaluate("navigator.clipboard.readText()") == shown


def test_what_runs_is_told_and_follows(page: Page, staged: Front, script: ScriptedApi) -> None:
    open_page(page, staged)
    expect(page.locator("#running")).to_have_text(f"API servie\u202f: 1.0, révision {FORMER[:7]}")
    script.version = version_of(NEWER)
    button(page).click()
    expect(page.locator("#running")).to_have_text(f"API servie\u202f: 1.0, révision {NEWER[:7]}")
    script.version = b"[]"
    page.reload()
    expect(page.locator("#running")).to_have_text("API servie\u202f: inconnue")
    assert chain(page) == ["", "", ""]


def test_the_environment_is_named_once(page: Page, site: Front) -> None:
    open_page(page, site)
    assert page.locator("body").inner_text().count(CONFIGURATION["environment"]) == 2  # its name, and its banner's word
    expect(page.locator("#mark")).to_have_text(CONFIGURATION["mark"])


def test_page_without_javascript_has_nothing_that_looks_alive(browser: Browser, site: Front) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(site.url)
        expect(page.locator("noscript p")).to_be_visible()
        controls = page.locator("button:visible, select:visible")
        assert controls.count() > 0
        for control in controls.all():
            expect(control).to_be_disabled()
        expect(page.locator("#running")).to_be_empty()


def test_unknown_address_leads_back(page: Page, site: Front) -> None:
    page.goto(f"{site.url}/somewhere/else")
    expect(page.get_by_role("heading", level=1)).to_have_text("Page introuvable")
    expect(page.get_by_role("banner")).to_contain_text("DataPress – POC")
    page.get_by_role("link", name="Revenir").click()
    expect(button(page)).to_be_visible()


TEXT = {".html": r">([^<]+)<", ".js": r"\"([^\"\n]+)\"|`([^`]+)`"}


@pytest.mark.parametrize("path", [p for p in sorted(SITE.iterdir()) if p.suffix in TEXT], ids=lambda path: path.name)
def test_texts_follow_french_typography(path: Path) -> None:
    """A narrow no-break space before high punctuation: an ordinary one would let a line begin with it."""
    for found in re.finditer(TEXT[path.suffix], path.read_text()):
        text = re.sub(r"\$\{[^}]*\}", "", "".join(filter(None, found.groups())))
        assert not re.search(r"\w [;:!?»]|« ", text), text
        assert not re.search(r"\w'\w", text) or text == "Tester l'API", text
