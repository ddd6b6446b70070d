"""One change, the flag that it changed and who changed it, what happened around it, and whether all of it is there."""

import re
from datetime import UTC, datetime

from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.browser.trail import CONFIGCAT, FLAG, NAME, VANISHED, WHY, id_of
from tests.browser.views import views


def address(name: str) -> str:
    return views(datetime.now(UTC))[name]


def test_a_change_tells_all_that_is_known_of_it(visit: Open) -> None:
    page = visit(f"/event/{id_of('known-rules')}")
    main = page.locator("main")
    for told in ("Jonas Brügger", NAME, "Production", "user country in DE, AT", "only where ferries go", "revision 2"):
        expect(main).to_contain_text(told)
    expect(main.locator("time[datetime]").first).to_have_attribute("title", re.compile(r"Europe/Berlin.*Z$"))
    expect(main.get_by_role("link", name="Open in LaunchDarkly")).to_have_attribute(
        "href", f"https://app.launchdarkly.com/web/production/features/{FLAG}"
    )
    page.get_by_text("Revision 1").click()
    expect(main).to_contain_text('"_id": "known-rules"')
    page.goto(f"/event/{id_of('known-gone')}")
    expect(main).to_contain_text("vanished at the vendor")
    expect(main).to_contain_text(VANISHED)
    page.goto(f"/event/{id_of('known-on')}")
    expect(main).to_contain_text("half of them")  # of the same save
    page.goto(f"/event/{id_of('known-late')}")
    expect(main).to_contain_text("provisional")


def test_a_change_is_copied_as_a_link_markdown_and_json(visit: Open, site: str) -> None:
    page = visit(f"/event/{id_of('known-on')}", permissions=["clipboard-read", "clipboard-write"])
    for name, told in (
        ("Link", f"{site}/event/{id_of('known-on')}"),
        ("Markdown", "TRAVEL-9001"),
        ("JSON", '"object_key": "ferry-booking"'),
    ):
        page.get_by_role("button", name=name, exact=True).click()
        expect(page.locator("[data-copied]")).to_have_text(f"{name}: Copied")
        assert told in page.evaluate("navigator.clipboard.readText()")


def test_around_a_moment_the_cause_is_the_first_suspect(visit: Open) -> None:
    page = visit(address("around"))
    first = page.locator(".suspect").first
    expect(first).to_contain_text(NAME)
    expect(first).to_contain_text("Production")
    first.locator("summary").click()
    expect(first.locator("details tr").first).to_be_visible()
    page.get_by_label("before", exact=True).fill("30m")
    page.get_by_role("button", name="Show suspects").click()
    expect(page).to_have_url(re.compile("before=30m"))
    expect(page.locator(".suspect").first).to_contain_text(NAME)
    page.locator(".suspect .sentence").first.click()
    expect(page).to_have_url(re.compile("/event/"))


def test_the_life_of_a_flag_is_told_for_each_environment(visit: Open) -> None:
    page = visit(address("object"))
    main = page.locator("main")
    expect(page.locator("h1")).to_have_text(NAME)
    for told in ("Production", "Staging", "Test"):
        expect(main).to_contain_text(told)
    expect(main.get_by_role("region", name="Life").locator("svg").last).to_be_visible()
    expect(main.locator(f'[data-id="{id_of("known-on")}"]')).to_be_visible()


def test_a_person_is_told_with_what_they_did_at_every_vendor(visit: Open) -> None:
    page = visit(address("person"))
    expect(page.locator("h1")).to_contain_text("Ana Silva")
    expect(page.locator("main")).to_contain_text(NAME)


def test_coverage_names_the_gap_and_why(visit: Open) -> None:
    page = visit("/")
    page.locator("#sign").click()
    expect(page).to_have_url(re.compile("/coverage"))
    main = page.locator("main")
    expect(main.locator("h1")).to_be_visible()
    expect(main).to_contain_text(WHY)
    expect(main.locator(".source", has_text=CONFIGCAT).locator("svg.bar").first).to_be_visible()
