"""Every view: what it says to a screen reader, in light and dark, on a phone, on paper, and what it weighs."""

from datetime import UTC, datetime

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.conftest import Open
from tests.browser.views import views

WEIGHT = 150_000  # bytes, as they come over the wire: the page with all its parts
NAMES = tuple(views(datetime(2026, 1, 1, tzinfo=UTC)))
PHONE = {"width": 390, "height": 844}
WEIGHED = """() => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
  .map((one) => one.encodedBodySize)"""


def wrong(page: Page) -> str:
    """Return what axe finds that makes a page harder to use for somebody: where, and what is wrong."""
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return "\n".join(
        f"{each['id']} ({each['impact']}): {node['target']} {node['html'][:120]}"
        for each in found
        for node in each["nodes"][:3]
    )


def too_wide(page: Page) -> list[str]:
    """Return what makes a page scroll to the side, if it does."""
    return list(
        page.evaluate("""() => {
          const wide = document.documentElement.clientWidth;
          if (document.documentElement.scrollWidth <= wide) return [];
          const right = (one) => Math.round(one.getBoundingClientRect().right);
          return [...document.querySelectorAll("body *")].filter((one) => right(one) > wide).slice(0, 5)
            .map((one) => `${one.tagName}.${one.className} ${right(one)}`);
        }""")
    )


@pytest.mark.parametrize("name", NAMES)
def test_everybody_can_use_it(visit: Open, name: str) -> None:
    page = visit(views(datetime.now(UTC))[name], color_scheme="light")
    assert page.locator("h1").count() == 1
    assert page.locator("main").count() == 1
    sizes = page.evaluate(WEIGHED)
    assert len(sizes) >= 4
    assert sum(sizes) < WEIGHT
    assert wrong(page) == ""
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    assert wrong(page) == ""
    assert too_wide(page) == []
    page.emulate_media(media="print", color_scheme="light")
    assert page.locator(".top nav").is_hidden()
    assert page.get_by_text("Printed 20").is_visible()


def test_a_theme_is_chosen_and_kept(visit: Open) -> None:
    page = visit("/coverage", color_scheme="light")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(ground)
    page.locator("#theme").click()
    dark = page.evaluate(ground)
    assert light != dark
    page.goto("/")
    assert page.evaluate(ground) == dark
    page.locator("#theme").click()
    page.reload()
    assert page.evaluate(ground) == light


def test_the_first_page_is_light(visit: Open, site: str) -> None:
    page = visit("about:blank")
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    sizes: list[float] = []
    session.on("Network.loadingFinished", lambda told: sizes.append(told["encodedDataLength"]))
    page.context.add_cookies([{"name": "flagtrail_zone", "value": "Europe/Berlin", "url": site}])
    page.goto("/", wait_until="load")
    page.wait_for_timeout(300)
    assert len(sizes) >= 3
    assert sum(sizes) < WEIGHT


def test_times_are_told_in_the_zone_of_the_browser_or_of_the_link(visit: Open) -> None:
    page = visit("/", timezone_id="Asia/Tokyo")
    assert page.locator("html").get_attribute("data-zone") == "Asia/Tokyo"
    page.goto("/?zone=America/Lima")
    assert page.locator("html").get_attribute("data-zone") == "America/Lima"
