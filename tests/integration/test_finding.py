"""Whatever happened to events, and however few were gathered: an answer is what reading all of them would give."""

import random
import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fnmatch import translate
from typing import Any

import pytest
from sqlalchemy import delete, select, text, update

from flagtrail import gather, walk
from flagtrail.counts import count_by_stream
from flagtrail.database import writing
from flagtrail.event import Event, Ref
from flagtrail.gather import Gathering, rebuild
from flagtrail.holdings import mark_vanished
from flagtrail.query import Query, cursor_of, events, histogram
from flagtrail.rows import Reading
from flagtrail.schema import EVENT, FACET, GATHERED, TALLY, TOTAL, WAITING
from flagtrail.store import Store

START = datetime(2026, 3, 1, tzinfo=UTC)
LOG, EFFECTS = "audit_log", "flag_events[web/production]"
CHOICES: dict[str, list[Any]] = {
    "action": ["turned_on", "turned_off", "beamedUp"],
    "project": ["web", "Web", "app", None],
    "environment": ["Production", "test", None],
    "actor_name": ["Ada Lovelace", "grace", None],
    "actor_email": ["ada@example.com", "Grace@example.com", None],
    "object_key": ["checkout-v2", "checkout_v3", "search", "x" * 900, None],
    "object_name": ["Checkout", "Suche: Übersicht", None],
    "summary": ["turned on the flag Checkout", "rate limits 2e5", None],
    "comment": ["Before the Black-Friday rush (INC-2231)", "naïve/rollback", None],
    "location": ["Shop / Main", None],
}
QUESTIONS: dict[str, list[Any]] = {
    "vendor": ["configcat", "LaunchDarkly", "nobody"],
    "source": ["a", "B"],
    "project": ["WEB", "app"],
    "environment": ["production", "test"],
    "actor": ["ada", "example", "GRACE@", "nobody"],
    "action": ["turned_off", "beamedup"],
    "object": ["checkout*", "*v2", "SEARCH", "*", "checkout", "xx*"],
    "text": ["check", "friday BLACK", "v2", "inc 22", "2e5", "ada", "rollb", "nothing", "naïve", "main/shop"],
}


class Mess:
    """Random writes to a store, through the store and behind its back."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store, self.made = store, random.Random(seed)
        self.number = 0

    def event(self, vendor_id: str, **values: Any) -> Event:
        told = {name: self.made.choice(choices) for name, choices in CHOICES.items()} | values
        at = START + timedelta(minutes=self.made.randrange(600), milliseconds=self.made.randrange(2))
        return Event(vendor_id=vendor_id, occurred_at=at, vendor_action="x", **told)

    def write(self) -> None:
        """Add some events, or show some of them again with other content; some name an entry that comes later."""
        source = self.made.choice("ab")
        ids = [str(self.made.randrange(60)) for _ in range(self.made.randrange(1, 7))]
        stream = self.made.choice([LOG, EFFECTS])
        effects = {"related_event": Ref(LOG, str(self.made.randrange(60)))} if stream == EFFECTS else {}
        vendor = "launchdarkly" if source == "a" else "configcat"
        self.number += 1
        page = [(self.event(id, **effects), {"id": id, "n": self.number}) for id in ids]
        self.store.add(source, vendor, [Reading(stream, page, thorough=self.made.random() < 0.2)])

    def behind(self) -> None:
        """Change or delete events with plain SQL, or mark one as vanished."""
        chance = self.made.random()
        one = EVENT.c.vendor_id == str(self.made.randrange(60))
        if chance < 0.2:
            mark_vanished(self.store, "a", LOG, {str(self.made.randrange(60)): "hidden"})
            return
        changed = self.event("0")
        values = {"occurred_at": changed.occurred_at, "action": changed.action, "comment": changed.comment}
        with writing(self.store.engine) as connection:
            connection.execute(delete(EVENT).where(one) if chance < 0.6 else update(EVENT).where(one).values(values))


def everything(store: Store) -> list[dict[str, Any]]:
    """Return all events, newest first, each with whether it is linked."""
    with store.engine.connect() as connection:
        rows = [dict(row) for row in connection.execute(select(EVENT)).mappings()]
    ids = {row["id"] for row in rows}
    for row in rows:
        row["is_linked"] = row["related_event"] in ids
    return sorted(rows, key=lambda row: (row["occurred_at"], row["number"]), reverse=True)


def fits(row: dict[str, Any], query: Query) -> bool:
    """Return whether an event is meant, as the documentation says it."""
    exact = all(
        (row[name] or "").lower() == wanted.lower()
        for name in ("vendor", "source", "project", "environment", "action")
        if (wanted := getattr(query, name))
    )
    who = [row[name] or "" for name in ("actor_name", "actor_email", "actor_id")]
    what = [row[name] for name in ("object_key", "object_name") if row[name]]
    texts = [row[n] or "" for n in ("summary", "comment", "object_key", "object_name", "location", "actor_name")]
    said = re.split(r"[\W_]+", " ".join(texts).lower())
    pattern = re.compile(translate(query.object or "*"), re.IGNORECASE | re.DOTALL)
    asked = [word for word in re.split(r"[\W_]+", (query.text or "").lower()) if word]
    return (
        exact
        and (query.linked or not row["is_linked"])
        and (not query.actor or any(query.actor.lower() in one.lower() for one in who))
        and (not query.object or any(pattern.fullmatch(one) for one in what))
        and all(any(word.startswith(one) for word in said) for one in asked)
        and (query.since is None or row["occurred_at"] >= query.since)
        and (query.until is None or row["occurred_at"] < query.until)
    )


def question(made: random.Random) -> Query:
    names = made.sample(sorted(QUESTIONS), made.choice([0, 1, 1, 1, 2, 2, 3]))
    values = {name: made.choice(QUESTIONS[name]) for name in names}
    since, until = (START + timedelta(minutes=made.randrange(0, 600, 30), seconds=made.choice([0, 7])) for _ in "ab")
    if made.random() < 0.4:
        values["since"] = min(since, until)
    if made.random() < 0.4:
        values["until"] = max(since, until) + timedelta(seconds=1)
    return Query(**values, linked=made.random() < 0.3, limit=made.choice([0, 0, 3, 50]))


def check(store: Store, made: random.Random, questions: int) -> None:
    rows = everything(store)
    for _ in range(questions):
        query = question(made)
        wanted = [row["number"] for row in rows if fits(row, query)]
        found = list(events(store, query))
        assert [row["number"] for row in found] == wanted[: query.limit or None], query
        if found:
            later = replace(query, after=cursor_of(made.choice(found)))
            last = next(row for row in found if cursor_of(row) == later.after)["number"]
            rest = wanted[wanted.index(last) + 1 :]
            assert [row["number"] for row in events(store, later)] == rest[: query.limit or None], later
        by = made.choice(["vendor", "source", "environment", None])
        bucket = timedelta(hours=made.choice([1, 3]), minutes=made.choice([0, 0, 20]))
        counted = Counter(
            (
                row["occurred_at"] - (row["occurred_at"] - datetime(1970, 1, 1, tzinfo=UTC)) % bucket,
                row[by] if by else None,
            )
            for row in rows
            if fits(row, query)
        )
        assert histogram(store, query, by, bucket) == counted, (query, by, bucket)
    assert count_by_stream(store) == Counter((row["source"], row["stream"]) for row in rows)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everything that happens with many events happen with a few."""
    monkeypatch.setattr(gather, "AT_ONCE", 9)
    monkeypatch.setattr(walk, "STEPS", 2)
    monkeypatch.setattr(walk, "SPANS", (5, 20))
    monkeypatch.setattr(walk, "FEW", 2)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("seed", range(3))
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
