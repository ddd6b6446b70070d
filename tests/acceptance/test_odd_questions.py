"""What nobody would type on purpose, and people type: one line that says what to do, and never another answer."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from flagtrail.connector import Stream
from flagtrail.event import Event
from flagtrail.question import cursor_of
from flagtrail.rows import Reading
from flagtrail.store import Store
from tests.acceptance.conftest import Flagtrail

HUGE = "1" + "0" * 30
FAR = cursor_of({"occurred_at": datetime(2026, 3, 1, tzinfo=UTC), "number": 10**30})
SET_BACK = [datetime(2025, 10, 26, hour, 10, tzinfo=UTC) for hour in (0, 1)]  # 02:10 in Berlin, both


@pytest.fixture(autouse=True)
def trail(tmp_path: Path) -> None:
    """A database with a change in each of the two hours that clocks in Berlin show as one."""
    pairs = []
    for name, at in zip(("production", "test"), SET_BACK, strict=True):
        where = {"object_key": name, "environment": name}
        pairs.append(
            (Event(vendor_id=name, occurred_at=at, action="created", vendor_action="x", **where), {"id": name})
        )
    with Store(f"sqlite:///{tmp_path / 'flagtrail.db'}") as store:
        store.register("acme", "launchdarkly", Stream("audit_log"))
        store.add("acme", "launchdarkly", [Reading("audit_log", pairs)])
    (tmp_path / "flagtrail.toml").write_text("", encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("events", "environment:"), "a value of environment: is missing"),
        (("events", "-environment:"), "query, character 14: a value of environment: is missing"),
        (("count", "-enviroment:test"), "did you mean environment:?"),
        (("events", "--environment", ""), "--environment has an empty value"),
        (("events", "--environment", "test", "--environment", " "), "--environment has an empty value"),
        (("events", "--text", ""), "--text has an empty value"),
        (("export", "--actor", ""), "--actor has an empty value"),
        (("around", "2025-10-26", "--environment", ""), "--environment has an empty value"),
        (("state", "checkout", "--at", "2025-10-26", "--project", ""), "--project has an empty value"),
        (("events", "--limit", HUGE), "less than or equal to 1000000000"),
        (("count", "--by", "vendor", "--top", HUGE), "less than or equal to 1000000000"),
        (("sql", "SELECT 1", "--limit", HUGE), "less than or equal to 1000000000"),
        (("around", "2025-10-26", "--limit", HUGE), "less than or equal to 1000000000"),
        (("events", "--after", ""), "'' is no cursor of an event"),
        (("events", "--after", FAR), "is no cursor of an event"),
        (("events", f"impact:>{HUGE}"), "is not a measured effect"),
        (("around", "2025-10-26", "--before", f"{HUGE}d"), "is not a span"),
        (("around", "2025-10-26", "--before", "0s"), "or 0"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_line(flagtrail: Flagtrail, words: tuple[str, ...], said: str) -> None:
    done = flagtrail(*words)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_question_may_begin_with_what_is_not_wanted(flagtrail: Flagtrail) -> None:
    for words in (("-environment:test",), ("-source:nobody", "--environment", "production"), ('-"test"',)):
        shown = flagtrail("events", *words, "-o", "csv").stdout
        assert ("production" in shown, "test" in shown) == (True, False), words


def test_the_hour_that_comes_twice_is_told_by_its_offset(flagtrail: Flagtrail) -> None:
    for zone in (("--zone", "Europe/Berlin"), ()):
        shown = flagtrail("events", *zone, TZ="Europe/Berlin").stdout
        assert "02:10:00+0200" in shown
        assert "02:10:00+0100" in shown
        hours = flagtrail("count", "--by", "hour", *zone, TZ="Europe/Berlin").stdout
        assert hours.index("2025-10-26 02:00+0200") < hours.index("2025-10-26 02:00+0100")
    assert "+0" not in flagtrail("events").stdout
