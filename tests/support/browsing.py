"""The page as tests of several kinds use it."""

from playwright.sync_api import Locator, Page, expect

from tests.support.front_server import Front

LOOK = "document.dispatchEvent(new Event('visibilitychange'))"
HIDE = "value => Object.defineProperty(document, 'hidden', { value, configurable: true })"


def button(page: Page) -> Locator:
    return page.get_by_role("button", name="Tester l'API", exact=True)


def live(page: Page) -> Locator:
    return page.get_by_role("switch", name="En continu")


def message(page: Page) -> Locator:
    return page.locator("#message")


def open_page(page: Page, front: Front) -> None:
    """Open it, and wait until it has said what is configured, and what runs."""
    page.goto(front.url)
    expect(page.locator("#version")).not_to_be_empty()
    expect(page.locator("#running")).not_to_be_empty()


def chain(page: Page) -> list[str]:
    """Return how each hop of a request's way is marked, from the browser to the API."""
    return [item.get_attribute("data-state") or "" for item in page.locator("#chain li").all()]
