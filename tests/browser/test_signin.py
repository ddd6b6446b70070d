"""Signing in with a token, where tokens are asked for."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from flagtrail.store import Store
from flagtrail.tokens import READ, create, revoke
from tests.browser import trail
from tests.browser.conftest import Open
from tests.browser.test_timeline import happened, row
from tests.browser.test_views import wrong
from tests.serving import served


@pytest.fixture
def token(store: Store, request: pytest.FixtureRequest) -> str:
    return create(store, request.node.name, [READ])


@pytest.fixture
def guarded(database: str, token: str) -> Iterator[str]:
    """The address of a page that asks for a token."""
    with served(database, trail.CONFIGURED, tokens=True) as client:
        yield str(client.base_url).rstrip("/")


def test_who_has_a_token_comes_in_and_goes_out(visit: Open, guarded: str, token: str, store: Store) -> None:
    page = visit("/?since=1h", base=guarded)
    expect(page).to_have_url(re.compile("/signin"))
    assert wrong(page) == ""
    page.get_by_label("Token").fill("flagtrail_wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("token")
    page.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/\?since=1h"))
    expect(page.locator("[data-live-state]")).to_have_text("Live")
    happened(store, "live-signed-in")
    expect(row(page, "live-signed-in")).to_be_visible()
    assert token not in page.content()
    assert "flagtrail_" + token.split("_")[1] not in str(page.evaluate("document.cookie"))
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/signin"))
    page.goto("/coverage")
    expect(page).to_have_url(re.compile("/signin"))


def test_whose_token_ends_is_told_so_on_the_open_page(
    visit: Open, guarded: str, token: str, store: Store, request: pytest.FixtureRequest
) -> None:
    page = visit("/?since=1h", base=guarded)
    page.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")
    told = page.locator("[data-live-state]")
    expect(told).to_have_text("Live")
    revoke(store, request.node.name)
    expect(told).to_have_text("Signed out", timeout=30_000)
    expect(page.get_by_role("button", name="Pause")).to_be_hidden()
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile("/signin"))
