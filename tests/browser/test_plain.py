"""Without JavaScript: everything can be read, narrowed down, searched, paged and opened, by links and forms alone."""

import re
from datetime import UTC, datetime

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.browser.test_timeline import COUNT, production, row, rows
from tests.browser.trail import FLAG, id_of
from tests.browser.views import address, views

IDLE = """() => [...document.querySelectorAll('button, [tabindex="0"], a:not([href])')]
  .filter((one) => one.checkVisibility() && !one.closest("form, pre")).map((one) => one.outerHTML)"""


@pytest.mark.parametrize("name", ["timeline", "pane", "change", "around", "object", "coverage"])
def test_nothing_stands_there_that_does_nothing(visit: Open, name: str) -> None:
    page = visit(views(datetime.now(UTC))[name], java_script_enabled=False)
    assert page.evaluate(IDLE) == []


def test_all_of_it_works_without_javascript(visit: Open) -> None:
    page = visit("/?since=40d", java_script_enabled=False)
    expect(rows(page)).to_have_count(50)
    first = rows(page).first.get_attribute("data-id")
    page.locator('a[rel="next"]').click()
    expect(rows(page)).to_have_count(50)
    assert rows(page).first.get_attribute("data-id") != first
    production(page).click()
    expect(page.locator("#q")).to_have_value(re.compile("^environment:production$", re.IGNORECASE))
    page.locator("#q").fill(f"object:{FLAG}")
    page.keyboard.press("Enter")
    expect(rows(page)).to_have_count(COUNT)
    row(page, "known-rollout").locator("[data-open]").click()
    expect(page.locator("#pane article")).to_contain_text("half of them")
    page.get_by_role("link", name="Open as a page").click()
    expect(page).to_have_url(re.compile(f"/event/{id_of('known-rollout')}"))
    page.get_by_text("As text, to be copied by hand").click()
    expect(page.get_by_label("JSON")).to_contain_text(FLAG)
    page.get_by_role("link", name="Around this moment").click()
    expect(page.locator(".suspect").first).to_be_visible()
    page.goto(address("/", since="40d"))
    page.locator(".lanes svg a").last.click(force=True)
    expect(page).to_have_url(re.compile("since=20.*until=20"))
    page.goto("/coverage")
    page.locator("details.stream summary").first.click()
    expect(page.locator("details.stream dl").first).to_be_visible()
