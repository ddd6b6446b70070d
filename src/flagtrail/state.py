"""Asks the store what a flag was at a moment, as far as the trail knows it, and says what it cannot know."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from flagtrail.facts import Fact, Life
from flagtrail.fields import like
from flagtrail.places import ANYWHERE, Place
from flagtrail.query import Query, QueryError, events, may_be
from flagtrail.store import Store
from flagtrail.touches import Row, Touch, blind, touches_of
from flagtrail.unread import Log, Logs, logs_of
from flagtrail.window import Window

HOLDERS = ("environment", "project", "product", "config")
SEPARATORS = " /→>➔"  # what vendors put between the parts of a place
LEAST = 3  # characters of a name in which `*` stands, for whoever asks from elsewhere
Where = tuple[str | None, str | None]


@dataclass(frozen=True, slots=True)
class FlagState:
    """What one flag was at a moment: whether it existed, what each place of it held, and what is not known.

    `place` is the config that it belongs to, where a vendor has several in a project. A place of the flag without a
    fact was not changed by any event in the trail, or by none that says how.
    """

    vendor: str
    source: str
    project: str | None
    place: str | None
    key: str
    name: str | None
    at: datetime
    events: int
    exists: Fact | None
    facts: Sequence[Fact]
    covered: Sequence[Window] = ()
    notes: Sequence[str] = field(default_factory=tuple)

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as JSON has it."""
        return asdict(self)


def check_pattern(flag: str) -> None:
    """Raise QueryError when a pattern may mean too many flags, each of which is read whole."""
    if "*" in flag and len(flag.replace("*", "")) < LEAST:
        raise QueryError(f"flag: write at least {LEAST} characters of a name beside `*`: every flag is read whole")


def state(
    store: Store,
    flag: str,
    at: datetime,
    *,
    environment: str | None = None,
    project: str | None = None,
    vendor: str | None = None,
) -> list[FlagState]:
    """Return what each flag with this key or name was at a moment, by source and project; empty when there is none.

    `*` stands for anything, and environments and projects go by their names too. With an environment, facts of others
    are left out; those of all environments stay.
    """
    logs = logs_of(store)  # before the events: what is stored in between can only add
    asked = Query(object=flag, project=project, vendor=vendor, limit=0)
    met = [row for row in events(store, asked) if row["object_kind"] == "flag"]
    fits = may_be(store, environment, project)
    keys = sorted({(row["source"], row["object_key"] or row["object_name"]) for row in met})
    found = []
    for source, key in keys:
        rows = [row for row in events(store, Query(source=source, object=key, limit=0)) if _is(row, key)]
        rows.sort(key=lambda row: (row["occurred_at"], row["number"]))
        wheres = sorted(_wheres(rows, fits["project"]), key=str)
        found += [_state(store, logs, rows, where, at, environment, fits["environment"]) for where in wheres]
    return found


def _is(row: Row, key: str) -> bool:
    return bool(row["object_kind"] == "flag" and (row["object_key"] or row["object_name"]) == key)


def where_of(row: Row) -> Where:
    """Return the project of an event, and the place in it that is not its environment."""
    place, environment = row["location"], row["environment"]
    if place and environment and place.endswith(environment):
        place = place.removesuffix(environment).rstrip(SEPARATORS)
    return row["project"], place or None


def _wheres(rows: Iterable[Row], fits: Callable[[str | None], bool]) -> set[Where]:
    """Return where there are flags of one key that fit; where one event does not tell, it belongs to all of them."""
    every = {where_of(row) for row in rows}
    whole = {where for where in every if where[0] is not None} or every
    return {where for where in whole if fits(where[0])}


def _state(
    store: Store,
    log_of: Logs,
    rows: Sequence[Row],
    where: Where,
    at: datetime,
    environment: str | None,
    fits: Callable[[str | None], bool],
) -> FlagState:
    mine = [row for row in rows if where_of(row) == where or row["project"] is None]
    logs = {row["stream"] for row in mine if row["related_event"] is None} or {row["stream"] for row in mine}
    source = mine[0]["source"]
    read = [log_of(source, log) for log in sorted(logs)]
    windows = shared([log.covered for log in read])
    vague = [blind(row, Place(ANYWHERE, ())) for row in mine if where_of(row) != where]
    others = [*vague, *from_outside(store, mine, where).touches]
    life = Life([row for row in mine if where_of(row) == where], at, windows, others)
    facts = [fact for fact in life.facts() if fits(fact.environment)]
    latest = (life.past or life.future or mine)[-1 if life.past else 0]
    notes = list(_notes(read, mine, facts, environment))
    key = latest["object_key"] or latest["object_name"]
    return FlagState(
        latest["vendor"],
        source,
        *where,
        key,
        latest["object_name"],
        at,
        len(mine),
        life.exists(),
        facts,
        windows,
        notes,
    )


def shared(lists: Sequence[Sequence[Window]]) -> list[Window]:
    """Return the time that all of some lists of windows hold."""
    shared = list(lists[0])
    for other in lists[1:]:
        shared = [part for window in shared for one in other if (part := window.clip(one))]
    return shared


class Outside(NamedTuple):
    """What may have changed a flag without being about it; all of it since a moment, None: from the beginning."""

    touches: Sequence[Touch]
    since: datetime | None


def from_outside(store: Store, rows: Sequence[Row], where: Where, limit: int = 0) -> Outside:
    """Return what may have changed the flag without being about it: its place was deleted, a change request applied.

    `limit` is how many events of each kind are looked at, the newest first; 0 means all.
    """
    source, since = rows[0]["source"], rows[0]["occurred_at"]
    environments = {touch.place.environment for row in rows for touch in touches_of(row)} - {None, ANYWHERE}
    outer = {part.strip() for part in re.split(f" [{SEPARATORS}] ", where[1] or "")} | {where[0]}
    names = sorted({name for name in (*environments, *outer) if name})
    gone = Query(source=source, action="deleted", object_kind=HOLDERS, object=names, since=since, limit=limit)
    others = {"object_kind": "flag"}
    applied = Query(source=source, action="applied", project=where[0], since=since, without=others, limit=limit)
    ended = list(events(store, gone)) if names else []
    asked = list(events(store, applied))
    found = []
    for row in ended:
        if where[0] not in (row["project"] or where[0], row["object_key"]):
            continue
        called = [name for name in (row["object_key"], row["object_name"]) if name]
        inner = row["object_kind"] == "environment"
        mine = [name for name in names if inner == (name in environments) and any(map(like([name]), called))]
        found += [blind(row, Place(name if inner else ANYWHERE, ())) for name in mine]
    found += [blind(row, Place(row["environment"] or ANYWHERE, ())) for row in asked]
    cut = [some[-1]["occurred_at"] for some in (ended, asked) if limit and len(some) == limit]
    return Outside(found, max(cut, default=None))


def _notes(logs: Iterable[Log], rows: Sequence[Row], facts: Sequence[Fact], environment: str | None) -> Iterator[str]:
    """Yield what is to be known about the whole answer."""
    if any(log.in_part for log in logs):
        yield "only a part of the log is read (`only`): a change outside of it is not known"
    untold = sum(row["changes"] is None and row["action"] not in ("created", "deleted") for row in rows)
    if untold:
        yield f"{untold} of its {len(rows)} events do not tell what they changed (yet)"
    if environment and not any(fact.environment for fact in facts):
        yield f"the trail tells nothing about it in {environment}"
    yield "what is not named here was not changed by any event of the trail, or by none that says how"
