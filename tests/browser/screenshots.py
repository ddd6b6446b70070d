"""Takes a picture of every view of the page: `make screenshots`. The trail is made up, and its present stands still.

Light and dark, wide and narrow, and what a printer gets. The names of the files are printed.
"""

import logging
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import time_machine
from playwright.sync_api import Browser, sync_playwright

from flagtrail import logs
from flagtrail.store import Store
from flagtrail.tokens import READ, create
from tests.browser import trail
from tests.browser.launching import HOW, found, launched
from tests.browser.views import views
from tests.serving import served

NOW = datetime(2026, 3, 4, 15, 20, tzinfo=UTC)
FOLDER = Path("screenshots")
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": WIDE},
    "dark": {"viewport": WIDE, "color_scheme": "dark"},
    "narrow": {"viewport": NARROW},
    "narrow-dark": {"viewport": NARROW, "color_scheme": "dark"},
}
PRINTED = ("timeline", "search", "change", "around", "object", "coverage")


def pictures(browser: Browser, base: str, addresses: dict[str, str]) -> Iterator[Path]:
    """Take a picture of each address in each look, and yield the files."""
    for look, options in LOOKS.items():
        context = browser.new_context(base_url=base, timezone_id="Europe/Berlin", reduced_motion="reduce", **options)
        page = context.new_page()
        page.clock.set_system_time(NOW)
        for name, address in addresses.items():
            page.goto(address)
            page.wait_for_timeout(300)  # what comes by scripts
            file = FOLDER / f"{name}-{look}.png"
            page.screenshot(path=file, full_page="narrow" in look and name != "pane")
            yield file
            if look == "light" and name in PRINTED:
                page.emulate_media(media="print")
                yield _printed(page, name)
                page.emulate_media(media="screen")
        context.close()


def _printed(page: Any, name: str) -> Path:
    file = FOLDER / f"{name}-print.pdf"
    page.pdf(path=file, format="A4", print_background=False)
    return file


def main(only: list[str]) -> None:
    """Take the pictures whose names begin so; of everything without any."""
    path = found()
    if path is None:
        sys.exit(HOW)
    logs.configure(logging.ERROR)
    FOLDER.mkdir(exist_ok=True)
    wanted = {name: where for name, where in views(NOW).items() if not only or name.startswith(tuple(only))}
    with tempfile.TemporaryDirectory() as folder, time_machine.travel(NOW, tick=False), sync_playwright() as playwright:
        browser = launched(playwright, path)
        url = f"sqlite:///{folder}/trail.db"
        trail.fill(url, NOW, entries=1500, days=365.0)
        with served(url, trail.CONFIGURED) as client:
            _take(browser, str(client.base_url), wanted)
        if not only or "signin" in only:
            with Store(url) as store:
                create(store, "screenshots", [READ])
            with served(url, trail.CONFIGURED, tokens=True) as client:
                _take(browser, str(client.base_url), {"signin": "/signin"})
        browser.close()


def _take(browser: Browser, base: str, wanted: dict[str, str]) -> None:
    for file in pictures(browser, base, wanted):
        print(file)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
