"""Answers what a timeline asks for: a page of changes, how complete it is, and the newest ones to count."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from threading import Event as Flag
from typing import Any, NamedTuple

from sqlalchemy import select

from flagtrail import query as store_query
from flagtrail.completeness import Completeness
from flagtrail.database import guarded
from flagtrail.deadline import within
from flagtrail.errors import TooSlow
from flagtrail.follow import start
from flagtrail.naming import named
from flagtrail.query import Query, cursor_of, reading, shown
from flagtrail.schema import EVENT
from flagtrail.store import Store
from flagtrail.walk import Walk
from flagtrail.web.access import Trail
from flagtrail.web.asking import complete
from flagtrail.web.page.view import ALL, PRESETS, SIZE, Preset, View, asked, window_of
from flagtrail.window import Window

MOST = 1000  # changes that are counted one by one
QUICK = 0.15  # seconds for them
COUNTED = (
    "number", "occurred_at", "vendor", "project", "environment", "action", "actor_kind", "actor_id", "actor_name",
    "actor_email", "object_kind", "comment", "impact",
)  # fmt: skip
Row = Mapping[str, Any]


class Sample(NamedTuple):
    """The newest changes that are asked for; whether they are all that are."""

    rows: Sequence[Row]
    is_whole: bool


class Answer(NamedTuple):
    """What a timeline shows.

    `query` is what was asked, from `chosen` on where the reader said no beginning: then None means from the first
    change on. `window` is the time of the chart. `rows` are the changes of this page, and `older` is the cursor of the
    next one. `position` is where to follow the trail from; None when nothing was asked for that still happens.
    """

    query: Query
    window: Window
    chosen: Preset | None
    told: Completeness
    rows: Sequence[Row]
    older: str | None
    sample: Sample
    position: str | None


def answer(view: View, trail: Trail) -> Answer:
    """Return what is asked for; raises TooSlow."""
    query, chosen, store = asked(view, trail), None, trail.store
    with within(trail.settings.timeout.total_seconds()):
        if not view.since and not query.oldest_first:
            chosen = _preset(store, query, view.now)
            query = replace(query, since=(query.until or view.now) - chosen.length) if chosen else query
        told = complete(trail, query)
        ended = Flag()
        ended.set()
        position = start(store, ended) if view.ends_now else None
        found = list(store_query.events(store, replace(query, limit=SIZE + 1, after=view.after or None)))
    rows, older = found[:SIZE], cursor_of(found[SIZE - 1]) if len(found) > SIZE else None
    sample = Sample(rows, is_whole=True) if older is None and not view.after else _sample(store, query, rows, view)
    return Answer(query, _window(view, query, told, store), chosen, told, rows, older, sample, position)


def _preset(store: Store, query: Query, now: datetime) -> Preset | None:
    """Return the shortest time that holds the newest page of changes, or all when they are fewer; None: all time."""
    with reading(store) as connection:
        wanted = named(connection, replace(query, limit=SIZE))
        times = [row["occurred_at"] for row in Walk(connection, wanted, [EVENT.c.occurred_at, EVENT.c.number]).rows()]
    if not times:
        return None
    return next((each for each in PRESETS if (query.until or now) - each.length <= times[-1]), None)


def _sample(store: Store, query: Query, rows: Sequence[Row], view: View) -> Sample:
    """Return as many of the newest changes as can be had quickly; at least those that are shown first."""
    wanted = replace(query, limit=MOST + 1, oldest_first=False)
    columns = [column for column in shown() if column.name in COUNTED]
    found: list[Row] = []
    try:
        with within(QUICK), reading(store) as connection:
            found.extend(islice(Walk(connection, named(connection, wanted), columns).rows(), MOST + 1))
    except TooSlow:  # those that came until then are the newest, too
        first = [] if view.after or query.oldest_first else rows
        return Sample(max(found[:MOST], first, key=len), is_whole=False)
    return Sample(found[:MOST], len(found) <= MOST)


def _window(view: View, query: Query, told: Completeness, store: Store) -> Window:
    first = None
    if query.since is None or view.since == ALL:
        with guarded(store.shown), store.engine.connect() as connection:
            first = connection.execute(select(EVENT.c.occurred_at).order_by(EVENT.c.occurred_at).limit(1)).scalar()
        if told.asked and any(each.state.wanted_since for each in told.streams):
            first = min(first or told.asked.since, told.asked.since)
    return window_of(query, view.now, first)
