"""Finds what belongs to a change: what was saved with it, what came before and after, and what put it back."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import select

from flagtrail.query import Query, events, reading, shown
from flagtrail.rollouts import puts_back
from flagtrail.schema import EVENT
from flagtrail.store import Store
from flagtrail.suspects import ONE_SAVE, object_of, saves
from flagtrail.walk import beside_indexes
from flagtrail.web.access import Trail
from flagtrail.web.page.whose import changes, is_whose, question_of
from flagtrail.window import MILLISECOND

Row = Mapping[str, Any]
HOUR = timedelta(hours=1)
ONE_SET = timedelta(minutes=10)  # within which a vendor writes down all that was saved together
SHOWN = 6  # changes of each kind
READ = 30  # changes of an object among which one is looked for that puts it back


class Related(NamedTuple):
    """Some changes that belong to one: what they are, oldest or newest first, and whether there are more."""

    title: str
    rows: list[dict[str, Any]]
    more: bool = False


def related(trail: Trail, row: Row) -> list[Related]:
    """Return what belongs to a change, what matters most first; kinds without a change are left out."""
    before, after = (_of_object(trail.store, row, later) for later in (False, True))
    back = next((other for other in after if object_of(other) == object_of(row) and puts_back(row, other)), None)
    undone = next((other for other in before if object_of(other) == object_of(row) and puts_back(other, row)), None)
    save, more = _same_save(trail.store, row)
    theirs, many = _same_actor(trail, row, {other["id"] for other in save})
    found = [
        Related("Put back by", [back] if back else []),
        Related("Puts back", [undone] if undone else []),
        Related("Saved with it", save, more),
        Related("Next changes of the same object", after[: SHOWN // 2], len(after) > SHOWN // 2),
        Related("Earlier changes of the same object", before[: SHOWN // 2], len(before) > SHOWN // 2),
        Related("By the same person within the hour", theirs, many),
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


def _same_save(store: Store, row: Row) -> tuple[list[dict[str, Any]], bool]:
    """Return what was saved together with a change: as the vendor groups it, or by one person in one second."""
    span = ONE_SET if row["change_set"] else ONE_SAVE
    mine = [EVENT.c.source == row["source"], EVENT.c.related_event.is_(None)]
    if row["change_set"]:
        mine.append(EVENT.c.change_set == row["change_set"])
    near = EVENT.c.occurred_at.between(*_around(row, span))
    wanted = select(*shown()).where(near, *map(beside_indexes, mine))
    with reading(store) as connection:
        rows = [dict(each) for each in connection.execute(wanted.order_by(EVENT.c.occurred_at).limit(200)).mappings()]
    found = _others(
        next((save for save in saves(rows) if any(one["id"] == row["id"] for one in save)), []), {row["id"]}
    )
    return found[: 2 * SHOWN], len(found) > 2 * SHOWN


def _same_actor(trail: Trail, row: Row, known: Iterable[str]) -> tuple[list[dict[str, Any]], bool]:
    """Return what the same person did within an hour before and after."""
    if not (row["actor_email"] or row["actor_id"] or row["actor_name"]):
        return [], False
    key = trail.people.person(row).key
    since, until = _around(row, HOUR)
    asked = question_of(trail.people, key)
    query = replace(asked, since=since, until=until + MILLISECOND)
    found, _ = changes(trail.store, query, is_whose(trail.people, key), 3 * SHOWN)
    others = _others(found, {row["id"], *known})
    return others[:SHOWN], len(others) > SHOWN


def _others(rows: Iterable[Any], known: Iterable[str]) -> list[dict[str, Any]]:
    left = set(known)
    return [row for row in rows if row["id"] not in left]


def _around(row: Row, span: timedelta) -> tuple[Any, Any]:
    return row["occurred_at"] - span, row["occurred_at"] + span
