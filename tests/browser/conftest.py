"""A real browser, the page served from a trail, and everything that a page may do wrong collected in each test.

One Chromium serves a package of tests, a new context each of them: nothing is kept between tests. It is closed before
tests of other folders run in the same process, because Playwright leaves an event loop running in its thread.
"""

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NoReturn

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from flagtrail.store import Store
from tests.browser import trail
from tests.browser.launching import HOW, found, launched
from tests.browser.watching import Watch
from tests.serving import served

ZONE = "Europe/Berlin"
Open = Callable[..., Page]


def _missing() -> NoReturn:
    """Fail where everything must be checked, and skip with the reason on a machine of somebody's own."""
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(HOW, pytrace=False)
    pytest.skip(HOW)


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    """Playwright, running."""
    expect.set_options(timeout=15_000)
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="package")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    """The machine's own Chromium."""
    path = found()
    browser = launched(playwright, path) if path else _missing()
    yield browser
    browser.close()


@pytest.fixture(scope="package")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a database with a trail, which tests do not change but for what they add as new."""
    url = f"sqlite:///{tmp_path_factory.mktemp('page') / 'trail.db'}"
    trail.fill(url, datetime.now(UTC))
    return url


@pytest.fixture(scope="package")
def site(database: str) -> Iterator[str]:
    """The address of the page, such as http://127.0.0.1:41234."""
    with served(database, trail.CONFIGURED) as client:
        client.get("/").raise_for_status()  # what answers is loaded now, and is whole
        yield str(client.base_url).rstrip("/")


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    """The store behind the page."""
    with Store(database) as opened:
        yield opened


@pytest.fixture
def visit(chromium: Browser, site: str) -> Iterator[Open]:
    """A function that opens a view in a context of its own, whose misdeeds fail the test in the end.

    It takes an address, the size of the window, and options of a Playwright context.
    """
    watches = []

    def go(address: str = "/", width: int = 1440, height: int = 900, *, base: str = site, **options: Any) -> Page:
        chosen: dict[str, Any] = {"timezone_id": ZONE, "reduced_motion": "reduce"} | options
        context = chromium.new_context(base_url=base, viewport={"width": width, "height": height}, **chosen)
        watch = Watch(context, base)
        watches.append(watch)
        page = context.new_page()
        page.goto(address)
        return page

    yield go
    for watch in watches:
        watch.context.close()
    found = [line for watch in watches for line in watch.found]
    assert found == []
