"""The timeline as people use it: narrowing down, searching, zooming, opening, and what happens live."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from playwright.sync_api import Locator, Page, expect

from flagtrail.rows import Reading
from flagtrail.store import Store
from tests.browser.conftest import Open
from tests.browser.trail import FLAG, LAUNCHDARKLY, LOG, NAME, id_of, known

KNOWN = f"/?q=object:{FLAG}&since=2d"
COUNT = 7  # changes of the known flag


def rows(page: Page) -> Locator:
    return page.locator(".list .change")


def row(page: Page, vendor_id: str) -> Locator:
    return page.locator(f'.list .change[data-id="{id_of(vendor_id)}"]')


def production(page: Page) -> Locator:
    """Return the facet that leads to changes in production."""
    environments = page.locator(".facet", has=page.get_by_role("heading", name="Environment"))
    return environments.get_by_role("link", name=re.compile("^production", re.IGNORECASE))


def mark(page: Page) -> Callable[[], bool]:
    """Return what tells whether a page is the same still: not loaded again since."""
    page.evaluate("window.same = true")
    return lambda: page.evaluate("window.same === true")


def test_a_facet_narrows_down_and_its_chip_widens_again(visit: Open) -> None:
    page = visit("/?since=40d")
    same = mark(page)
    total = page.locator(".chart-told strong").text_content()
    production(page).click()
    expect(page).to_have_url(re.compile(r"q=environment:production", re.IGNORECASE))
    expect(page.locator("#q")).to_have_value(re.compile("^environment:production$", re.IGNORECASE))
    expect(page.locator(".chart-told strong")).not_to_have_text(str(total))
    expect(production(page)).to_have_attribute("aria-current", "true")
    chip = page.locator(".chip", has_text=re.compile("production", re.IGNORECASE))
    chip.click()
    expect(page.locator(".chart-told strong")).to_have_text(str(total))
    assert same()


def test_the_search_speaks_the_query_language_and_says_what_is_wrong(visit: Open) -> None:
    page = visit("/?since=2d")
    same = mark(page)
    page.locator("#q").fill(f"object:{FLAG} environment:production")
    page.keyboard.press("Enter")
    expect(rows(page)).to_have_count(4)
    expect(row(page, "known-on")).to_contain_text("Ferry day: TRAVEL-9001")
    expect(row(page, "known-rollout")).to_contain_text("large impact")
    page.locator("#q").fill("colour:red")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("colour")
    expect(page.locator("#q")).to_have_value("colour:red")
    page.go_back()
    expect(rows(page)).to_have_count(4)
    page.go_forward()
    expect(page.get_by_role("alert")).to_be_visible()
    assert same()


def test_completion_offers_fields_and_values(visit: Open) -> None:
    page = visit("/?since=2d")
    page.locator("#q").focus()
    page.keyboard.type("environ")
    option = page.get_by_role("option", name=re.compile("environment"))
    expect(option.first).to_be_visible()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#q")).to_have_attribute("aria-activedescendant", re.compile("option"))
    page.keyboard.press("Enter")
    expect(page.locator("#q")).to_have_value("environment:")
    page.keyboard.type("prod")
    page.get_by_role("option", name=re.compile("production")).first.click()
    expect(page.locator("#q")).to_have_value(re.compile(r"^environment:production ?$"))
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("q=environment:production"))


def dragged(page: Page, start: float, end: float) -> None:
    """Drag over the chart, from one share of its width to another."""
    box = page.locator("#plot").bounding_box()
    assert box is not None
    y = box["y"] + 20
    page.mouse.move(box["x"] + start * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + (start + end) / 2 * box["width"], y, steps=3)
    page.mouse.move(box["x"] + end * box["width"], y, steps=3)
    page.mouse.up()


def test_a_drag_over_the_chart_zooms_in_and_back_zooms_out(visit: Open) -> None:
    page = visit("/?since=40d")
    same = mark(page)
    dragged(page, 0.3, 0.6)
    expect(page).to_have_url(re.compile("since=20.*until=20"))
    first, last = re.findall(r"(20\d\d-\d\d-\d\dT[\d:]+Z)", page.url)
    zoomed = datetime.fromisoformat(last) - datetime.fromisoformat(first)
    assert timedelta(days=9) < zoomed < timedelta(days=16)
    page.go_back()
    expect(page).to_have_url(re.compile(r"/\?since=40d$"))
    expect(page.locator("#since")).to_have_value("40d")
    assert same()


def test_the_keyboard_zooms_in_too_and_looks_around(visit: Open) -> None:
    page = visit("/?since=40d")
    page.keyboard.press("c")
    expect(page.locator("#plot")).to_be_focused()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowLeft")
    expect(page.locator("#plot .selection")).to_be_visible()
    expect(page.locator("#told")).not_to_be_empty()
    page.keyboard.press("Escape")
    expect(page.locator("#plot .selection")).to_have_count(0)
    page.keyboard.press("Home")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("since=20.*until=20"))
    page.locator("#plot").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("a")
    expect(page).to_have_url(re.compile("/around.*at=20"))


def test_a_click_on_the_chart_leads_to_what_changed_around_it(visit: Open) -> None:
    page = visit(KNOWN)
    box = page.locator("#plot").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 0.93 * box["width"], box["y"] + 20)
    page.get_by_role("link", name="Around this moment").click()
    expect(page).to_have_url(re.compile("/around.*at=20"))
    expect(page.locator("main h2").first).to_be_visible()


def test_a_change_opens_beside_the_list_and_closes_again(visit: Open) -> None:
    page = visit(KNOWN)
    same = mark(page)
    expect(rows(page)).to_have_count(COUNT)
    row(page, "known-rollout").locator("[data-open]").click()
    pane = page.locator("#pane")
    expect(pane.locator("article")).to_contain_text("half of them")
    for told in ("5 %", "50 %", "95 %", "86.5"):
        expect(pane).to_contain_text(told)
    expect(row(page, "known-rollout").locator("[data-open]")).to_have_attribute("aria-current", "true")
    there = page.url
    assert f"event={id_of('known-rollout')}" in there
    page.keyboard.press("Escape")
    expect(pane).to_be_hidden()
    expect(row(page, "known-rollout").locator("[data-open]")).to_be_focused()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(pane).to_be_visible()
    expect(page).to_have_url(re.compile("event="))
    page.go_back()
    expect(pane).to_be_hidden()
    page.go_back()
    expect(pane.locator("article")).to_contain_text("half of them")
    assert same()
    pasted = visit(there.removeprefix(page.url.split("/?")[0]))
    expect(pasted.locator("#pane article")).to_contain_text("half of them")
    expect(rows(pasted)).to_have_count(COUNT)


def test_the_keys_lead_everywhere(visit: Open) -> None:
    page = visit(KNOWN)
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()
    page.keyboard.press("/")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.press("Escape")
    for _ in range(3):
        page.keyboard.press("j")
    page.keyboard.press("k")
    expect(rows(page).nth(1).locator("[data-open]")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#pane")).to_be_focused()
    page.keyboard.press("Escape")
    expect(rows(page).nth(1).locator("[data-open]")).to_be_focused()


def happened(store: Store, id: str) -> None:
    """Store a change of this moment."""
    now = datetime.now(UTC)
    told = {"vendor_id": id, "occurred_at": now, "object_key": id, "object_name": id, "change_set": None}
    event = known(now)[3].model_copy(update=told)
    store.add(LAUNCHDARKLY, "launchdarkly", [Reading(LOG, [(event, {"_id": id})])])


def test_what_happens_slides_in_unless_it_is_paused(visit: Open, store: Store) -> None:
    page = visit("/?since=1h")
    same = mark(page)
    expect(page.locator("[data-live-state]")).to_have_text("Live")
    happened(store, "live-one")
    expect(row(page, "live-one")).to_have_class(re.compile(r"\bnew\b"))
    expect(page.locator("#told")).to_have_text("1 new change")
    pause = page.locator("[data-live-pause]")
    pause.click()
    expect(page.locator("[data-live-state]")).to_have_text("Paused")
    happened(store, "live-two")
    expect(pause).to_have_text("Show 1 new")
    assert row(page, "live-two").count() == 0
    pause.click()
    expect(row(page, "live-two")).to_be_visible()
    expect(page.locator("[data-live-state]")).to_have_text("Live")
    assert same()


def test_on_a_phone_the_pane_lies_over_the_page(visit: Open) -> None:
    page = visit(KNOWN, 390, 844)
    row(page, "known-on").locator("[data-open]").click()
    expect(page.locator("#pane article")).to_contain_text("Ferry day")
    assert page.locator(".columns").evaluate("(one) => one.inert")
    page.locator("[data-close]").click()
    expect(page.locator("#pane")).to_be_hidden()
    assert not page.locator(".columns").evaluate("(one) => one.inert")
    expect(page.get_by_text(NAME).first).to_be_visible()


def test_what_was_made_at_once_is_walked_and_opened_by_keys(visit: Open, store: Store) -> None:
    for number in range(5):
        happened(store, f"burst-{number}")
    page = visit("/?since=1h&q=object:burst-*")
    burst = page.locator(".burst")
    expect(burst).to_contain_text("Ana Silva turned on 5 flags in Production")
    each = burst.locator(".change")
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(each.nth(1).get_by_role("link")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#pane .one")).to_have_attribute("data-id", str(each.nth(1).get_attribute("data-id")))
    expect(each.nth(1)).to_have_class(re.compile("chosen"))
    page.keyboard.press("Escape")
    expect(each.nth(1).get_by_role("link")).to_be_focused()
