"""Finds where the events of a question may be, without reading all: a few too many, and never one too few.

SQLite keeps a full-text index of marks by the millisecond: each word of an event is one, and so is each value that
events are asked for by. It is only ever added to, so what it finds is looked at again. PostgreSQL has indexes of its
own; what they need is which values there are that a part or a pattern means. `facet` holds those.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b
from math import isqrt
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Integer,
    String,
    any_,
    func,
    literal,
    literal_column,
    not_,
    select,
)

from flagtrail.bulk import among
from flagtrail.conditions import measured, one_of
from flagtrail.facets import BETWEEN, MOST, beginning_with, meant, objects, people
from flagtrail.fields import BY_NAME
from flagtrail.impact import Range, parse_range
from flagtrail.question import Query, place_of
from flagtrail.schema import EVENT, TOTAL
from flagtrail.window import to_ms
from flagtrail.words import found_by, words

ACTOR = BY_NAME["actor"].columns
OBJECT = BY_NAME["object"].columns
FREQUENT = ("vendor", "source", "project", "environment", "action")
SELDOM = ("stream", "object_kind", "actor_kind")
MARKED = (*FREQUENT, *SELDOM)  # fields whose values SQLite's index has marks of, and all of whose values are facets
# A mark for each value of a field, whichever of the field's columns it stands in.
FREQUENT_COLUMNS, SELDOM_COLUMNS = (
    tuple((name, column) for name in names for column in BY_NAME[name].columns) for names in (FREQUENT, SELDOM)
)
INDEXED = ("project", "environment", "action", "object_kind", "actor_kind")  # fields that PostgreSQL has indexes of
ENDLESS = 2**62
# What there are indexes of in the order of time that hold nothing else (search_vanished and so on), to the letter.
HELD = {
    ("is", "vanished"): "event.vanished_at IS NOT NULL",
    ("is", "provisional"): "event.provisional",
    ("is", "truncated"): "event.truncated",
    ("has", "comment"): "event.comment <> ''",
}
# Flag events with an effect are looked at first while their square is below so many times the number of events: to look
# each of them up costs as much then as to walk along time until some are met.
WORTH = 10
AT_ONCE = 100  # marks, one of which is enough, that the index begins to look for at once
REMEMBERED = 300  # characters of texts whose words and marks are kept for the next event: longer ones are of one event
FIRST = "\ue000"  # begins a mark that is no word


def mark(name: str, value: str) -> str:
    """Return the mark of an event that has a value in a column, whatever its case."""
    return FIRST + name[0] + blake2b(f"{name}{BETWEEN}{value.lower()}".encode(), digest_size=5).hexdigest()


def marks(names: tuple[str, ...], values: tuple[str | None, ...]) -> str:
    """Return the marks of an event that has values in some columns."""
    if sum(len(value) for value in values if value) > REMEMBERED:
        return _marks.__wrapped__(names, values)
    return _marks(names, values)


@lru_cache(maxsize=4096)
def _marks(names: tuple[str, ...], values: tuple[str | None, ...]) -> str:
    return " ".join(mark(name, value) for name, value in zip(names, values, strict=True) if value)


def told(text: str) -> str:
    """Return what a text is found by; of a short one, which may stand in many events, it is remembered."""
    return _told(text) if len(text) <= REMEMBERED else _told.__wrapped__(text)


@lru_cache(maxsize=4096)
def _told(text: str) -> str:
    return " ".join(found_by(text))


class Asked(NamedTuple):
    """What SQLite's index is asked for: nothing when it cannot be found.

    Whether it `streams`: else the index puts together much before it tells the first.
    """

    marks: str
    streams: bool = True


def match(connection: Connection, query: Query) -> Asked | None:
    """Return what SQLite's index is asked for; None when it is of no help."""
    groups = []
    for name in MARKED:
        values = meant(connection, query, name)
        if values is not None:
            groups.append(sorted({mark(name, value) for each in values for value in each if value}))
    if patterns := query.wanted.get("object"):
        groups += _or_none(_object_marks(connection, patterns))
    if parts := query.wanted.get("actor"):
        found = people(connection, parts)
        groups += _or_none(None if found is None else [mark("who", value or BETWEEN) for value in found])
    beginnings = []
    for word in words(query.text or ""):
        starting = beginning_with(connection, word)
        if starting is None:
            beginnings.append(word)
        else:
            groups.append(starting)
    if not all(groups):
        return Asked("")
    if groups:
        every = (" OR ".join(f'"{one}"' for one in group) for group in groups)
        # Words with digits are rare: without them, too much would be looked at.
        rare = [f'("{word}"*)' for word in beginnings if not word.isalpha()]
        streams = max(map(len, groups)) <= AT_ONCE
        return Asked(" AND ".join([*(f"({group})" for group in every), *rare]), streams)
    return Asked(f'"{max(beginnings, key=len)}"*', streams=False) if beginnings else None


def milliseconds(connection: Connection, asked: str, query: Query) -> Iterator[int]:
    """Yield the milliseconds in which SQLite's index has what is asked for, in the order of the question."""
    first = to_ms(query.since) if query.since else -ENDLESS
    end = to_ms(query.until) + 1 if query.until else ENDLESS  # the end may lie within a millisecond
    if query.after and query.oldest_first:
        first = max(first, to_ms(place_of(query.after)[0]))
    elif query.after:
        end = min(end, to_ms(place_of(query.after)[0]) + 1)
    statement = "SELECT rowid FROM search WHERE search MATCH ? AND rowid < ? AND rowid >= ? ORDER BY rowid "
    for row in connection.exec_driver_sql(statement + ("ASC" if query.oldest_first else "DESC"), (asked, end, first)):
        yield row[0]


def held(query: Query) -> ColumnElement[bool] | None:
    """Return the condition of what is in an index that holds all that is asked for and maybe more."""
    for (name, value), condition in HELD.items():
        if query.wanted.get(name) == (value,):
            return literal_column(condition)
    return None


def effects(connection: Connection, query: Query) -> list[int] | None:
    """Return the numbers of the events that can have the impact that is asked for; None when it is no help."""
    values = query.wanted.get("impact")
    if values is None and query.wanted.get("has") != ("impact",):
        return None
    effect = EVENT.alias("effect")
    inside: list[ColumnElement[bool]] = [effect.c.impact.is_not(None)]
    if values:
        ranges = [parse_range(value) for value in values]
        whole = Range(min(each.low for each in ranges), max(each.high for each in ranges))
        inside.append(measured(whole, effect, connection.dialect.name))

    newest = connection.execute(select(func.max(EVENT.c.number))).scalar()
    few = isqrt(WORTH * (newest or 0))
    found = select(effect.c.number, effect.c.related_event).where(*inside).limit(few + 1)
    rows = connection.execute(found).all()
    if len(rows) > few:
        return None
    # Their entries are asked for by their ids: PostgreSQL would take them for more, and read every event.
    ids = [row.related_event for row in rows if row.related_event]
    entries = connection.execute(select(EVENT.c.number).where(among(EVENT.c.id, ids, connection))).scalars()
    return sorted({*(row.number for row in rows), *entries})


def narrowed(
    connection: Connection, query: Query, places: dict[str, list[str]] | None
) -> tuple[list[ColumnElement[bool]], ColumnElement[int] | None, list[int]]:
    """Return conditions that PostgreSQL has indexes for, and a key that is one of a few: of what, and which."""
    few: list[tuple[ColumnElement[int], list[int]]] = []
    for column, values in (
        (func.coalesce(EVENT.c.object_key, EVENT.c.object_name), _object_keys(connection, query.wanted.get("object"))),
        (
            func.coalesce(*(EVENT.c[name] for name in ("actor_email", "actor_id", "actor_name"))),
            _actors(connection, query.wanted.get("actor")),
        ),
    ):
        if values is not None:
            few.append((_key(column), _keys(connection, values)))
    conditions: list[ColumnElement[bool]] = []
    several: list[tuple[ColumnElement[int], list[int]]] = []
    for name in INDEXED:
        found = meant(connection, query, name)
        if found is None or not all(each[0] for each in found):
            continue
        value, keys = _key(EVENT.c[BY_NAME[name].columns[0]]), _keys(connection, [each[0] for each in found])
        if len(keys) == 1:
            conditions.append(value == keys[0])
        else:
            several.append((value, keys))
    if (index := held(query)) is not None:
        conditions.append(index)
    for name, values in (places or {}).items():
        # Only of a single value does PostgreSQL know that what an index has of it is in the order of time.
        conditions.append(EVENT.c[name] == (values[0] if len(values) == 1 else any_(literal(values, ARRAY(String)))))
    if not few and not conditions and len(several) == 1:
        few = [several.pop()]
    # Those of one object or person are few already.
    first, rest = (few[0], few[1:]) if few else ((None, []), several)
    return [*conditions, *(value == any_(literal(keys, ARRAY(Integer))) for value, keys in rest)], *first


def _keys(connection: Connection, values: list[str]) -> list[int]:
    """Return the keys of some values in PostgreSQL's indexes."""
    return sorted(set(connection.execute(select(_key(func.unnest(literal(values, ARRAY(String)))))).scalars()))


def places_of(connection: Connection, query: Query) -> dict[str, list[str]] | None:
    """Return the sources, and the streams if they are asked for, whose gathered events can be meant; None for all."""
    asked = {*query.wanted, *query.unwanted}
    if asked.isdisjoint(("vendor", "source", "stream")):
        return None
    names = [name for name in ("vendor", "source", "stream", "action") if name in asked]
    conditions = [one_of(TOTAL, name, query.wanted[name]) for name in names if name in query.wanted]
    conditions += [not_(one_of(TOTAL, name, query.unwanted[name])) for name in names if name in query.unwanted]
    conditions.append(TOTAL.c.events > (0 if query.linked else TOTAL.c.linked))
    found = connection.execute(select(TOTAL.c.source, TOTAL.c.stream).where(*conditions).distinct()).all()
    places = {"source": sorted({row.source for row in found})}
    return places | ({"stream": sorted({row.stream for row in found})} if "stream" in names else {})


def _key(value: ColumnElement[Any]) -> ColumnElement[int]:
    """Return what PostgreSQL's indexes hold: a number for a value, whatever its case; others may have it too."""
    return func.hashtext(func.lower(value), type_=Integer)


def _or_none(marks: list[str] | None) -> list[list[str]]:
    return [] if marks is None else [marks]


def _object_marks(connection: Connection, patterns: Iterable[str]) -> list[str] | None:
    found: set[str] = set()
    for pattern in patterns:
        if "*" not in pattern:
            found |= {mark(name, pattern) for name in OBJECT}
            continue
        known = objects(connection, pattern)
        if known is None or "" in known:
            return None
        pairs = [value.split(BETWEEN) for value in known]
        found |= {mark("object_key", key) if key else mark("object_name", name) for key, name in pairs}
    return sorted(found) if len(found) <= MOST else None


def _object_keys(connection: Connection, patterns: Iterable[str] | None) -> list[str] | None:
    if patterns is None:
        return None
    keys: set[str] = set()
    for pattern in patterns:
        found = objects(connection, pattern)
        if found is None or "" in found:
            return None
        keys |= {key or name for key, name in (value.split(BETWEEN) for value in found)}
    return sorted(keys) if len(keys) <= MOST else None


def _actors(connection: Connection, parts: Iterable[str] | None) -> list[str] | None:
    found = people(connection, parts) if parts else None
    if found is None or "" in found:
        return None
    return sorted({email or id or name for name, email, id in (one.split(BETWEEN) for one in found)})
