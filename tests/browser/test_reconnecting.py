"""When the server cannot be reached, the page says so, tries again ever more rarely, and at once when that may help."""

import re
from datetime import UTC, datetime, timedelta

from playwright.sync_api import Page, Route, expect

from flagtrail.store import Store
from tests.browser.conftest import Open
from tests.browser.test_timeline import happened, row

LIVE = "**/api/v1/live*"
HERE = re.compile(r"/\?since=1h$")
NEXT = re.compile(r"next try in \d+ s")


def standing(visit: Open) -> Page:
    """Return a page whose clock stands, for scripts, until it is moved."""
    page = visit("about:blank")
    page.clock.install(time=datetime.now(UTC))
    page.clock.pause_at(datetime.now(UTC) + timedelta(seconds=1))
    return page


class Gone:
    """A server that cannot be reached by who listens, and how often it was tried."""

    def __init__(self, page: Page) -> None:
        self.page, self.tries, self.told = page, 0, page.locator("[data-live-state]")
        page.route(LIVE, self._refuse)

    def _refuse(self, route: Route) -> None:
        self.tries += 1
        route.abort()

    def wait(self) -> int:
        """Return the seconds until the next try, as the reader is told."""
        expect(self.told).to_have_text(NEXT)
        return int(re.findall(r"\d+", self.told.text_content() or "")[0])

    def seen(self, tries: int) -> None:
        """Fail unless that many tries were made by now."""
        expect(self.told).to_have_text(NEXT)
        assert self.tries == tries


def test_a_server_that_is_gone_is_tried_ever_more_rarely_and_at_once_when_it_may_be_back(visit: Open) -> None:
    page = standing(visit)
    gone = Gone(page)
    page.goto("/?since=1h")
    waits = []
    for tries in range(1, 9):
        gone.seen(tries)
        waits.append(gone.wait())
        page.clock.run_for(1000 * (waits[-1] - 1))  # seconds are told rounded up
        gone.seen(tries)
        page.clock.run_for(1050)
        page.wait_for_timeout(50)
    for wait, meant in zip(waits, (2, 4, 8, 16, 32, 60, 60, 60), strict=True):
        assert 0.8 * meant - 1.05 <= wait <= 1.2 * meant + 1, waits
    page.evaluate("dispatchEvent(new Event('online'))")
    page.wait_for_timeout(50)
    gone.seen(10)
    assert gone.wait() <= 3
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_timeout(50)
    gone.seen(11)
    page.unroute(LIVE)
    page.get_by_role("button", name="Try now").click()
    expect(gone.told).to_have_text("Live")
    expect(page.locator("[data-live-pause]")).to_be_focused()
    expect(page.get_by_role("button", name="Try now")).to_be_hidden()


def test_a_list_that_cannot_be_fetched_is_asked_for_ever_more_rarely_too(visit: Open, store: Store) -> None:
    page = standing(visit)
    page.goto("/?since=1h")
    told = page.locator("[data-live-state]")
    expect(told).to_have_text("Live")
    asked: list[Route] = []
    page.route(HERE, lambda route: (asked.append(route), route.abort()))
    happened(store, "told-later")
    for _ in range(120):  # 30 seconds of the page, in which it could ask 15 times
        page.clock.run_for(250)
        page.wait_for_timeout(15)
    assert 2 <= len(asked) <= 5
    page.unroute(HERE)
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(told).to_have_text("Live")
    page.clock.run_for(5000)
    expect(row(page, "told-later")).to_be_visible()
