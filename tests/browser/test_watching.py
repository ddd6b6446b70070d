"""The watch over every other test here sees what it is there for."""

from playwright.sync_api import Browser

from tests.browser.watching import Watch

MISDEEDS = """() => {
  const tried = (misdeed) => { try { misdeed(); } catch (error) { console.error(`refused: ${error.message}`); } };
  const link = Object.assign(document.createElement("a"), { href: "javascript:window.__ran = 1" });
  tried(() => document.body.append(link, Object.assign(new Image(), { src: "http://127.0.0.1:9/elsewhere.png" })));
  tried(() => link.click());
  tried(() => { document.body.innerHTML = "<b>markup</b>"; });
  setTimeout(() => { throw new Error("thrown"); });
  setTimeout(() => confirm("sure?"), 50);
  fetch("/api/v1/nothing");
}"""
SEEN = ("img-src", "script", "require-trusted-types-for", "refused:", "answer: 404", "error: thrown", "dialog: sure?")


def test_misdeeds_are_seen_and_stopped(chromium: Browser, site: str) -> None:
    context = chromium.new_context(base_url=site)
    watch = Watch(context, site)
    page = context.new_page()
    page.goto("/coverage")
    assert watch.found == []
    with page.expect_response("**/api/v1/nothing"), page.expect_event("dialog"):
        page.evaluate(MISDEEDS)
    assert page.evaluate("typeof window.__ran") == "undefined"
    told = "\n".join(watch.found)
    assert [one for one in SEEN if one not in told] == [], told
    context.close()
