"""Asks the store what changed around a moment, and returns the suspects with what was not read around it."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select

from flagtrail.bulk import among
from flagtrail.query import Query, events, may_be, reading
from flagtrail.schema import EVENT
from flagtrail.store import Store
from flagtrail.suspects import LOOKBACK, REVERSAL, Past, Row, Suspect, object_of, ranked
from flagtrail.unread import Logs, Unread, logs_of, unread
from flagtrail.window import MILLISECOND, Window

BEFORE, AFTER = timedelta(hours=1), timedelta(minutes=5)
OBJECT = ("source", "project", "location", "environment", "object_kind")


@dataclass(frozen=True, slots=True)
class Around:
    """What changed around a moment: the likeliest causes first, how many changes there were, and what is not known.

    `changes` counts what was looked at, of which `suspects` shows the first. `unread` are the times of `[since, until)`
    in which a change may be missing here.
    """

    moment: datetime
    since: datetime
    until: datetime
    suspects: Sequence[Suspect]
    changes: int
    unread: Sequence[Unread]

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as JSON has it; events are dicts with the columns of the table `event`."""
        told = {name: getattr(self, name) for name in ("moment", "since", "until", "changes")}
        suspects = [suspect.as_dict() | {"rank": rank} for rank, suspect in enumerate(self.suspects, start=1)]
        return told | {"suspects": suspects, "unread": [one._asdict() for one in self.unread]}


def around(  # noqa: PLR0913 - a question has that many sides
    store: Store,
    moment: datetime,
    *,
    before: timedelta = BEFORE,
    after: timedelta = AFTER,
    environment: str | None = None,
    object: str | None = None,
    project: str | None = None,
    limit: int = 10,
    configured: Iterable[str] = (),
) -> Around:
    """Return the changes from `before` until `after` a moment, ranked; `limit` 0 means all.

    A change that belongs to no single environment or project, such as that of a segment, is looked at whatever
    environment or project is asked for: it may concern it. All three are as in a Query.
    `configured` are the names of the sources that there should be.
    """
    window = Window(moment - before, moment + after + MILLISECOND)
    reach = max(window.until, moment + REVERSAL)
    missing = unread(store, window, configured)  # before the events: what is stored in between can only add
    logs = logs_of(store)
    wide = Query(since=window.since - REVERSAL, until=reach, object=object, limit=0)
    fits = may_be(store, environment, project)
    rows = [row for row in events(store, wide) if all(fit(row[name]) for name, fit in fits.items())]
    meant = [row for row in rows if window.since <= row["occurred_at"] < window.until]
    past = _pasts(store, logs, meant, window.since)
    suspects = ranked(meant, moment, others=rows, past=past, environment=environment)
    shown = suspects[:limit] if limit else suspects
    return Around(moment, window.since, window.until, shown, len(meant), missing)


def _pasts(store: Store, read: Logs, rows: Sequence[Row], since: datetime) -> Callable[[Row], Past | None]:
    """Return a function that tells how often an event's object was changed before it, in its own environment."""
    counts = _counts(store, rows, since)
    logs = {(row["source"], row["stream"]) for row in rows}
    known = {log: _known(read(*log).covered, since) for log in logs}
    earlier: dict[tuple[Any, ...], list[datetime]] = {}
    for row in rows:
        earlier.setdefault(object_of(row), []).append(row["occurred_at"])

    def past(row: Row) -> Past | None:
        if not (row["object_key"] or row["object_name"]):
            return None
        of_it = object_of(row)
        since_then = sum(at < row["occurred_at"] for at in earlier.get(of_it, ()))
        return Past(counts[of_it] + since_then, known.get((row["source"], row["stream"]), timedelta()))

    return past


def _known(windows: Sequence[Window], until: datetime) -> timedelta:
    """Return for how long before an instant nothing is missing."""
    reaching = [until - window.since for window in windows if window.since < until <= window.until]
    return min(LOOKBACK, max(reaching, default=timedelta()))


def _counts(store: Store, rows: Sequence[Row], until: datetime) -> Mapping[tuple[Any, ...], int]:
    """Return how many changes each object had in each environment in the time before an instant."""
    names = sorted({name for row in rows if (name := row["object_key"] or row["object_name"])})
    if not names:
        return Counter()
    named = func.coalesce(EVENT.c.object_key, EVENT.c.object_name)
    columns = [*(EVENT.c[name] for name in OBJECT), named]
    before = (EVENT.c.occurred_at >= until - LOOKBACK, EVENT.c.occurred_at < until)
    with reading(store) as connection:
        own = EVENT.c.related_event.is_(None)  # a flag event is about a change that is counted already
        query = select(*columns, func.count()).where(*before, own, among(named, names, connection)).group_by(*columns)
        return Counter({tuple(row[:-1]): int(row[-1]) for row in connection.execute(query)})
