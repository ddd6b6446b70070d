"""Whatever happened to events, and however few were gathered: an answer is what reading all of them would give."""

import random
import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import delete, select, text, update

from flagtrail import gather
from flagtrail.connector import Stream
from flagtrail.counts import count_by_stream
from flagtrail.database import writing
from flagtrail.event import Event
from flagtrail.gather import Gathering, backlog, rebuild
from flagtrail.query import SPANS, Query, count, cursor_of, events, histogram
from flagtrail.rows import Reading
from flagtrail.schema import EVENT, FACET, GATHERED, TALLY, TOTAL, WAITING
from flagtrail.store import Store
from flagtrail.window import EPOCH
from tests.integration.mess import DIMENSIONS, Mess, question

BERLIN = ZoneInfo("Europe/Berlin")
MEASURED = {
    ">5%": lambda size: size > 5,
    "<=5.5": lambda size: size <= 5.5,
    "0": lambda size: size == 0,
    "5..80%": lambda size: 5 <= size <= 80,
    "large": lambda size: size > 80,
    ">80": lambda size: size > 80,
    "none": lambda size: size == 0,
}


def everything(store: Store) -> list[dict[str, Any]]:
    """Return all events, newest first, each with whether it is linked, and the impact that is shown on it."""
    with store.engine.connect() as connection:
        rows = [dict(row) for row in connection.execute(select(EVENT)).mappings()]
    rows.sort(key=lambda row: (row["occurred_at"], row["number"]), reverse=True)
    ids = {row["id"] for row in rows}
    effects: dict[str, Any] = {}
    for row in rows:
        row["is_linked"] = row["related_event"] in ids
        effects.setdefault(row["related_event"], row["impact"])
    for row in rows:
        row["shown_impact"] = row["impact"] if row["impact"] is not None else effects.get(row["id"])
    return rows


def size_of(impact: dict[str, Any] | None) -> float | None:
    """Return the number of an impact, as the documentation says it."""
    told = impact or {}
    if isinstance(told.get("percentage"), int | float):
        return float(told["percentage"])
    return {"none": 0.0, "small": 10.0, "medium": 50.0, "large": 90.0}.get(str(told.get("size", "")).lower())


def has_text(row: dict[str, Any], text: str) -> bool:
    texts = [row[n] or "" for n in ("summary", "comment", "object_key", "object_name", "location", "actor_name")]
    said = [word for word in re.split(r"[\W_]+", " ".join(texts).lower()) if word]
    parts = text.lower().split('"')
    beginnings = [word for part in parts[::2] for word in re.split(r"[\W_]+", part) if word]
    together = [f" {' '.join(part.split())} " for part in parts[1::2]]
    return all(any(word.startswith(one) for word in said) for one in beginnings) and all(
        one in f" {' '.join(said)} " for one in together
    )


def is_one(row: dict[str, Any], name: str, value: str) -> bool:
    """Return whether an event has a value, as the documentation says it."""
    if name == "text":
        return has_text(row, value)
    if name == "impact":
        size = size_of(row["shown_impact"])
        return size is not None and bool(MEASURED[value](size))
    if name == "has":
        return bool(row["comment"]) if value == "comment" else row["shown_impact"] is not None
    if name == "is":
        return bool(row["vanished_at"] if value == "vanished" else row[value])
    columns = {"actor": ("actor_name", "actor_email", "actor_id"), "object": ("object_key", "object_name")}
    values = [row[column].lower() for column in columns.get(name, (name,)) if row[column]]
    if name == "actor" and "*" not in value:
        return any(value.lower() in one for one in values)
    pattern = re.compile(".*".join(map(re.escape, value.lower().split("*"))), re.DOTALL)
    return any(pattern.fullmatch(one) for one in values)


def fits(row: dict[str, Any], query: Query) -> bool:
    """Return whether an event is meant, as the documentation says it."""
    return (
        all(any(is_one(row, name, value) for value in values) for name, values in query.wanted.items())
        and not any(is_one(row, name, value) for name, values in query.unwanted.items() for value in values)
        and (query.linked or not row["is_linked"])
        and (query.text is None or has_text(row, query.text))
        and (query.since is None or row["occurred_at"] >= query.since)
        and (query.until is None or row["occurred_at"] < query.until)
    )


def value_of(row: dict[str, Any], name: str, zone: ZoneInfo) -> Any:
    """Return what an event is counted under."""
    if name == "actor":
        return row["actor_email"] or row["actor_name"] or row["actor_id"] or row["actor_kind"]
    if name not in SPANS:
        return row[name]
    here = row["occurred_at"].astimezone(zone).replace(minute=0, second=0, microsecond=0)
    if name == "hour":
        return here
    return here.replace(hour=0) - timedelta(days=here.weekday() if name == "week" else 0)


def check(store: Store, made: random.Random, questions: int) -> None:
    rows = everything(store)
    for _ in range(questions):
        query = question(made)
        meant = [row for row in rows if fits(row, query)]
        wanted = [row["number"] for row in (meant[::-1] if query.oldest_first else meant)]
        found = list(events(store, query))
        assert [row["number"] for row in found] == wanted[: query.limit or None], query
        if found:
            later = replace(query, after=cursor_of(made.choice(found)))
            last = next(row for row in found if cursor_of(row) == later.after)["number"]
            rest = wanted[wanted.index(last) + 1 :]
            assert [row["number"] for row in events(store, later)] == rest[: query.limit or None], later
        by = made.choice([*DIMENSIONS, None])
        bucket = timedelta(hours=made.choice([1, 3]), minutes=made.choice([0, 0, 20]))
        spans = Counter(
            (
                row["occurred_at"] - (row["occurred_at"] - datetime(1970, 1, 1, tzinfo=UTC)) % bucket,
                value_of(row, by, BERLIN) if by else None,
            )
            for row in meant
        )
        assert histogram(store, query, by, bucket) == spans, (query, by, bucket)
        names = made.sample(DIMENSIONS, made.choice([0, 1, 2])) + made.sample(SPANS, made.choice([0, 1]))
        zone = made.choice([BERLIN, ZoneInfo("Asia/Kathmandu")])
        counts = Counter(tuple(value_of(row, name, zone) for name in names) for row in meant)
        told = count(store, query, names, zone=zone)
        assert {row[:-1]: row[-1] for row in told.rows} == counts, (query, names)
        assert (told.total, told.rest) == (len(meant), 0)
    assert count_by_stream(store) == Counter((row["source"], row["stream"]) for row in rows)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("seed", range(2))
def test_answers_are_what_reading_everything_would_give(store: Store, seed: int) -> None:
    mess = Mess(store, seed)
    for _ in range(12):
        for _ in range(4):
            mess.write()
        if mess.made.random() < 0.7:
            mess.behind()
        if mess.made.random() < 0.2:
            Gathering(store.engine).catch_up()
        check(store, mess.made, 6)


def kept(store: Store) -> list[list[tuple[Any, ...]]]:
    """Return what is counted, without what nothing is left of."""
    with store.engine.connect() as connection:
        tables = [connection.execute(select(table)).all() for table in (TALLY, TOTAL)]
    return [sorted(tuple(row) for row in rows if row.events) for rows in tables]


@pytest.mark.usefixtures("tiny")
def test_counts_that_were_kept_are_those_that_are_made_anew(store: Store) -> None:
    mess = Mess(store, 7)
    for _ in range(40):
        mess.write()
        mess.behind()
    Gathering(store.engine).catch_up()
    counted = kept(store)
    rebuild(store.engine)
    assert kept(store) == counted
    assert counted[0]


@pytest.mark.usefixtures("tiny")
def test_what_was_spoilt_is_made_anew(store: Store) -> None:
    mess = Mess(store, 3)
    for _ in range(20):
        mess.write()
    with writing(store.engine) as connection:
        for table in (TALLY, TOTAL, FACET, WAITING):
            connection.execute(delete(table))
        connection.execute(update(GATHERED).values(upto=10**6))
        if connection.dialect.name == "sqlite":
            connection.execute(text("INSERT INTO search (search) VALUES ('delete-all')"))
    assert count_by_stream(store) == {}
    assert store.recount()
    check(store, mess.made, 10)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    "spoilt", ["UPDATE tally SET linked = linked + 1", "DELETE FROM total", "UPDATE total SET events = 0"]
)
def test_a_count_that_is_wrong_is_found(store: Store, spoilt: str) -> None:
    mess = Mess(store, 5)
    for _ in range(20):
        mess.write()
        mess.behind()
    Gathering(store.engine).catch_up()
    counted = kept(store)
    assert not store.recount(), "what is right was called wrong"
    with writing(store.engine) as connection:
        connection.execute(text(spoilt))
    assert store.recount()
    assert kept(store) == counted


def test_a_cursor_that_is_none_is_refused(store: Store) -> None:
    for cursor in ("", "x", "!!!", "MTIz", "é"):
        if cursor:
            with pytest.raises(ValueError, match="is no cursor"):
                list(events(store, Query(after=cursor)))


@pytest.mark.usefixtures("tiny")
def test_gathering_ends_in_time_and_is_gone_on_with(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    mess = Mess(store, 9)
    for _ in range(30):
        mess.write()
    rebuild(store.engine)
    with writing(store.engine) as connection:  # as an upgrade does
        gather._forget(connection)
        waiting = backlog(connection)
    assert waiting > 3 * gather.AT_ONCE
    monkeypatch.setattr(gather, "LONGEST", 0.0)
    with Store(store.engine.url.render_as_string(hide_password=False)) as other:
        other.gather()
        with other.engine.connect() as connection:
            assert backlog(connection) == waiting, "who stores was kept"
        monkeypatch.setattr(gather, "LONGEST", 60.0)
        other.gather()
        with other.engine.connect() as connection:
            assert backlog(connection) < gather.AT_ONCE
    check(store, mess.made, 11)


def test_the_hour_that_comes_twice_is_two_hours(store: Store) -> None:
    store.register("acme", "launchdarkly", Stream("audit_log"))
    moments = [datetime(2025, 10, 26, hour, 10, tzinfo=UTC) for hour in (0, 1)]
    pairs = [
        (Event(vendor_id=str(at), occurred_at=at, action="created", vendor_action="x"), {"id": str(at)})
        for at in moments
    ]
    store.add("acme", "launchdarkly", [Reading("audit_log", pairs)])
    told = count(store, Query(), ["hour"], zone=ZoneInfo("Europe/Berlin")).rows
    assert [(row[0].isoformat(), row[1]) for row in told] == [
        ("2025-10-26T02:00:00+02:00", 1),
        ("2025-10-26T02:00:00+01:00", 1),
    ]
    last = Query(since=datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC))
    assert count(store, last, ["vendor"]).total == 0


@pytest.mark.parametrize("gathered", [False, True])
def test_what_a_vendor_dates_before_1970_is_counted_in_its_span(store: Store, gathered: bool) -> None:
    store.register("acme", "launchdarkly", Stream("audit_log"))
    moments = [EPOCH + timedelta(milliseconds=ms) for ms in (-90_000_000, -3_600_001, -3_600_000, -1500, -1, 0, 1)]
    pairs = [
        (Event(vendor_id=str(n), occurred_at=at, action="created", vendor_action="x", comment="odd"), {"id": n})
        for n, at in enumerate(moments)
    ]
    store.add("acme", "launchdarkly", [Reading("audit_log", pairs)])
    if gathered:
        Gathering(store.engine).catch_up()
    before = datetime(1969, 1, 1, tzinfo=UTC)
    asked = (
        Query(),
        Query(since=before),
        Query(text="odd"),
        Query(without={"text": "even"}),
        Query(without={"object_kind": "flag"}),
        Query(until=EPOCH + timedelta(days=1)),
    )
    for query in asked:
        for bucket in (timedelta(minutes=20), timedelta(hours=1), timedelta(days=1)):
            spans = Counter(at - (at - EPOCH) % bucket for at in moments)
            assert {at: n for (at, _), n in histogram(store, query, None, bucket).items()} == spans, (query, bucket)
        for unit in SPANS:
            told = {row[0]: row[1] for row in count(store, query, [unit], zone=BERLIN).rows}
            assert told == Counter(value_of({"occurred_at": at}, unit, BERLIN) for at in moments), (query, unit)
        assert count(store, query, ["vendor"]).total == len(moments)
