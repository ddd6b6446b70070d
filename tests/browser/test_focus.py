"""Where the keyboard is, can always be seen: also after parts of the page were put in anew, and others went away."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.browser.trail import FLAG

SEEN = """() => {
  const one = document.activeElement;
  return one !== document.body && getComputedStyle(one).outlineStyle === "solid" && one.checkVisibility();
}"""


@pytest.mark.parametrize(
    ("address", "what", "then"),
    [
        ("/?since=40d", ".facet a >> nth=3", ".chip"),
        (f"/?since=40d&q=object:{FLAG}", ".chip", ".search:not(:has(.chip))"),
        ("/?since=40d", "a.lane-name", ".chip"),
        ("/?since=40d", "a[rel=next]", ".pages :text('Newest')"),
        ("/?since=40d", ".list [data-open]", "#pane article"),
        ("/?since=40d", ".question button", ".list:not(.loading *)"),
    ],
)
def test_the_focus_is_seen_after_what_the_keyboard_did(visit: Open, address: str, what: str, then: str) -> None:
    page = visit(address)
    page.locator(what).first.focus()
    page.keyboard.press("Enter")
    expect(page.locator(then).first).to_be_visible()
    expect(page.locator("body.loading")).to_have_count(0)
    assert page.evaluate(SEEN)
