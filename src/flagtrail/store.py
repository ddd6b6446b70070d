"""Keeps events, the records behind them, and the coverage that says how much of the past they are.

Events and the coverage they prove are written in one transaction, so a crash leaves both or neither. Every write is
idempotent: reading the same page twice, or by two processes, changes nothing.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Self

from sqlalchemy import Connection, delete, select, update

from flagtrail import covering, forgotten
from flagtrail.bulk import insert_new
from flagtrail.connector import Stream
from flagtrail.covering import Untold, is_stream
from flagtrail.database import enter, guarded, only_reading, open_database, outdated, shown_url, writing
from flagtrail.errors import AccessDenied, StoreError
from flagtrail.event import Record, from_json
from flagtrail.forgotten import pseudonymised
from flagtrail.gather import Gathering
from flagtrail.packing import Packing
from flagtrail.pseudonyms import Pseudonyms
from flagtrail.recount import recount
from flagtrail.revisions import Added, Writing
from flagtrail.rows import Prepared, Reading, Row, prepared
from flagtrail.schema import GAP, SOURCE, STREAM, VERDICT
from flagtrail.window import Window, from_ms, to_ms

CREDENTIALS = 8  # fingerprints of the last ones are remembered


class Gap(NamedTuple):
    """A window that could not be read whole, why, and how many entries the vendor counts and the store holds.

    `seen_at` is when it was tried last; None for one that was not read yet. One that is `permanent` was never stored
    and is not kept by the vendor any more.
    """

    window: Window
    reason: str
    expected: int | None
    stored: int
    seen_at: datetime | None
    permanent: bool = False


class SourceState(NamedTuple):
    """How the last look at a source went."""

    source: str
    vendor: str
    succeeded_at: datetime | None
    failed_at: datetime | None
    error: str | None


class StreamState(NamedTuple):
    """What the last sync left about a stream."""

    source: str
    stream: str
    vendor: str
    label: str | None
    account: str | None
    log: str | None
    credential: str | None
    credential_at: datetime | None
    counts: str | None
    counts_at: datetime | None
    retention: int | None
    wanted_since: datetime | None
    settled_at: datetime | None
    succeeded_at: datetime | None
    failed_at: datetime | None
    error: str | None
    kept_since: datetime | None = None


class Store:
    """The database. Safe to use from many threads and processes."""

    def __init__(self, url: str, *, create: bool = True) -> None:
        """Open a database by its URL and bring its schema up to date; raises StoreError."""
        self.engine = open_database(url, create=create)
        self.shown = shown_url(self.engine.url)
        self.packing = Packing(self.engine)
        self.gathering = Gathering(self.engine)
        self._forgotten: Pseudonyms | None = None

    def close(self) -> None:
        """Let go of the database."""
        self.engine.dispose()

    def outdated(self) -> str | None:
        """Return why the database has not the schema that we work with, None when it has; raises StoreError."""
        with guarded(self.shown):
            return outdated(self.engine)

    def only_read(self) -> None:
        """Let the database refuse whatever would change it, from now on."""
        only_reading(self.engine)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def add(self, source: str, vendor: str, readings: Iterable[Reading]) -> Added:
        """Store what pages said, in one transaction; nothing is overwritten that has the same content.

        An entry that comes back with other content becomes a new revision; its former record is kept.
        """
        return self.write(source, [prepared(source, vendor, reading) for reading in readings])

    def write(self, source: str, readings: Sequence[Prepared]) -> Added:
        """Do what `add` does with readings that are rows already."""
        now = from_ms(to_ms(datetime.now(UTC)))
        rows: dict[str, Row] = {}
        for row in (row for reading in readings for row in reading.rows):
            last = rows.get(row.id)
            if last is None or last.read_at is None or row.read_at is None or last.read_at <= row.read_at:
                rows[row.id] = row  # the latest answer counts, in whatever order they come
        streams = sorted({reading.stream for reading in readings})
        with guarded(self.shown), writing(self.engine) as connection:
            enter(connection)
            covering.lock_streams(connection, source, streams)
            known = self.forgotten(connection)
            if known is not None:
                rows = {id: pseudonymised(known, row) for id, row in rows.items()}
            added = Writing(connection, self.packing, now).write(rows)
            claims: dict[str, list[Window]] = {stream: [] for stream in streams}
            for reading in readings:
                if reading.covers is not None:
                    claims[reading.stream].append(reading.covers)
            covering.cover(connection, source, claims)
            for reading in readings:
                if reading.gap is not None:
                    window, reason, expected = reading.gap
                    reason = known.value(reason) if known else reason
                    covering.note_gap(
                        connection, source, Untold(reading.stream, window, reason, expected, len(reading.rows)), now
                    )
        self._learn_from(added)
        return added

    def _learn_from(self, added: Added) -> None:
        """Do what can wait until the events are stored; what fails is tried again after the next ones."""
        try:
            with guarded(self.shown):
                self.packing.learn()
                self.gathering.stored(len(added.new) + len(added.changed))
        except StoreError as error:
            import structlog  # slow to import, and rarely needed here

            structlog.get_logger().warning("gathering_failed", error=str(error))

    def forgotten(self, connection: Connection) -> Pseudonyms | None:
        """Return who is forgotten by now, for what is written in this transaction, which has entered; None: nobody."""
        count = forgotten.count(connection)
        self.packing.forget(count)
        if count != (self._forgotten.count if self._forgotten else 0):  # identities are added, and never taken out
            self._forgotten = forgotten.load(connection)
        return self._forgotten

    def unnamed(self, connection: Connection, text: str | None) -> str | None:
        """Return a text that is to be written, with pseudonyms in place of forgotten persons.

        It enters: nobody else is forgotten until the transaction ends. To be called before any row is locked.
        """
        if not text:
            return text
        enter(connection)
        known = self.forgotten(connection)
        return known.text(text) if known else text

    def gather(self) -> None:
        """Gather for some seconds what waits for it, as it does after an upgrade that makes counts and indexes anew."""
        with guarded(self.shown):
            self.gathering.stored(0)

    def write_back(self) -> None:
        """Let SQLite's file hold all that its log holds, as far as nobody reads just then."""
        if self.engine.dialect.name == "sqlite":
            with guarded(self.shown), self.engine.connect() as connection:
                driver: Any = connection.connection
                driver.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def recount(self) -> bool:
        """Count everything anew if the counts are not those of the table, and return whether it was so."""
        with guarded(self.shown):
            return recount(self.engine)

    def record(self, connection: Connection, body: bytes) -> Record:
        """Return a kept record; raises StoreError when it cannot be unpacked."""
        try:
            record: Record = from_json(self.packing.unpack(connection, body))
        except ValueError as error:
            raise StoreError(f"database {self.shown}: {error}; restore it, or read the entry again") from None
        return record

    def uncover(self, source: str, stream: str, window: Window, reason: str, expected: int | None, stored: int) -> None:
        """Take a window out of the coverage, and note it as a gap: it turned out that it cannot be read whole."""
        with guarded(self.shown), writing(self.engine) as connection:
            gap = Untold(stream, window, self.unnamed(connection, reason) or "", expected, stored)
            covering.lock_streams(connection, source, [stream])
            covering.uncover(connection, source, gap, datetime.now(UTC))

    def coverage(self, source: str, stream: str) -> list[Window]:
        """Return the covered windows of a stream, oldest first."""
        with guarded(self.shown), self.engine.connect() as connection:
            return covering.covered(connection, source, stream)

    def gaps(self, source: str, stream: str) -> list[Gap]:
        """Return the windows of a stream that could not be read whole, oldest first."""
        query = select(GAP).where(is_stream(GAP, source, stream)).order_by(GAP.c.since)
        with guarded(self.shown), self.engine.connect() as connection:
            rows = connection.execute(query).all()
        return [Gap(Window(r.since, r.until), r.reason, r.expected, r.stored, r.seen_at, r.permanent) for r in rows]

    def note_lost(self, source: str, stream: str, lost: Iterable[Window], reason: str) -> list[Window]:
        """Remember windows that were never stored and cannot be read any more; return what of them was not known."""
        with guarded(self.shown), writing(self.engine) as connection:
            covering.lock_streams(connection, source, [stream])
            return covering.note_lost(connection, source, stream, lost, reason, datetime.now(UTC))

    def streams(self) -> list[StreamState]:
        """Return every stream that was ever seen, by source and name."""
        query = select(*(STREAM.c[name] for name in StreamState._fields)).order_by(STREAM.c.source, STREAM.c.stream)
        with guarded(self.shown), self.engine.connect() as connection:
            return [StreamState(*row) for row in connection.execute(query)]

    def sources(self) -> list[SourceState]:
        """Return every source that was ever looked at, by name."""
        query = select(*(SOURCE.c[name] for name in SourceState._fields)).order_by(SOURCE.c.source)
        with guarded(self.shown), self.engine.connect() as connection:
            return [SourceState(*row) for row in connection.execute(query)]

    def note_source(self, source: str, vendor: str, error: str | None) -> None:
        """Remember how a look at a source went; no error is a success."""
        now = datetime.now(UTC)
        values: dict[str, Any] = (
            {"failed_at": now, "error": error} if error else {"succeeded_at": now, "failed_at": None, "error": None}
        )
        with guarded(self.shown), writing(self.engine) as connection:
            values["error"] = self.unnamed(connection, error)
            insert_new(connection, SOURCE, {"source": source, "vendor": vendor})
            connection.execute(update(SOURCE).where(SOURCE.c.source == source).values(values))

    def register(
        self, source: str, vendor: str, stream: Stream, *, retention: timedelta | None = None, **values: Any
    ) -> None:
        """Remember a stream, and when it is new, also `values`: what of its time is wanted.

        Raises AccessDenied when it was another account's log before.
        """
        now = datetime.now(UTC)
        told: dict[str, Any] = {"label": stream.label, "log": stream.log}
        told["retention"] = round(retention.total_seconds()) if retention else None
        with guarded(self.shown), writing(self.engine) as connection:
            told["label"] = self.unnamed(connection, stream.label)
            mine = is_stream(STREAM, source, stream.name)
            known = connection.execute(select(STREAM.c.account, STREAM.c.credential).where(mine)).first()
            if known is None:
                told |= {"account": stream.account, "credential": stream.credential}
                insert_new(
                    connection, STREAM, {"source": source, "stream": stream.name, "vendor": vendor} | told | values
                )
                return
            if known.account and stream.account and known.account != stream.account:
                raise AccessDenied(
                    f"the credential belongs to account {stream.account}, but {stream.name} of {source} holds the log "
                    f"of {known.account}: correct the credential, or give the other account a source of its own"
                )
            seen = (known.credential or "").split(",") if known.credential else []
            if stream.credential and stream.credential not in seen:
                told["credential"] = ",".join([*seen, stream.credential][-CREDENTIALS:])
            if seen and "credential" in told:
                told["credential_at"] = now
                # What another credential could see says nothing about what this one can.
                connection.execute(
                    delete(VERDICT).where(is_stream(VERDICT, source, stream.name), VERDICT.c.verdict != "healed")
                )
            told["account"] = stream.account or known.account
            connection.execute(update(STREAM).where(mine).values(told))

    def note(self, source: str, stream: str, **values: Any) -> None:
        """Remember how the last sync of a stream went; the names are columns of the table `stream`."""
        with guarded(self.shown), writing(self.engine) as connection:
            told = values | ({"error": self.unnamed(connection, values["error"])} if values.get("error") else {})
            connection.execute(update(STREAM).where(is_stream(STREAM, source, stream)).values(told))
