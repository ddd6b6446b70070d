"""What can be asked about events, and the exact SQL of it: whatever finds candidates quickly, these decide."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, String, and_, func, literal, literal_column, or_, select, tuple_
from sqlalchemy.dialects.postgresql import TSQUERY

from flagtrail.schema import EVENT
from flagtrail.window import from_ms, to_ms
from flagtrail.words import words

EXACT = ("vendor", "source", "project", "environment", "action")
TEXTS = ("summary", "comment", "object_key", "object_name", "location", "actor_name")
LONG_TEXT = 100_000  # characters of an event that PostgreSQL's index of words reads
PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~–—…“”‘’«»·•"  # noqa: RUF001
# To the letter what PostgreSQL's index is of, or it would not be used.
WORDS = "to_tsvector('simple'::regconfig, translate(left({}, {}), '{}', '{}'))".format(
    " || ' ' || ".join(f"coalesce(event.{name}, '')" for name in TEXTS),
    LONG_TEXT,
    PUNCTUATION.replace("'", "''"),
    " " * len(PUNCTUATION),
)


@dataclass(frozen=True, slots=True)
class Query:
    """Which events are wanted, newest first; every condition that is set must hold.

    `object` is a whole key or name in which `*` stands for any characters. `actor` is a name, an e-mail or an id, or a
    part of one. Of `text`, every word must be a word or the beginning of one in the summary, the comment, the object's
    key or name, the place, or the actor's name. `linked` also shows the flag events whose audit entry is in the table:
    their impact stands on that entry anyway. `limit` 0 means all. `after` is the cursor of an event, of which only
    what comes after it is wanted, as on the next page.
    """

    since: datetime | None = None
    until: datetime | None = None
    vendor: str | None = None
    source: str | None = None
    project: str | None = None
    environment: str | None = None
    actor: str | None = None
    action: str | None = None
    object: str | None = None
    text: str | None = None
    linked: bool = False
    limit: int = 50
    after: str | None = None


def cursor_of(row: Mapping[str, Any]) -> str:
    """Return the cursor of an event: opaque, and good for as long as the event stands at its time."""
    return urlsafe_b64encode(f"{to_ms(row['occurred_at'])}.{row['number']}".encode()).decode().rstrip("=")


def place_of(cursor: str) -> tuple[datetime, int]:
    """Return the time and the number that a cursor stands for; raises ValueError when it is none."""
    try:
        ms, number = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii").split(".")
        return from_ms(int(ms)), int(number)
    except (ValueError, OverflowError):
        raise ValueError(f"{cursor!r} is no cursor of an event") from None


def span(query: Query) -> ColumnElement[bool]:
    """Return the condition that an event lies in the time that is asked for, and after the cursor."""
    found: list[ColumnElement[bool]] = []
    if query.since:
        found.append(EVENT.c.occurred_at >= query.since)
    if query.until:
        found.append(EVENT.c.occurred_at < query.until)
    if query.after:
        at, number = place_of(query.after)
        moment = literal(at, EVENT.c.occurred_at.type)
        found.append(tuple_(EVENT.c.occurred_at, EVENT.c.number) < tuple_(moment, literal(number)))
    return and_(True, *found)


def meets(query: Query, dialect: str) -> ColumnElement[bool]:
    """Return the condition that an event is one that is asked for, apart from its time."""
    return and_(True, *_conditions(query, dialect))


def _conditions(query: Query, dialect: str) -> Iterator[ColumnElement[bool]]:
    for name in EXACT:
        wanted = getattr(query, name)
        if wanted:
            yield func.lower(EVENT.c[name]) == func.lower(literal(wanted))
    if query.actor:
        part = f"%{escaped(query.actor)}%"
        yield or_(*(EVENT.c[name].ilike(part, escape="\\") for name in ("actor_name", "actor_email", "actor_id")))
    if query.object:
        pattern = glob(query.object)
        yield or_(*(EVENT.c[name].ilike(pattern, escape="\\") for name in ("object_key", "object_name")))
    if query.text:
        yield _has_text(query.text, dialect)
    if not query.linked:
        # A scalar, which is looked up for each event that is shown: a join would read the whole table first.
        entry = EVENT.alias("entry")
        linked = select(entry.c.number).where(entry.c.id == EVENT.c.related_event).scalar_subquery()
        yield or_(EVENT.c.related_event.is_(None), linked.is_(None))


def _has_text(text: str, dialect: str) -> ColumnElement[bool]:
    wanted = words(text)
    if dialect == "postgresql":
        asked = " & ".join(f"'{word}':*" for word in wanted)
        vector: Any = literal_column(WORDS)
        return vector.op("@@")(literal(asked, String).cast(TSQUERY)) if wanted else literal(value=False)
    return func.has_words(joined_texts(), " ".join(wanted)) == 1 if wanted else literal(value=False)


def joined_texts() -> ColumnElement[str]:
    """Return all that people read of an event, as one text."""
    parts = [func.coalesce(EVENT.c[name], "") for name in TEXTS]
    whole: Any = parts[0]
    for part in parts[1:]:
        whole = whole.op("||")(literal(" ")).op("||")(part)
    return whole  # type: ignore[no-any-return]


def glob(pattern: str) -> str:
    """Return the LIKE pattern of one in which only `*` stands for any characters."""
    return escaped(pattern).replace("*", "%")


def escaped(text: str) -> str:
    """Return text that LIKE takes literally."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
