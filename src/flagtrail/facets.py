"""Tells which values there are that a part or a pattern means, without reading every event: the table `facet`.

A few too many are told where case is not what a database takes it for, and never one too few.
"""

import re
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, literal, literal_column, or_, select, text

from flagtrail.conditions import alike, glob
from flagtrail.fields import BY_NAME, like
from flagtrail.question import Query
from flagtrail.schema import FACET

ALWAYS = ("vendor", "source", "stream", "action", "actor_kind")  # fields of which every event has a value
BETWEEN = "\x1f"  # divides the values of a facet
LONGEST = 600  # characters of a facet; one that is longer is kept as the empty one, which every part may be in
MOST = 1000  # facets that a part or a pattern may mean; with more, events are looked at one after another
REST = 100  # values that are left when others are not wanted; with more, events are looked at one after another
SOME = 200  # facets that are told to whoever is typing
MOST_WORDS = 200  # words with one beginning that are asked for one by one
ASCII = re.compile(r"[^*\x80-\U0010ffff]*")  # of a pattern, the part by which an index of SQLite finds
# To the letter what SQLite's indexes are of.
PARTS = {
    "key": "substr(value, 1, instr(value, char(31)) - 1)",
    "name": "substr(value, instr(value, char(31)) + 1)",
}


def facet_of(values: Iterable[str | None]) -> str:
    """Return values of an event that belong together, as one text; empty when it cannot be told apart again."""
    parts = [value or "" for value in values]
    joined = BETWEEN.join(parts)
    return joined if len(joined) <= LONGEST and joined.count(BETWEEN) < len(parts) else ""


def meant(connection: Connection, query: Query, name: str) -> list[tuple[str, ...]] | None:
    """Return the values that an event may have in the columns of a field; None when they cannot be told."""
    wanted, unwanted = query.wanted.get(name, ()), query.unwanted.get(name, ())
    columns = BY_NAME[name].columns
    if wanted and len(columns) == 1 and not any("*" in value for value in wanted):
        return [(value,) for value in wanted]
    if not wanted and (not unwanted or name not in ALWAYS):
        return None
    found = list(connection.execute(select(FACET.c.value).where(FACET.c.field == name).limit(MOST + 1)).scalars())
    if len(found) > MOST or "" in found:
        return None
    values = [tuple(value.split(BETWEEN)) for value in found]
    if wanted:
        fits = like(wanted, str.lower)
        return [each for each in values if any(fits(value) for value in each)]
    # What is surely not meant is left out; of it, only a few others may be left.
    fits = like(unwanted, _ascii_lower)
    rest = [each for each in values if not any(fits(value) for value in each)]
    return rest if len(rest) <= REST else None


def _ascii_lower(text: str) -> str:
    return "".join(sign.lower() if sign.isascii() else sign for sign in text)


def objects(connection: Connection, pattern: str) -> list[str] | None:
    """Return the objects that a pattern means, at most as many as can be asked for one by one; else None."""
    if not pattern.strip("*"):
        return None
    fits: list[Any] = [FACET.c.value == ""]
    if connection.dialect.name == "postgresql":
        wanted = func.lower(literal(glob(pattern)))
        # To the letter what the indexes are of; a backslash escapes by itself.
        parts: list[ColumnElement[str]] = [
            literal_column(f"lower(split_part(facet.value, chr(31), {part}))") for part in "12"
        ]
        return _found(connection, "object", [*fits, *(part.op("LIKE")(wanted) for part in parts)])
    begin = ASCII.match(pattern)[0]  # type: ignore[index]
    lower = "lower" if pattern.isascii() else "folded"  # SQLite's own is faster, and knows ASCII only
    if not begin:
        like_it = f"{lower}({{}}) LIKE {lower}(:pattern) ESCAPE '\\'"
        fits += [text(like_it.format(part)).bindparams(pattern=glob(pattern)) for part in PARTS.values()]
        return _found(connection, "object", fits)
    found = set(_found(connection, "object", fits) or ())
    for name, part in PARTS.items():  # SQLite would take the primary key, and read all objects
        statement = (
            f"SELECT value FROM facet INDEXED BY search_by_{name} WHERE field = 'object' "  # noqa: S608
            f"AND lower({part}) >= lower(?) AND lower({part}) < lower(?) || ? "
            f"AND {lower}({part}) LIKE {lower}(?) ESCAPE '\\' LIMIT ?"
        )
        values = (begin, begin, "\U0010ffff", glob(pattern), MOST + 1)
        found.update(connection.exec_driver_sql(statement, values).scalars())
    return sorted(found) if len(found) <= MOST else None


def people(connection: Connection, parts: Iterable[str]) -> list[str] | None:
    """Return the people whose names, e-mails or ids have one of some parts; None when they are too many."""
    wanted = or_(*(alike(FACET.c.value, literal(f"%{glob(part)}%")) for part in parts))
    return _found(connection, "actor", [FACET.c.value == "", wanted])


def _found(connection: Connection, field: str, fits: list[Any]) -> list[str] | None:
    """Return the facets that meet one of some conditions; None when they are too many."""
    found: set[str] = set()
    name: ColumnElement[str] = literal_column(f"'{field}'")
    # PostgreSQL's indexes are of what it takes for lower case.
    value = func.lower(FACET.c.value) if connection.dialect.name == "postgresql" else FACET.c.value
    for fit in fits:
        query = select(value).where(FACET.c.field == name, fit).limit(MOST + 1)
        found.update(connection.execute(query).scalars())
        if len(found) > MOST:
            return None
    return sorted(found)


def beginning_with(connection: Connection, word: str) -> list[str] | None:
    """Return the words that are there with a beginning; None when they are too many, or not kept for their digits."""
    if not word.isalpha():
        return None
    inside = [FACET.c.field == "word", FACET.c.value >= word, FACET.c.value < word + "\U0010ffff"]
    found = list(connection.execute(select(FACET.c.value).where(*inside).limit(MOST_WORDS + 1)).scalars())
    return found if len(found) <= MOST_WORDS else None


def values_with(connection: Connection, name: str, part: str) -> list[str]:
    """Return some facets of a field that begin with a text or hold it: enough to choose from while somebody types."""
    if name == "object" and part and (known := objects(connection, f"{part}*")) is not None:
        return known[:SOME]
    where = FACET.c.field == name
    if name == "object":  # there may be millions: those that begin so are found by the table's own order
        where &= (FACET.c.value >= part) & (FACET.c.value < part + "\U0010ffff")
    elif part:
        where &= alike(FACET.c.value, literal(f"%{glob(part)}%"))
    return list(connection.execute(select(FACET.c.value).where(where).order_by(FACET.c.value).limit(SOME)).scalars())
