"""`En continu`: the answers of a while, one after the other, and what they come to."""

import json
import re

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.support.browsing import HIDE, LOOK, chain, live, open_page
from tests.support.front_server import FORMER, NEWER, Front, ScriptedApi, version_of

VERSION = "/version"
HOUR_MS = 3_600_000
# In place of the network: each answer is there at once, so that hours of them pass in seconds.
AT_ONCE = """revisions => {
  let asked = 0;
  globalThis.asked = () => asked;
  globalThis.fetch = async () => {
    const revision = revisions[asked % revisions.length];
    asked += 1;
    const status = revision ? 200 : 502;
    return new Response(JSON.stringify({ version: "1.0", revision }), { status, headers: { "X-Request-ID": "an-id" } });
  };
}"""

NEVER = """() => {
  let asked = 0;
  globalThis.asked = () => asked;
  globalThis.fetch = () => new Promise(() => { asked += 1; });
}"""


def figure(page: Page, name: str) -> Locator:
    return page.locator(f"#{name}")


def every(page: Page) -> Locator:
    return page.get_by_role("combobox", name="toutes les")


def begin(page: Page, front: Front) -> None:
    """Open the page, and stop its clock: from now on, time passes when the test says so."""
    page.clock.install(time=0)
    open_page(page, front)
    page.clock.pause_at(HOUR_MS)


def pass_seconds(page: Page, seconds: int) -> None:
    """Let so much of the page's time pass, answers included."""
    for _ in range(seconds):
        page.clock.run_for(1000)


def changes(page: Page) -> list[str]:
    return page.locator("#bars b").all_inner_texts()


def turn_on(page: Page) -> None:
    """Turn it on, and let the first request leave."""
    live(page).click()
    expect(live(page)).to_have_attribute("aria-checked", "true")
    page.clock.run_for(1)


def test_it_asks_once_a_second_and_tells_what_came(page: Page, staged: Front, script: ScriptedApi) -> None:
    begin(page, staged)
    expect(live(page)).to_have_attribute("aria-checked", "false")
    pass_seconds(page, 3)
    before = script.asked(VERSION)
    turn_on(page)
    for sent in range(1, 4):
        expect(figure(page, "sent")).to_have_text(str(sent))
        page.clock.run_for(990)
        assert script.asked(VERSION) - before == sent
        page.clock.run_for(10)
    expect(figure(page, "failed")).to_have_text("0")
    expect(figure(page, "median")).to_have_text(re.compile(r"^\d+\sms$"))
    expect(figure(page, "revisions")).to_have_text(FORMER[:7])
    assert chain(page) == ["passed"] * 3
    live(page).click()
    asked = script.asked(VERSION)
    pass_seconds(page, 5)
    assert script.asked(VERSION) == asked


def test_keyboard_turns_it_on_and_off(page: Page, staged: Front) -> None:
    open_page(page, staged)
    live(page).focus()
    for key, state in (("Space", "true"), ("Enter", "false")):
        page.keyboard.press(key)
        expect(live(page)).to_have_attribute("aria-checked", state)
        expect(live(page)).to_be_focused()


@pytest.mark.parametrize("seconds", [2, 5])
def test_it_asks_as_seldom_as_is_chosen(page: Page, staged: Front, seconds: int) -> None:
    begin(page, staged)
    page.evaluate(AT_ONCE, [FORMER])
    turn_on(page)
    every(page).select_option(str(seconds))
    pass_seconds(page, 10 * seconds)
    assert page.evaluate("asked()") == 11


def test_turning_it_on_again_asks_no_faster(page: Page, staged: Front) -> None:
    begin(page, staged)
    page.evaluate(AT_ONCE, [FORMER])
    for _ in range(6):
        live(page).click()
        page.clock.run_for(10)
    assert page.evaluate("asked()") == 1


def test_an_answer_is_waited_for_alone(page: Page, staged: Front) -> None:
    begin(page, staged)
    page.evaluate(NEVER)
    turn_on(page)
    pass_seconds(page, 10)
    every(page).select_option("2")
    pass_seconds(page, 10)
    assert page.evaluate("asked()") == 1


def test_a_slow_answer_is_a_failure(page: Page, staged: Front, script: ScriptedApi) -> None:
    open_page(page, staged)
    script.gate.clear()
    live(page).click()
    expect(figure(page, "failed")).to_have_text("1", timeout=6000)  # what the front says after its own limit
    expect(page.locator("#event")).to_contain_text("L’API n’a pas répondu à temps.")


def test_a_hidden_page_asks_nothing(page: Page, staged: Front) -> None:
    begin(page, staged)
    page.evaluate(AT_ONCE, [FORMER])
    turn_on(page)
    pass_seconds(page, 3)
    asked = page.evaluate("asked()")
    page.evaluate(HIDE, True)
    page.evaluate(LOOK)
    pass_seconds(page, 60)
    assert page.evaluate("asked()") == asked
    page.evaluate(HIDE, False)
    page.evaluate(LOOK)
    pass_seconds(page, 2)
    assert page.evaluate("asked()") > asked
    gap = float(figure(page, "gap").inner_text().replace(",", ".").split()[0])
    assert gap < 2, "the time in which nobody asked is no gap"


def test_failures_are_marked_with_their_hop_and_the_gap(page: Page, staged: Front) -> None:
    begin(page, staged)
    page.evaluate(AT_ONCE, [FORMER] * 3 + [""] * 5 + [FORMER] * 100)
    turn_on(page)
    pass_seconds(page, 4)
    assert chain(page) == ["passed", "passed", "failed"]
    expect(page.locator("#event")).to_contain_text("L’API est indisponible")
    pass_seconds(page, 10)
    assert chain(page) == ["passed"] * 3
    expect(page.locator("#event")).to_contain_text("répond de nouveau")
    expect(figure(page, "failed")).to_have_text("5")
    expect(figure(page, "gap")).to_have_text(re.compile(r"^6,\d\ss$"))
    outcomes = page.locator("#bars i").evaluate_all("bars => bars.map(bar => bar.dataset.outcome)")
    assert outcomes[:9] == ["right"] * 3 + ["failed"] * 5 + ["right"]
    styles = [
        page.locator(f"#bars i[data-outcome={outcome}]").first.evaluate(
            "bar => getComputedStyle(bar, '::before').backgroundImage"
        )
        for outcome in ("right", "failed")
    ]
    assert styles[0] == "none"
    assert "gradient" in styles[1], "a failure is told by its pattern, not by its colour alone"


def test_a_rollout_is_one_change_while_two_take_turns(page: Page, staged: Front) -> None:
    begin(page, staged)
    rollout = [FORMER] * 10 + [NEWER, FORMER] * 10 + [NEWER] * 8 + [FORMER] + [NEWER] * 200
    page.evaluate(AT_ONCE, rollout)
    turn_on(page)
    pass_seconds(page, 20)
    both = f"{NEWER[:7]} et {FORMER[:7]}"
    expect(figure(page, "revisions")).to_have_text(both)
    expect(page.locator("#running")).to_contain_text(both)
    pass_seconds(page, 60)
    expect(figure(page, "revisions")).to_have_text(NEWER[:7])
    assert changes(page) == [f"{FORMER[:7]} → {NEWER[:7]}"]
    pass_seconds(page, 60)
    assert changes(page) == []  # it has left the strip
    assert page.locator("#bars i").count() == 120


def test_going_back_is_another_change(page: Page, staged: Front) -> None:
    begin(page, staged)
    page.evaluate(AT_ONCE, [FORMER] * 5 + [NEWER] * 40 + [FORMER] * 100)
    turn_on(page)
    pass_seconds(page, 60)
    there, back = f"{FORMER[:7]} → {NEWER[:7]}", f"{NEWER[:7]} → {FORMER[:7]}"
    assert changes(page) == [there, back]


def test_the_figures_are_those_of_the_answers(page: Page, staged: Front) -> None:
    """Against the definition: the smallest duration that a share of all does not exceed."""
    open_page(page, staged)
    durations = [float(number * number % 997) for number in range(1, 301)]
    told = page.evaluate(
        """async durations => {
          const { Figures } = await import("/figures.js");
          const figures = new Figures(0);
          for (const duration of durations) figures.add({ duration, body: { version: "1", revision: "a" } }, 0);
          return [0.5, 0.99, 1].map(share => figures.quantile(share));
        }""",
        durations,
    )
    ranked = sorted(durations)
    assert told == [ranked[149], ranked[296], ranked[299]]


def test_reset_begins_anew(page: Page, staged: Front) -> None:
    begin(page, staged)
    page.evaluate(AT_ONCE, [FORMER, ""])
    turn_on(page)
    pass_seconds(page, 9)
    live(page).click()
    page.get_by_role("button", name="Remettre à zéro").click()
    for name in ("sent", "failed"):
        expect(figure(page, name)).to_have_text("0")
    expect(figure(page, "gap")).to_have_text(re.compile(r"^0,0\ss$"))
    assert page.locator("#bars i").count() == 0


def test_the_figures_can_be_copied_for_a_report(page: Page, staged: Front) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    begin(page, staged)
    page.evaluate(AT_ONCE, [FORMER, NEWER, "", NEWER])
    turn_on(page)
    pass_seconds(page, 3)
    live(page).click()
    pass_seconds(page, 60)
    page.get_by_role("button", name="Copier les chiffres").click()
    expect(page.locator("#copy")).to_have_text("Copié")
    text = page.evaluate("navigator.clipboard.readText()")
    assert staged.url in text
    assert "Envoyées\u202f: 4\n" in text
    assert "Échecs\u202f: 1\n" in text
    assert f"{FORMER} → {NEWER}" in text
    assert re.search(r"sans réponse\u202f: 2,\d\ss\n", text), "the time in which nobody asked is no gap"


def test_the_tab_remembers_the_choice(page: Page, staged: Front) -> None:
    open_page(page, staged)
    every(page).select_option("2")
    live(page).click()
    page.reload()
    expect(live(page)).to_have_attribute("aria-checked", "true")
    expect(every(page)).to_have_value("2")
    expect(figure(page, "sent")).to_have_text("1")
    other = page.context.new_page()
    open_page(other, staged)
    expect(live(other)).to_have_attribute("aria-checked", "false")


@pytest.mark.parametrize("kept", ["{", "null", '{"on": "yes", "every": "0.001"}', None])
def test_a_memory_that_is_of_no_use_is_left(page: Page, staged: Front, kept: str | None) -> None:
    keep = f"sessionStorage.setItem('en-continu', {json.dumps(kept)})"
    forbid = "Object.defineProperty(window, 'sessionStorage', { get() { throw new Error('forbidden'); } })"
    page.add_init_script(keep if kept else forbid)
    open_page(page, staged)
    expect(live(page)).to_have_attribute("aria-checked", "false")
    expect(every(page)).to_have_value("1")
    live(page).click()
    expect(figure(page, "sent")).to_have_text("1")


def test_those_who_hear_the_page_get_summaries(page: Page, staged: Front) -> None:
    begin(page, staged)
    page.evaluate(AT_ONCE, [FORMER] * 70 + [""] * 3 + [NEWER] * 200)
    page.evaluate("""() => {
      globalThis.said = [];
      const summary = document.getElementById("summary");
      new MutationObserver(() => said.push(summary.textContent)).observe(summary, { childList: true });
    }""")
    turn_on(page)
    pass_seconds(page, 69)
    assert len(page.evaluate("said")) == 3  # the beginning, and each thirty seconds
    pass_seconds(page, 10)
    failing, changed = page.evaluate("said")[3:]
    assert failing.startswith("L’API est indisponible")
    assert f"{FORMER[:7]} → {NEWER[:7]}" in changed
    assert re.search(r"74\sdemandes, 3\séchecs", changed)
    label = page.get_by_role("img", name="Les dernières réponses").get_attribute("aria-label")
    assert label
    assert changed in label


def used_heap(page: Page) -> float:
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used: float = session.send("Runtime.getHeapUsage")["usedSize"]
    session.detach()
    return used


def test_an_hour_of_it_leaks_nothing(page: Page, staged: Front) -> None:
    begin(page, staged)
    page.evaluate(AT_ONCE, [FORMER] * 200 + [""] * 20 + [NEWER] * 200)
    turn_on(page)
    pass_seconds(page, 300)
    before = used_heap(page)
    for _ in range(60):
        page.clock.run_for(60_000)
    assert page.evaluate("asked()") >= 3600
    assert used_heap(page) <= 1.1 * before


def test_an_error_of_the_network_is_the_front_s(page: Page, staged: Front) -> None:
    def cut(route: Route) -> None:
        route.abort()

    begin(page, staged)
    page.route("**/api/version", cut)
    turn_on(page)
    expect(figure(page, "failed")).to_have_text("1")
    assert chain(page) == ["passed", "failed", "beyond"]
    page.unroute("**/api/version")
    pass_seconds(page, 1)
    expect(page.locator("#event")).to_contain_text("répond de nouveau")


def test_it_follows_the_real_one(page: Page, staged: Front, script: ScriptedApi) -> None:
    """Without a clock of the test's own."""
    open_page(page, staged)
    live(page).click()
    expect(figure(page, "sent")).to_have_text("2")
    script.version = version_of(NEWER)
    expect(page.locator("#bars b")).to_have_text(f"{FORMER[:7]} → {NEWER[:7]}")
