"""Holds the trail as it is: while a hold lasts, nothing is deleted or pseudonymised, whoever wants it.

Each hold stays on record, with its reason, its beginning and its end.
"""

from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Connection, insert, select, update

from flagtrail.database import alone, guarded, writing
from flagtrail.errors import ConfigError, Held
from flagtrail.schema.forgetting import HOLD
from flagtrail.store import Store
from flagtrail.window import iso


class Hold(NamedTuple):
    """A time in which nothing may be deleted or pseudonymised; it lasts while `until` is None."""

    number: int
    since: datetime
    reason: str
    until: datetime | None
    ended_reason: str | None


def holds(store: Store) -> list[Hold]:
    """Return every hold that there ever was, the oldest first; at most the last one lasts."""
    with guarded(store.shown), store.engine.connect() as connection:
        return _holds(connection)


def check_free(connection: Connection) -> None:
    """Raise Held while a hold lasts; the caller deletes or changes what is kept in the same transaction."""
    lasting = next((hold for hold in _holds(connection) if hold.until is None), None)
    if lasting:
        raise Held(
            f"the trail is on hold since {iso(lasting.since)} ({lasting.reason}): nothing of it is deleted or "
            "pseudonymised; `flagtrail hold off` ends that"
        )


def begin(store: Store, reason: str) -> None:
    """Begin a hold; once this returns, nothing is deleted or pseudonymised. Raises ConfigError when one lasts."""
    with guarded(store.shown), writing(store.engine) as connection:
        alone(connection)
        if any(hold.until is None for hold in _holds(connection)):
            raise ConfigError("the trail is on hold already; `flagtrail hold status` tells why")
        told = store.unnamed(connection, reason)
        connection.execute(insert(HOLD).values(since=datetime.now(UTC), reason=told))


def end(store: Store, reason: str) -> None:
    """End the hold that lasts; raises ConfigError when there is none."""
    with guarded(store.shown), writing(store.engine) as connection:
        ended = {"until": datetime.now(UTC), "ended_reason": store.unnamed(connection, reason)}
        if not connection.execute(update(HOLD).where(HOLD.c.until.is_(None)).values(ended)).rowcount:
            raise ConfigError("the trail is not on hold")


def _holds(connection: Connection) -> list[Hold]:
    query = select(*(HOLD.c[name] for name in Hold._fields)).order_by(HOLD.c.number)
    return [Hold(*row) for row in connection.execute(query)]
