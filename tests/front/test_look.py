"""How the page looks: it is accessible in every state, does not move, and is light."""

import json
import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, ViewportSize, expect

from tests.support.browsing import button, live, message, open_page
from tests.support.contrast import LEAST_CONTRAST, contrast
from tests.support.front_server import CONFIGURATION, NEWER, Front, ScriptedApi, version_of
from tests.support.product import configuration
from tools.local.front import SITE
from tools.repository import environments

KILOBYTE = 1000
LIGHT_PAGE = 40 * KILOBYTE  # before compression
SHIFT = 0.02  # https://web.dev/articles/cls takes 0.1 for good
WIDTHS = [320, 390, 768, 1280, 1920]
PHONE: ViewportSize = {"width": 390, "height": 844}
SUM_SHIFTS = """
  globalThis.shift = 0;
  new PerformanceObserver(list => list.getEntries().forEach(entry => { shift += entry.value; }))
    .observe({ type: "layout-shift", buffered: true });
"""


def assert_accessible(page: Page) -> None:
    result = Axe().run(page)
    assert result.violations_count == 0, result.generate_report()
    # WCAG 2.2, 1.4.10: nothing scrolls sideways at 320 CSS pixels.
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


@pytest.mark.parametrize("width", [320, 1280, 1920])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessible_in_every_state(page: Page, staged: Front, script: ScriptedApi, scheme: str, width: int) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    page.set_viewport_size({"width": width, "height": 800})
    open_page(page, staged)
    assert_accessible(page)

    script.gate.clear()
    button(page).click()
    expect(message(page)).to_contain_text("Test en cours")
    assert page.evaluate("document.getAnimations().length") == 0
    assert_accessible(page)
    script.gate.set()
    expect(message(page)).to_have_text("L’API répond.")
    assert_accessible(page)

    live(page).click()
    expect(page.locator("#sent")).to_have_text("1")
    script.version = version_of(NEWER)
    expect(page.locator("#bars b")).to_be_visible()
    assert page.evaluate("document.getAnimations().length") == 0
    assert_accessible(page)

    script.answer(500, b'{"title": "Internal Server Error"}')
    button(page).click()
    expect(message(page)).to_contain_text("statut 500")
    expect(page.locator("#bars [data-outcome=failed]")).to_have_count(1)
    assert_accessible(page)

    page.goto(f"{staged.url}/missing")
    assert_accessible(page)


def test_motion_is_there_for_those_who_like_it(page: Page, staged: Front, script: ScriptedApi) -> None:
    script.gate.clear()
    open_page(page, staged)
    button(page).click()
    expect(message(page)).to_contain_text("Test en cours")
    assert page.evaluate("document.getAnimations().length") == 1


@pytest.mark.parametrize("environment", environments())
def test_nothing_moves_when_the_configuration_comes(browser: Browser, staged: Front, environment: str) -> None:
    staged.config.write_text(json.dumps(configuration(environment)))
    for width in WIDTHS:
        with browser.new_context(viewport={"width": width, "height": 800}) as context:
            assert shift_of(context.new_page(), staged) <= SHIFT, width


def shift_of(page: Page, front: Front) -> float:
    """Return how much moves when what the page asks for comes after its first picture, as over a slow network."""

    def delay(route: Route) -> None:
        page.wait_for_timeout(150)
        route.continue_()

    page.add_init_script(SUM_SHIFTS)
    page.route(re.compile("config.json|api/version"), delay)
    open_page(page, front)
    expect(page.locator("#banner")).not_to_be_empty()
    page.wait_for_timeout(100)
    shift: float = page.evaluate("shift")
    return shift


def channels(colour: str) -> list[float]:
    return [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]


def contrast_of_band(page: Page) -> float:
    """Return that of the environment's band: its words on its colour."""
    style = page.locator("#band").evaluate(
        "band => [getComputedStyle(band).color, getComputedStyle(band).backgroundColor]"
    )
    return contrast(*map(channels, style))


@pytest.mark.parametrize("environment", environments())
def test_the_environment_s_colour_and_mark_can_be_read(page: Page, staged: Front, environment: str) -> None:
    configured = configuration(environment)
    staged.config.write_text(json.dumps(configured))
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        open_page(page, staged)
        expect(page.locator("#mark")).to_have_text(configured.get("mark", "■"))
        assert contrast_of_band(page) >= LEAST_CONTRAST


@pytest.mark.parametrize("colour", ["#000000", "#ffffff", "#767676", "#777777", "#0000ff", "#ff0000", "#808000"])
def test_on_any_colour_the_words_can_be_read(page: Page, staged: Front, colour: str) -> None:
    staged.config.write_text(json.dumps(CONFIGURATION | {"colour": colour}))
    open_page(page, staged)
    assert contrast_of_band(page) >= LEAST_CONTRAST
    shown = page.locator("#band").evaluate("band => getComputedStyle(band).backgroundColor")
    assert channels(shown) == [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]


@pytest.mark.parametrize("wrong", ["red", "#12345", "url(x)", 5, None])
def test_without_a_colour_or_a_mark_there_are_default_ones(page: Page, staged: Front, wrong: object) -> None:
    staged.config.write_text(json.dumps(CONFIGURATION | {"colour": wrong, "mark": None}))
    open_page(page, staged)
    expect(page.locator("#mark")).to_have_text("■")
    assert contrast_of_band(page) >= LEAST_CONTRAST
    expect(page.locator("#banner")).to_have_text(CONFIGURATION["banner"])


def test_on_a_phone_button_and_result_are_on_the_first_screen(page: Page, site: Front) -> None:
    page.set_viewport_size(PHONE)
    open_page(page, site)
    button(page).click()
    expect(page.locator("#answer")).not_to_be_empty()
    for place in ("#test", "#answer"):
        box = page.locator(place).bounding_box()
        assert box
        assert box["y"] + box["height"] <= PHONE["height"], place


def test_before_the_first_test_nothing_is_empty(page: Page, site: Front) -> None:
    open_page(page, site)
    for place in ("#details dl", "#answer", "#message", "#retry", "#watched"):
        expect(page.locator(place)).to_be_hidden()


def test_the_page_is_light(page: Page, site: Front) -> None:
    sizes: dict[str, int] = {}
    page.on("response", lambda response: sizes.update({response.url: len(response.body())}))
    open_page(page, site)
    page.wait_for_load_state("networkidle")
    assert len(sizes) > len(list(SITE.glob("*.js")))
    assert sum(sizes.values()) <= LIGHT_PAGE, sizes
