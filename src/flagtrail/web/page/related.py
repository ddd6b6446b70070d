"""Finds what belongs to a change: what was saved with it, what came before and after, and what put it back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import select

from flagtrail.language import spell
from flagtrail.query import Query, events, reading, shown
from flagtrail.rollouts import puts_back
from flagtrail.schema import EVENT
from flagtrail.store import Store
from flagtrail.suspects import ONE_SAVE, object_of, saves
from flagtrail.walk import beside_indexes
from flagtrail.web.access import Trail
from flagtrail.web.page.shell import Reader
from flagtrail.web.page.view import short
from flagtrail.web.page.whose import changes, is_whose, question_of
from flagtrail.window import MILLISECOND

Row = Mapping[str, Any]
HOUR = timedelta(hours=1)
ONE_SET = timedelta(minutes=10)  # within which a vendor writes down all that was saved together
SHOWN = 6  # changes of each kind
READ = 30  # changes of an object among which one is looked for that puts it back


class Related(NamedTuple):
    """Some changes that belong to one: what they are, and the timeline of all of them if there are more."""

    title: str
    rows: Sequence[Row]
    more: str | None = None


def related(trail: Trail, row: Row, reader: Reader) -> list[Related]:
    """Return what belongs to a change, what matters most first; kinds without a change are left out."""
    before, after = (_of_object(trail.store, row, later) for later in (False, True))
    back = next((other for other in after if object_of(other) == object_of(row) and puts_back(row, other)), None)
    undone = next((other for other in before if object_of(other) == object_of(row) and puts_back(other, row)), None)
    save = _same_save(trail.store, row, reader)
    at, mine = row["occurred_at"], Query(**(object_question(row) or {}))
    found = [
        Related("Put back by", [back] if back else []),
        Related("Puts back", [undone] if undone else []),
        save,
        _first("Next changes of the same object", after, SHOWN // 2, _timeline(reader, mine, at, None)),
        _first("Earlier changes of the same object", before, SHOWN // 2, _timeline(reader, mine, None, at)),
        _same_actor(trail, row, reader, {other["id"] for other in save.rows}),
    ]
    return [one for one in found if one.rows]


def measured_by(store: Store, row: Row) -> list[dict[str, Any]]:
    """Return the flag events that tell a change's impact, the newest first."""
    mine = select(EVENT).where(EVENT.c.related_event == row["id"])
    with reading(store) as connection:
        found = connection.execute(mine.order_by(EVENT.c.occurred_at.desc(), EVENT.c.number.desc()).limit(SHOWN))
        return [dict(each) for each in found.mappings()]


def entry_of(store: Store, row: Row) -> dict[str, Any] | None:
    """Return the audit entry that a flag event belongs to; None when it is not in the table, or it is no flag event."""
    if row["related_event"] is None:
        return None
    with reading(store) as connection:
        found = connection.execute(select(*shown()).where(EVENT.c.id == row["related_event"])).mappings().first()
    return dict(found) if found else None


def object_question(row: Row) -> dict[str, Any] | None:
    """Return what asks for all changes of an event's object, as a Query takes it; None when it names none."""
    named = row["object_key"] or row["object_name"]
    if not named:
        return None
    told = {"source": row["source"], "project": row["project"], "object_kind": row["object_kind"], "object": named}
    return {name: value for name, value in told.items() if value}


def _of_object(store: Store, row: Row, later: bool) -> list[dict[str, Any]]:
    """Return the next changes of the same object, the nearest first."""
    asked = object_question(row)
    if asked is None:
        return []
    at = row["occurred_at"]
    time = {"since": at, "oldest_first": True} if later else {"until": at + MILLISECOND}
    found = events(store, Query(**asked, **time, limit=READ + 1))
    return [each for each in found if _lies(each, row, later) and is_same(each, row)]


def _lies(other: Row, row: Row, later: bool) -> bool:
    """Return whether another change lies on one side of a change."""
    places = [(each["occurred_at"], each["number"]) for each in (other, row)]
    return other["related_event"] != row["id"] and (places[0] > places[1] if later else places[0] < places[1])


def is_same(other: Row, row: Row) -> bool:
    """Return whether changes are of one object; the question may have meant a pattern. Any kind is of no kind."""
    names = [each["object_key"] or each["object_name"] for each in (other, row)]
    return bool(names[0] == names[1] and row["object_kind"] in (None, other["object_kind"]))


def _first(title: str, rows: Sequence[Row], most: int, timeline: str) -> Related:
    """Return the first of some changes, and where all are shown if these are not."""
    return Related(title, rows[:most], timeline if len(rows) > most else None)


def _timeline(reader: Reader, query: Query, since: datetime | None, until: datetime | None) -> str:
    """Return the address at which all changes of a question are listed, from the second before to the second after."""
    end = until + timedelta(seconds=1) if until else None
    first, last = ("all" if since is None else short(since)), (None if end is None else short(end))
    return reader.link("/", q=spell(query), since=first, until=last)


def _same_save(store: Store, row: Row, reader: Reader) -> Related:
    """Return what was saved together with a change: as the vendor groups it, or by one person in one second."""
    span = ONE_SET if row["change_set"] else ONE_SAVE
    mine = [EVENT.c.source == row["source"], EVENT.c.related_event.is_(None)]
    if row["change_set"]:
        mine.append(EVENT.c.change_set == row["change_set"])
    near = EVENT.c.occurred_at.between(*_around(row, span))
    wanted = select(*shown()).where(near, *map(beside_indexes, mine))
    with reading(store) as connection:
        rows = [dict(each) for each in connection.execute(wanted.order_by(EVENT.c.occurred_at).limit(200)).mappings()]
    save = next((save for save in saves(rows) if any(one["id"] == row["id"] for one in save)), [])
    timeline = _timeline(reader, Query(source=row["source"]), *_around(row, span))
    return _first("Saved with it", _others(save, {row["id"]}), 2 * SHOWN, timeline)


def _same_actor(trail: Trail, row: Row, reader: Reader, known: Iterable[str]) -> Related:
    """Return what the same person did within an hour before and after."""
    title = "By the same person within the hour"
    if not (row["actor_email"] or row["actor_id"] or row["actor_name"]):
        return Related(title, [])
    key = trail.people.person(row).key
    since, until = _around(row, HOUR)
    asked = question_of(trail.people, key)
    query = replace(asked, since=since, until=until + MILLISECOND)
    left = {row["id"], *known}
    found, _ = changes(trail.store, query, is_whose(trail.people, key), len(left) + SHOWN + 1)
    return _first(title, _others(found, left), SHOWN, _timeline(reader, asked, since, until))


def _others(rows: Iterable[Any], known: Iterable[str]) -> list[dict[str, Any]]:
    left = set(known)
    return [row for row in rows if row["id"] not in left]


def _around(row: Row, span: timedelta) -> tuple[Any, Any]:
    return row["occurred_at"] - span, row["occurred_at"] + span
