"""Finds where the events of a question may be, without reading all: a few too many, and never one too few.

SQLite keeps a full-text index of marks by the millisecond: each word of an event is one, and so is each value that
events are asked for by. It is only ever added to, so what it finds is looked at again. PostgreSQL has indexes of its
own; what they need is which values there are that a part or a pattern means. `facet` holds those.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, String, any_, func, literal, literal_column, select
from sqlalchemy.dialects.postgresql import ARRAY

from flagtrail.conditions import EXACT, Query, escaped, glob
from flagtrail.schema import EVENT, FACET, TOTAL
from flagtrail.window import to_ms
from flagtrail.words import words

ACTOR = ("actor_name", "actor_email", "actor_id")
OBJECT = ("object_key", "object_name")
BETWEEN = "\x1f"  # divides the values of a facet
LONGEST = 600  # characters of a facet; one that is longer is kept as the empty one, which every part may be in
MOST = 1000  # facets that a part or a pattern may mean; with more, events are looked at one after another
AT_ONCE = 100  # marks, one of which is enough, that the index begins to look for at once
MOST_WORDS = 200  # words with one beginning that are asked for one by one
# To the letter what SQLite's indexes are of.
PARTS = {
    "key": "substr(value, 1, instr(value, char(31)) - 1)",
    "name": "substr(value, instr(value, char(31)) + 1)",
}
FIRST = "\ue000"  # begins a mark that is no word
KEY = 200  # characters of a value in PostgreSQL's indexes


def facet_of(values: Iterable[str | None]) -> str:
    """Return values of an event that belong together, as one text; empty when they are too long."""
    joined = BETWEEN.join(value or "" for value in values)
    return joined if len(joined) <= LONGEST else ""


def mark(name: str, value: str) -> str:
    """Return the mark of an event that has a value in a column, whatever its case."""
    return FIRST + name[0] + blake2b(f"{name}{BETWEEN}{value.lower()}".encode(), digest_size=5).hexdigest()


@lru_cache(maxsize=4096)
def marks(names: tuple[str, ...], values: tuple[str | None, ...]) -> str:
    """Return the marks of an event that has values in some columns."""
    return " ".join(mark(name, value) for name, value in zip(names, values, strict=True) if value)


@lru_cache(maxsize=4096)
def told(text: str) -> str:
    """Return the words of a text that stands in many events."""
    return " ".join(words(text))


class Asked(NamedTuple):
    """What SQLite's index is asked for: nothing when it cannot be found.

    Whether it `streams`: else the index puts together much before it tells the first.
    """

    marks: str
    streams: bool = True


def match(connection: Connection, query: Query) -> Asked | None:
    """Return what SQLite's index is asked for; None when it is of no help."""
    groups = [[mark(name, value)] for name in EXACT if (value := getattr(query, name))]
    if query.object:
        groups += _or_none(_object_marks(connection, query.object))
    if query.actor:
        found = _facets(connection, "actor", [f"%{escaped(query.actor)}%"])
        groups += _or_none(None if found is None else [mark("who", value or BETWEEN) for value in found])
    beginnings = []
    for word in words(query.text or ""):
        starting = _beginning_with(connection, word)
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


def milliseconds(connection: Connection, asked: str, since: datetime | None, before: datetime) -> Iterator[int]:
    """Yield the milliseconds in which SQLite's index has what is asked for, newest first."""
    statement = "SELECT rowid FROM search WHERE search MATCH ? AND rowid < ? AND rowid >= ? ORDER BY rowid DESC"
    first = to_ms(since) if since else -(2**62)
    for row in connection.exec_driver_sql(statement, (asked, to_ms(before), first)):
        yield row[0]


def narrowed(
    connection: Connection, query: Query
) -> tuple[list[ColumnElement[bool]], ColumnElement[str] | None, list[str]]:
    """Return conditions that PostgreSQL has indexes for, and a value that is one of a few: its column, and which."""
    asked = [(name, value) for name in ("project", "environment", "action") if (value := getattr(query, name))]
    conditions: list[ColumnElement[bool]] = [_key(EVENT.c[name]) == _key(literal(value)) for name, value in asked]
    few: tuple[ColumnElement[str] | None, list[str]] = (None, [])
    for column, values in (
        (func.coalesce(EVENT.c.object_key, EVENT.c.object_name), _object_keys(connection, query.object)),
        (
            func.coalesce(*(EVENT.c[name] for name in ("actor_email", "actor_id", "actor_name"))),
            _actors(connection, query.actor),
        ),
        (EVENT.c.source, sources(connection, query)),
    ):
        if values is None:
            continue
        value = column if column is EVENT.c.source else _key(column)
        if few[0] is None and column is not EVENT.c.source:
            few = (value, values)
        else:
            conditions.append(value == any_(literal(values, ARRAY(String))))
    return conditions, *few


def sources(connection: Connection, query: Query) -> list[str] | None:
    """Return the sources whose events can be meant; None when all can."""
    asked = [(name, value) for name in ("vendor", "source") if (value := getattr(query, name))]
    if not asked:
        return None
    conditions = [func.lower(TOTAL.c[name]) == func.lower(literal(value)) for name, value in asked]
    return list(connection.execute(select(TOTAL.c.source).where(*conditions).distinct()).scalars())


def _key(value: ColumnElement[Any]) -> ColumnElement[str]:
    return func.left(func.lower(value), literal(KEY))


def _or_none(marks: list[str] | None) -> list[list[str]]:
    return [] if marks is None else [marks]


def _object_marks(connection: Connection, pattern: str) -> list[str] | None:
    if "*" not in pattern:
        return [mark(name, pattern) for name in OBJECT]
    found = _objects(connection, pattern)
    if found is None or "" in found:
        return None
    pairs = [value.split(BETWEEN) for value in found]
    return sorted({mark("object_key", key) if key else mark("object_name", name) for key, name in pairs})


def _objects(connection: Connection, pattern: str) -> list[str] | None:
    """Return the objects that a pattern means, at most as many as can be asked for one by one; else None."""
    if not pattern.strip("*"):
        return None
    like = func.lower(literal(glob(pattern)))
    fits: list[ColumnElement[bool]] = [FACET.c.value == ""]
    if connection.dialect.name == "postgresql":
        # To the letter what the indexes are of; a backslash escapes by itself.
        parts: Iterator[ColumnElement[str]] = (
            literal_column(f"lower(split_part(facet.value, chr(31), {part}))") for part in "12"
        )
        return _found(connection, "object", [*fits, *(part.op("LIKE")(like) for part in parts)])
    begin = pattern.partition("*")[0]
    if not begin:
        fits += [literal_column(f"lower({part})").like(like, escape="\\") for part in PARTS.values()]
        return _found(connection, "object", fits)
    found = set(_found(connection, "object", fits) or ())
    for name, part in PARTS.items():  # SQLite would take the primary key, and read all objects
        statement = (
            f"SELECT value FROM facet INDEXED BY search_by_{name} WHERE field = 'object' "  # noqa: S608
            f"AND lower({part}) >= lower(?) AND lower({part}) < lower(?) || ? "
            f"AND lower({part}) LIKE lower(?) ESCAPE '\\' LIMIT ?"
        )
        values = (begin, begin, "\U0010ffff", glob(pattern), MOST + 1)
        found.update(connection.exec_driver_sql(statement, values).scalars())
    return sorted(found) if len(found) <= MOST else None


def _object_keys(connection: Connection, pattern: str | None) -> list[str] | None:
    found = _objects(connection, pattern) if pattern else None
    if found is None or "" in found:
        return None
    pairs = [value.split(BETWEEN) for value in found]
    return sorted({(key or name).lower()[:KEY] for key, name in pairs})


def _actors(connection: Connection, part: str | None) -> list[str] | None:
    found = _facets(connection, "actor", [f"%{escaped(part)}%"]) if part else None
    if found is None or "" in found:
        return None
    return sorted({(email or id or name).lower()[:KEY] for name, email, id in (one.split(BETWEEN) for one in found)})


def _facets(connection: Connection, field: str, patterns: list[str]) -> list[str] | None:
    fits = [FACET.c.value == "", *(FACET.c.value.ilike(pattern, escape="\\") for pattern in patterns)]
    return _found(connection, field, fits)


def _found(connection: Connection, field: str, fits: list[ColumnElement[bool]]) -> list[str] | None:
    """Return the facets that meet one of some conditions; None when they are too many."""
    found: list[str] = []
    for fit in fits:
        name: ColumnElement[str] = literal_column(f"'{field}'")
        query = select(FACET.c.value).where(FACET.c.field == name, fit).limit(MOST + 1)
        found += connection.execute(query).scalars()
    found = sorted(set(found))
    return found if len(found) <= MOST else None


def _beginning_with(connection: Connection, word: str) -> list[str] | None:
    """Return the words that are there with a beginning; None when they are too many, or not kept for their digits."""
    if not word.isalpha():
        return None
    inside = [FACET.c.field == "word", FACET.c.value >= word, FACET.c.value < word + "\U0010ffff"]
    found = list(connection.execute(select(FACET.c.value).where(*inside).limit(MOST_WORDS + 1)).scalars())
    return found if len(found) <= MOST_WORDS else None
