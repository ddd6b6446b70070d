"""Reads the life of an object: a bounded number of its changes, and of a flag what they tell of each environment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from flagtrail.facts import Fact, Life
from flagtrail.lanes import ON, RULE, VALUE, Lanes, Served
from flagtrail.places import ANYWHERE, Place
from flagtrail.query import Query, cursor_of, events, reading
from flagtrail.schema import EVENT
from flagtrail.state import Where, from_outside, shared, where_of
from flagtrail.store import Store
from flagtrail.touches import Touch, blind, touches_of
from flagtrail.unread import Logs, logs_of
from flagtrail.walk import Walk
from flagtrail.web.page.related import is_same
from flagtrail.web.page.whose import changes
from flagtrail.window import EPOCH, MILLISECOND, Window, subtract

Row = Mapping[str, Any]
MOST = 300  # changes of one object that are looked at
MOST_OUTSIDE = 50  # changes of each kind that may have changed it and are not about it
MOST_LANES = 12  # environments that are seen without a click
MOST_TOLD = 150  # changes up to which every place of a flag is worked out, and not only what it serves
MOST_OTHERS = 20_000  # changes of a key, in whatever project, among which those are looked for that tell no project
OFF = ("offVariation",)


class Lane(NamedTuple):
    """One environment over time: what it served, and its changes; None is for what belongs to no single environment."""

    environment: str | None
    name: str
    served: Sequence[Served]
    rows: Sequence[Row]


class State(NamedTuple):
    """What is known of one environment at a moment."""

    environment: str
    name: str
    facts: Sequence[tuple[str, Fact]]


@dataclass(frozen=True, slots=True)
class Lived:
    """An object in one place over a window of time: its changes (oldest first), lanes, and what it was at a moment.

    `holes` are the times that were not read, `in_part` whether only a part of its log is read; `read_until` is
    None when none of it was.
    """

    where: Where
    rows: Sequence[Row]
    window: Window
    lanes: Sequence[Lane]
    holes: Sequence[Window]
    at: datetime
    in_part: bool
    read_until: datetime | None
    exists: Fact | None
    states: Sequence[State]
    others: Sequence[Fact]


class Listed(NamedTuple):
    """Some changes of an object, and the cursor after which there are more; empty when there are none.

    Beyond `looked`, those that tell no project were not looked for; None: all of them were.
    """

    rows: Sequence[Row]
    rest: str
    looked: datetime | None = None


class Read(NamedTuple):
    """The changes of an object that were looked at, oldest first; whether there are older and newer ones.

    Before `since` and after `until`, those that tell no project were not looked for.
    """

    rows: Sequence[Row]
    older: bool
    newer: bool = False
    since: datetime | None = None
    until: datetime | None = None


def read(store: Store, asked: Mapping[str, Any], at: datetime | None = None) -> Read:
    """Return the newest changes of an object; those around a moment where the newest do not reach back so far."""
    newest = changes_of(store, asked, MOST)
    if at is None or not newest.rest or newest.rows[-1]["occurred_at"] <= at:
        return Read(newest.rows[::-1], bool(newest.rest), since=newest.looked)
    before = changes_of(store, asked, MOST // 2, until=at + MILLISECOND)
    after = changes_of(store, asked, MOST // 2, since=at + MILLISECOND, oldest_first=True)
    rows = [*before.rows[::-1], *after.rows]
    return Read(rows, bool(before.rest), bool(after.rest), before.looked, after.looked)


def changes_of(store: Store, asked: Mapping[str, Any], most: int, **more: Any) -> Listed:
    """Return the first changes of an object; `more` are conditions as `Query` has them.

    Those that tell no project are among them, as they may be of any: no index finds them, so that of a key with very
    many changes only the first of all are looked at for them.
    """
    named = {"object_key": asked["object"], "object_name": None, "object_kind": asked.get("object_kind")}
    project = asked.get("project")
    anywhere = Query(**{name: value for name, value in asked.items() if name != "project"}, **more, limit=most + 1)

    def fits(row: Row) -> bool:
        return is_same(row, named) and (project is None or row["project"] in (None, project))

    rows = list(events(store, anywhere))
    if all(map(fits, rows)):  # few share their key with one of another project
        return Listed(rows[:most], cursor_of(rows[most - 1]) if len(rows) > most else "")
    if project is None:
        return Listed(*changes(store, anywhere, fits, most))
    are_any, edge = _untold(store, anywhere)
    near: dict[str, Any] = {} if edge is None else {"until" if anywhere.oldest_first else "since": edge}
    only: list[dict[str, Any]] = [{"project": project}, *([{"without": {"project": "*"}, **near}] if are_any else [])]
    parts = [changes(store, replace(anywhere, **each), fits, most) for each in only]
    rows = sorted((row for part, _ in parts for row in part), key=_place, reverse=not anywhere.oldest_first)
    if len(rows) <= most and not any(rest for _, rest in parts):
        return Listed(rows, "", edge)
    last = rows[most - 1]["occurred_at"]
    is_beyond = edge is not None and (last >= edge if anywhere.oldest_first else last < edge)
    return Listed(rows[:most], cursor_of(rows[most - 1]), edge if is_beyond else None)


def _untold(store: Store, query: Query) -> tuple[bool, datetime | None]:
    """Return whether any of the first changes of a key tells no project, and where those end; None: they are all."""
    columns = [EVENT.c.occurred_at, EVENT.c.number, EVENT.c.project]
    with reading(store) as connection:
        found = list(Walk(connection, replace(query, limit=MOST_OTHERS + 1), columns).rows())
    are_any = any(row["project"] is None for row in found)
    return are_any, found[-1]["occurred_at"] if len(found) > MOST_OTHERS else None


def _place(row: Row) -> tuple[datetime, int]:
    return row["occurred_at"], row["number"]


def lives(store: Store, found: Read, at: datetime | None, now: datetime) -> list[Lived]:
    """Return the life of an object in each place where one of its key is; `at` is the moment of its state.

    Without a moment it is the last one up to which its log was read: what came after cannot be known yet.
    """
    logs = logs_of(store)
    wheres = {where_of(row) for row in found.rows}
    whole = {where for where in wheres if where[0] is not None} or wheres
    return [_life(store, logs, found, where, (at, now)) for where in sorted(whole, key=str)]


def _life(store: Store, logs: Logs, found: Read, where: Where, moments: tuple[datetime | None, datetime]) -> Lived:
    at, now = moments
    mine = [row for row in found.rows if where_of(row) == where]
    vague = [row for row in found.rows if where_of(row) != where and row["project"] is None]
    read = [logs(mine[0]["source"], log) for log in sorted({row["stream"] for row in mine})]
    covered = _inside(shared([log.covered for log in read]), mine, found)
    window, until = _window(mine, now), covered[-1].until if covered else None
    if at is None:
        at = max(min(now, covered[-1].until - MILLISECOND), mine[-1]["occurred_at"]) if covered else now
    lanes, exists, states, others = [], None, list[State](), list[Fact]()
    if mine[0]["object_kind"] == "flag":
        beside = from_outside(store, mine, where, MOST_OUTSIDE)
        if beside.since is not None:  # of what was before, nothing is known
            covered = [part for span in covered if (part := span.after(beside.since))]
        outside = [*(blind(row, Place(ANYWHERE, ())) for row in vague), *beside.touches]
        told = Lanes(mine, window, covered, outside)
        names = _names(mine)
        for key in told.environments():
            rows = [row for row in mine if _concerns(row, key)]
            lanes.append(Lane(key, names.get(key, key), told.served(key), rows))
        if len(lanes) > MOST_LANES:  # those that are seen at once are those that changed last
            lanes.sort(key=lambda lane: [row["occurred_at"] for row in lane.rows[-1:]], reverse=True)
        life = Life(mine, at, covered, outside)
        exists = life.exists()
        states = [State(lane.environment or "", lane.name, _facts(life, lane.environment)) for lane in lanes]
        headline = {(fact.environment, fact.name) for state in states for _, fact in state.facts}
        if len(mine) <= MOST_TOLD:
            others = [fact for fact in life.facts() if (fact.environment, fact.name) not in headline]
    drawn = {row["id"] for lane in lanes for row in lane.rows}
    rest = [row for row in mine if row["id"] not in drawn]
    if rest:
        lanes.append(Lane(None, f"The {(mine[0]['object_kind'] or 'object').replace('_', ' ')}", (), rest))
    in_part = any(log.in_part for log in read)
    return Lived(where, mine, window, lanes, subtract(window, covered), at, in_part, until, exists, states, others)


def _inside(covered: Sequence[Window], rows: Sequence[Row], found: Read) -> list[Window]:
    """Return the covered time in which no change is left out here."""
    since = max(rows[0]["occurred_at"] if found.older else EPOCH, found.since or EPOCH)
    ends = [*([rows[-1]["occurred_at"] + MILLISECOND] if found.newer else []), *([found.until] if found.until else [])]
    parts = [part for window in covered if (part := window.after(since))]
    return [part for window in parts if (part := window.before(min(ends)) if ends else window)]


def _window(rows: Sequence[Row], now: datetime) -> Window:
    """Return the time from a little before the first change until now."""
    first, last = rows[0]["occurred_at"], max(now, rows[-1]["occurred_at"] + MILLISECOND)
    return Window(first - max((last - first) / 40, timedelta(minutes=1)), last)


def _names(rows: Sequence[Row]) -> dict[str, str]:
    """Return the newest name of each environment, by key."""
    return {row["environment"]: row["environment_name"] for row in rows if row["environment_name"]}


def _concerns(row: Row, environment: str) -> bool:
    if row["environment"] == environment:
        return True
    touched: list[Touch] = touches_of(row) if row["changes"] else []
    return any(touch.place.environment == environment for touch in touched)


def _facts(life: Life, environment: str | None) -> list[tuple[str, Fact]]:
    """Return what is known of what an environment serves, each with what it is called."""
    places = (("Value", VALUE), ("Switch", ON), ("Default rule", RULE), ("While off", OFF))
    found = [(name, life.fact(Place(environment, segments))) for name, segments in places]
    if life.deleted or (life.made and not life.past):
        return []
    return [(name, fact) for name, fact in found if fact is not None]
