from tests.browser.conftest import Open
from playwright.sync_api import expect


def test_the_timeline_opens(visit: Open, site: str) -> None:
    page = visit("/")
    expect(page).to_have_title("Timeline · flagtrail")
    page.screenshot(path="/tmp/demo/browser-a.png")


def test_axe(visit: Open) -> None:
    from axe_playwright_python.sync_playwright import Axe
    page = visit("/")
    r = Axe().run(page)
    print(r.generate_snapshot())
