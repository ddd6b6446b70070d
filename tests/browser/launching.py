"""Finds and starts the machine's own Chromium."""

import os
import shutil

from playwright.sync_api import Browser, Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
VARIABLE = "FLAGTRAIL_CHROMIUM"
HOW = (
    "the page is tested in a real browser, and there is none: install Chromium (Debian, Ubuntu: apt-get install "
    f"chromium), or let {VARIABLE} name one"
)


def found() -> str | None:
    """Return where Chromium is, None when there is none."""
    return os.environ.get(VARIABLE) or next(filter(None, map(shutil.which, NAMES)), None)


def launched(playwright: Playwright, path: str) -> Browser:
    """Start it: root may not have its sandbox, and some machines have little shared memory."""
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    return playwright.chromium.launch(executable_path=path, args=[*sandbox, "--disable-dev-shm-usage", "--disable-gpu"])
