"""Keeps whom to forget: hashes of what they went by, and when that was done; pseudonymises what is stored since.

Whoever stores looks here within the transaction that writes, so that nothing comes in by its name once the hashes are
committed, whichever process reads it.
"""

import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, insert, select, update

from flagtrail.event import Record, from_json, to_json
from flagtrail.pseudonyms import Identity, Pseudonyms, hashed
from flagtrail.rows import Row, digest_of
from flagtrail.schema.forgetting import FORGOTTEN, IDENTITY, IDENTITY_KEY


class Act(NamedTuple):
    """One time that a person was forgotten; see the table `forgotten`."""

    number: int
    pseudonym: str
    begun_at: datetime
    finished_at: datetime | None
    reason: str | None
    events: int
    records: int
    details: int
    others: int
    dictionaries: list[int] | None


def count(connection: Connection) -> int:
    """Return how many identities are forgotten."""
    return int(connection.execute(select(func.count()).select_from(IDENTITY)).scalar_one())


def load(connection: Connection) -> Pseudonyms | None:
    """Return all forgotten persons; None when there is nobody."""
    known = [Identity(*row) for row in connection.execute(select(*(IDENTITY.c[name] for name in Identity._fields)))]
    return Pseudonyms(key_of(connection), known) if known else None


def key_of(connection: Connection) -> bytes:
    """Return the key of this database's hashes, which is made when there is none; the caller writes alone."""
    key = connection.execute(select(IDENTITY_KEY.c.key)).scalar()
    if key is None:
        key = secrets.token_bytes(32)
        connection.execute(insert(IDENTITY_KEY).values(id=1, key=key))
    return bytes(key)


def remember(connection: Connection, identities: Iterable[str], pseudonym: str) -> None:
    """Keep the hashes of what a person went by; what is another forgotten person's already stays theirs."""
    key = key_of(connection)
    known = {bytes(digest) for digest in connection.execute(select(IDENTITY.c.digest)).scalars()}
    new = {each.digest: each for text in identities for each in hashed(key, text, pseudonym)}
    rows = [each._asdict() for digest, each in new.items() if digest not in known]
    if rows:
        connection.execute(insert(IDENTITY), rows)


def acts(connection: Connection, pseudonym: str | None = None) -> list[Act]:
    """Return every time that somebody was forgotten, or one person, the oldest first."""
    query = select(*(FORGOTTEN.c[name] for name in Act._fields)).order_by(FORGOTTEN.c.number)
    if pseudonym:
        query = query.where(FORGOTTEN.c.pseudonym == pseudonym)
    return [Act(*row) for row in connection.execute(query)]


def begin(
    connection: Connection, pseudonym: str, reason: str | None, dictionaries: Sequence[int], now: datetime
) -> Act:
    """Note that a person is being forgotten, or go on with what was not finished, and return it."""
    open_ = next((act for act in acts(connection, pseudonym) if act.finished_at is None), None)
    if open_ is None:
        values: dict[str, Any] = {"pseudonym": pseudonym, "begun_at": now, "reason": reason}
        values |= dict.fromkeys(("events", "records", "details", "others"), 0)
        connection.execute(insert(FORGOTTEN).values(values | {"dictionaries": list(dictionaries)}))
    else:
        both = sorted({*(open_.dictionaries or ()), *dictionaries})
        values = {"dictionaries": both, "reason": reason or open_.reason}
        connection.execute(update(FORGOTTEN).where(FORGOTTEN.c.number == open_.number).values(values))
    return acts(connection, pseudonym)[-1]


def pseudonymised(known: Pseudonyms, row: Row) -> Row:
    """Return a row that is to be written with pseudonyms in place of forgotten persons, its record and digest too.

    The digest is that of the pseudonymised record, so the same entry is the same whenever it is read again.
    """
    columns = known.columns(row.values)
    if columns:
        row = row._replace(values=row.values | columns)
    if not known.may_stand_in(row.body.decode("utf-8", "replace")):
        return row
    record: Record = from_json(row.body)
    replaced = known.value(record)
    return row if replaced == record else row._replace(body=to_json(replaced), digest=digest_of(replaced))
