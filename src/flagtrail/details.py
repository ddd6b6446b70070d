"""Fetches the full form of entries, one request each, as far as the vendor's limits leave room for it.

Which entries are wanted in full stands in the table `detail`, written together with the event, so that a restart
forgets none. The newest are fetched first, and the listing never waits for them.
"""

import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import structlog
from sqlalchemy import and_, delete, or_, select, update

from flagtrail.api import Api
from flagtrail.connector import Stream
from flagtrail.counts import count_open
from flagtrail.database import enter, guarded, writing
from flagtrail.errors import AccessDenied, SourceError, Unavailable, UnexpectedResponse
from flagtrail.event import Event, Record, to_json
from flagtrail.packing import kind_of
from flagtrail.report import Nobody, Watch
from flagtrail.rows import clean
from flagtrail.schema import DETAIL, EVENT
from flagtrail.source import Source
from flagtrail.store import Store

BATCH = 40  # entries fetched before the next ones are looked up, and stored in one transaction
AGAIN = timedelta(minutes=10)  # before an entry is tried again whose answer was not understood; longer each time
KNOWN = ("vendor_id", "occurred_at", "action", "vendor_action", "object_kind", "object_key", "project", "environment")
SLOWEST = 6  # attempts after which it is tried every 10 hours

log = structlog.get_logger()


class Wanted(NamedTuple):
    """An entry whose full form is to be fetched, and what is known of it."""

    number: int
    log: str
    revision: int
    event: Event


@dataclass(slots=True)
class Fetched:
    """How many full forms were stored, and how many the vendor does not show; the error that ended it."""

    stored: int = 0
    gone: int = 0
    error: str | None = None


def fetch(
    source: Source,
    store: Store,
    api: Api,
    streams: Iterable[Stream],
    stop: threading.Event,
    *,
    seconds: float,
    watch: Watch | None = None,
) -> Fetched:
    """Fetch what is wanted, newest first, until nothing is left, the time is over or the vendor wants a pause."""
    known = {stream.log: stream for stream in streams}
    fetched, watch = Fetched(), watch or Nobody()
    deadline = time.monotonic() + seconds
    watch.planned(1, count_open(store, source.name))
    with ThreadPoolExecutor(source.parallel, thread_name_prefix=f"{source.name}-detail") as pool:
        while not (stop.is_set() or fetched.error or time.monotonic() > deadline):
            wanted = _wanted(store, source, known)
            if not wanted:
                break

            def ask(one: Wanted) -> tuple[Wanted, Record | SourceError]:
                if stop.is_set() or fetched.error:
                    return one, Unavailable("stopped")
                try:
                    return one, source.connector.detail(api, known[one.log], one.event.vendor_id)
                except (UnexpectedResponse, AccessDenied) as error:
                    if isinstance(error, AccessDenied) and error.status != 404:
                        fetched.error = fetched.error or str(error)  # the others would be refused as well
                    return one, error
                except SourceError as error:
                    fetched.error = str(error)
                    return one, error

            answers = list(pool.map(ask, wanted))
            _keep(source, store, known, answers, fetched)
            watch.stored(sum(isinstance(answer, dict) for _, answer in answers))
    watch.ended()
    return fetched


def _wanted(store: Store, source: Source, streams: dict[str, Stream]) -> list[Wanted]:
    """Return the newest entries that wait and were not tried a moment ago; drop those that are not wanted any more."""
    now = datetime.now(UTC)
    untried = [and_(DETAIL.c.attempts == 0)]
    untried += [and_(DETAIL.c.attempts == n, DETAIL.c.tried_at < now - AGAIN * 2**n) for n in range(1, SLOWEST)]
    untried += [and_(DETAIL.c.attempts >= SLOWEST, DETAIL.c.tried_at < now - AGAIN * 2**SLOWEST)]
    query = (
        select(DETAIL.c.number, DETAIL.c.stream.label("log"), EVENT.c.revision, *(EVENT.c[name] for name in KNOWN))
        .join(EVENT, EVENT.c.number == DETAIL.c.number)
        .where(DETAIL.c.source == source.name, DETAIL.c.state == "open", DETAIL.c.stream.in_(streams), or_(*untried))
        .order_by(DETAIL.c.occurred_at.desc())
        .limit(BATCH)
    )
    while True:
        with guarded(store.shown), store.engine.connect() as connection:
            found = connection.execute(query).mappings().all()
        waiting = [
            Wanted(
                row["number"],
                row["log"],
                row["revision"],
                Event.model_construct(None, **{name: row[name] for name in KNOWN}),
            )
            for row in found
        ]
        wanted = [one for one in waiting if source.connector.detailed(streams[one.log], one.event)]
        dropped = [one.number for one in waiting if one not in wanted]
        if dropped:
            with guarded(store.shown), writing(store.engine) as connection:
                connection.execute(delete(DETAIL).where(DETAIL.c.number.in_(dropped)))
        if wanted or not waiting:
            return wanted


def _keep(
    source: Source,
    store: Store,
    streams: dict[str, Stream],
    answers: Iterable[tuple[Wanted, Record | SourceError]],
    fetched: Fetched,
) -> None:
    """Store full forms and what they say of changes, or why there is none."""
    now = datetime.now(UTC)
    with guarded(store.shown), writing(store.engine) as connection:
        enter(connection)
        known = store.forgotten(connection)
        for one, answer in answers:
            mine = DETAIL.c.number == one.number
            tried = {"attempts": DETAIL.c.attempts + 1, "tried_at": now}
            if isinstance(answer, dict):
                same = and_(EVENT.c.number == one.number, EVENT.c.revision == one.revision)
                event = _event(source, streams[one.log], answer)
                told = event.changes if event else None
                changes: Any = EVENT.c.changes
                if told is not None:
                    changes = clean([change.model_dump() for change in told])
                    changes = known.value(changes) if known else changes
                values: dict[str, Any] = {"changes": changes}
                if not connection.execute(update(EVENT).where(same).values(values)).rowcount:
                    continue  # it has other content by now: what was fetched may be of the content before
                kind = kind_of(source.connector.vendor, DETAIL.name)
                [packed] = store.packing.pack(connection, kind, [to_json(known.value(answer) if known else answer)])
                values = {"state": "done", "tried_at": now, "body": packed}
                fetched.stored += 1
            elif isinstance(answer, AccessDenied) and answer.status == 404:
                values = {"state": "gone", "tried_at": now}
                fetched.gone += 1
                log.warning("detail_gone", source=source.name, vendor_id=one.event.vendor_id, error=str(answer))
            elif isinstance(answer, AccessDenied):
                if answer.status == 401:
                    continue  # it is about the credential, not about this entry
                values = tried
            elif isinstance(answer, UnexpectedResponse):
                log.warning(
                    "detail_not_understood", source=source.name, vendor_id=one.event.vendor_id, error=str(answer)
                )
                values = tried
            else:
                continue
            connection.execute(update(DETAIL).where(mine).values(values))
    with guarded(store.shown):
        store.packing.learn()


def _event(source: Source, stream: Stream, full: Record) -> Event | None:
    """Return what the full form of an entry means; None when it cannot be used."""
    try:
        return source.connector.event(stream, full)
    except UnexpectedResponse:
        return None
