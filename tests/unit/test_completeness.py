"""How complete an answer is: for the time and the streams that were asked for, and nothing else."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flagtrail.cli.asking import trust
from flagtrail.completeness import NOT_WANTED, Completeness, completeness
from flagtrail.connector import Stream
from flagtrail.query import Query
from flagtrail.rows import Reading
from flagtrail.status import NOT_READ
from flagtrail.store import Store
from flagtrail.verdicts import Method, Outcome, Verdict, note_verdicts
from flagtrail.window import Window

START = datetime(2026, 3, 1, tzinfo=UTC)
NOW = START + timedelta(hours=20)
LOG = "audit_log"


def hour(count: float) -> datetime:
    return START + timedelta(hours=count)


def hours(since: float, until: float) -> Window:
    return Window(hour(since), hour(until))


def stream(store: Store, *covered: Window, source: str = "acme", vendor: str = "launchdarkly", name: str = LOG) -> None:
    """Register a stream that is wanted from hour 0 on and had settled at hour 19, and cover some windows of it."""
    store.note_source(source, vendor, None)
    store.register(source, vendor, Stream(name), wanted_since=hour(0), settled_at=hour(19))
    store.add(source, vendor, [Reading(name, [], window) for window in covered])


def of(store: Store, configured: Collection[str] = (), **asked: Any) -> Completeness:
    return completeness(store, Query(**asked), configured=configured, now=NOW)


def test_a_wholly_covered_past_is_complete_up_to_what_has_settled(store: Store) -> None:
    stream(store, hours(0, 19))
    told = of(store)
    assert told.is_complete
    assert told.covered_share == pytest.approx(0.95)
    assert (told.windows, told.settled_until) == ([hours(0, 19)], hour(19))
    assert trust(told).endswith(
        "in all 1 streams; before that nothing was asked for, and younger changes may still appear"
    )
    inside = of(store, since=hour(2), until=hour(6))
    assert inside.is_complete
    assert inside.covered_share == 1.0
    assert trust(inside).endswith("in all 1 streams")


def test_a_gap_counts_only_where_it_was_asked(store: Store) -> None:
    stream(store, hours(0, 4), hours(5, 19))
    stream(store, hours(0, 19), source="other", vendor="configcat")
    assert not of(store).is_complete
    told = of(store, since=hour(3), until=hour(7))
    [gap] = [gap for each in told.streams for gap in each.gaps]
    assert (gap.window, gap.reason) == (hours(4, 5), NOT_READ)
    assert told.covered_share == pytest.approx(1 - 1 / 8)
    assert told.windows == [hours(3, 4), hours(5, 7)]
    assert "1 gaps in 2 streams; 87.5 % of" in trust(told)
    assert of(store, since=hour(5)).is_complete
    assert of(store, until=hour(4)).is_complete
    for others in ({"source": "OTHER"}, {"vendor": "config*"}, {"without": {"source": "acme"}}):
        assert of(store, **others).is_complete
        assert len(of(store, **others).streams) == 1


def test_what_lies_before_the_configured_start_is_a_gap_and_no_fault(store: Store) -> None:
    stream(store, hours(0, 19))
    told = of(store, since=hour(-10))
    [gap] = told.streams[0].gaps
    assert (gap.window, gap.reason) == (hours(-10, 0), NOT_WANTED)
    assert not told.is_complete
    assert told.is_trusted
    assert "before that nothing was asked for" in trust(told)
    store.add("acme", "launchdarkly", [Reading(LOG, [], hours(-10, 0))])
    assert of(store, since=hour(-10)).is_complete
    before = of(store, since=hour(-20), until=hour(-15))
    assert not before.is_trusted
    assert before.covered_share == 0


def test_a_stream_of_another_environment_is_not_concerned_as_far_as_its_name_tells(store: Store) -> None:
    stream(store, hours(0, 19))
    stream(store, name="flag_events[web/test]")
    stream(store, hours(0, 19), name="flag_events[web/production]")
    stream(store, hours(0, 19), source="other", name="audit_log[1]")
    assert len(of(store).streams) == 4
    assert not of(store).is_complete
    assert len(of(store, environment="PROD*").streams) == 3
    assert of(store, environment="PROD*").is_complete
    assert not of(store, environment=["production", "test"]).is_complete
    assert len(of(store, project="app").streams) == 2
    assert not of(store, without={"environment": "test"}).is_complete, "an event of that stream may be of none"
    assert of(store, stream="audit_log*").is_complete
    assert of(store, without={"stream": "flag_events[web/test]"}).is_complete


def test_a_source_that_fails_leaves_open_what_is_younger_than_its_coverage(store: Store) -> None:
    stream(store, hours(0, 19))
    store.note_source("acme", "launchdarkly", "401")
    assert of(store, until=hour(19)).is_complete
    assert not of(store).is_trusted
    assert "not everything is here (acme)" in trust(of(store))
    store.note_source("acme", "launchdarkly", None)
    assert of(store).is_complete
    assert of(store, configured=("acme", "new")).behind == ["new"]
    assert not of(store, configured=("acme", "new"), until=hour(5)).is_trusted
    assert of(store, configured=("acme", "new"), source="acme").is_complete


def test_a_source_that_was_never_read_is_missing_wherever_it_may_be_meant(store: Store) -> None:
    stream(store, hours(0, 19))
    for asked in ({}, {"vendor": "launch*"}, {"without": {"vendor": "configcat"}}):
        assert of(store, configured=("acme", "new"), **asked).behind == ["new"]
        assert of(store, configured={"acme": "launchdarkly", "new": "launchdarkly"}, **asked).behind == ["new"]
    apart: dict[str, dict[str, Any]] = {
        "configcat": {"vendor": "launch*"}, "launchdarkly": {"without": {"vendor": "launchdarkly"}}}  # fmt: skip
    for vendor, asked in apart.items():
        assert of(store, configured={"acme": "launchdarkly", "new": vendor}, **asked).behind == []
    assert of(store, configured=("acme", "new"), vendor="launchdarkly", source="acme").is_complete
    assert of(store, configured=("acme", "new"), without={"source": "new"}).is_complete


def test_verdicts_tell_how_much_is_verified_and_what_differs(store: Store) -> None:
    stream(store, hours(0, 19))
    verdicts = [
        Verdict(hours(0, 5), Outcome.VERIFIED, NOW, Method.COUNTS),
        Verdict(hours(8, 9), Outcome.DIFFERS, NOW, Method.COUNTS),
    ]
    note_verdicts(store, "acme", LOG, verdicts)
    assert of(store, until=hour(8)).verified_share == pytest.approx(5 / 8)
    assert of(store, until=hour(8)).is_complete
    assert (of(store).differing, of(store).is_complete) == (1, False)


def test_without_streams_or_without_time_nothing_is_complete(store: Store) -> None:
    assert not of(store).is_complete
    assert of(store).as_json()["streams"] == []
    stream(store, hours(0, 19))
    assert "has not begun" in trust(of(store, since=hour(30)))
    told = of(store, since=hour(1), until=hour(2)).as_json()
    assert (told["complete"], told["complete_since"], told["complete_until"]) == (True, hour(1), hour(2))
    assert told["streams"][0]["coverage"] == [{"since": hour(1), "until": hour(2)}]


def test_where_nobody_has_looked_for_long_nothing_is_complete_up_to_now(store: Store) -> None:
    stream(store, hours(0, 19))
    later = completeness(store, Query(), now=NOW + timedelta(hours=2))
    assert not later.is_complete
    assert "nothing is read since" in trust(later)
    assert "0 gaps" not in trust(later)
    assert completeness(store, Query(until=hour(19)), now=NOW + timedelta(days=90)).is_complete
