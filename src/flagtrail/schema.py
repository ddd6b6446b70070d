"""The tables. People query them with plain SQL, so names, types and comments here are an interface.

Every instant is UTC with milliseconds: TIMESTAMPTZ in PostgreSQL; in SQLite text such as 2026-03-01T14:03:00.000Z,
which sorts by time and which its date functions read.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Identity, Index, Integer, LargeBinary, String
from sqlmodel import Field, SQLModel

from flagtrail.columns import Document, Instant, Number, where


class EventRow(SQLModel, table=True):
    """One change by one actor to one object."""

    __tablename__ = "event"
    __table_args__ = (
        Index("event_by_id", "id", unique=True),
        Index("event_by_time", "occurred_at", "number"),
        Index("event_by_stream", "source", "stream", "occurred_at"),
        Index("event_by_related", "related_event", **where("related_event IS NOT NULL")),
        Index("event_provisional", "source", "stream", "occurred_at", **where("provisional")),
        Index("event_vanished", "source", "stream", "vanished_reason", **where("vanished_at IS NOT NULL")),
        {"sqlite_autoincrement": True},  # no number is given twice, whatever was deleted
    )

    number: int = Field(
        sa_column=Column(Number, Identity(), primary_key=True), description="the order in which events were stored here"
    )
    id: str = Field(description="stable: made from source, stream and vendor_id")
    source: str = Field(description="name of the source in the config")
    vendor: str = Field(description="launchdarkly, configcat")
    stream: str = Field(description="audit_log, flag_events[project/environment], audit_log[organization id]")
    vendor_id: str = Field(description="the vendor's own id of the entry")
    occurred_at: datetime = Field(sa_type=Instant, description="when it happened, by the vendor")
    first_seen_at: datetime = Field(sa_type=Instant, description="when it was stored here first")
    actor_kind: str = Field(description="member, token, app, automation, system, unknown")
    actor_id: str | None = Field(default=None, description="the vendor's id of the actor")
    actor_name: str | None = Field(default=None, description="the name that the vendor shows")
    actor_email: str | None = Field(default=None, description="e-mail of a person")
    action: str = Field(description="the shared verb (see vocabulary.md), or the vendor's word when no verb fits")
    vendor_action: str = Field(description="the vendor's word, verbatim; several are joined by commas")
    object_kind: str | None = Field(default=None, description="flag, segment, environment, member, ...")
    object_key: str | None = Field(default=None, description="key of what was changed")
    object_name: str | None = Field(default=None, description="name of what was changed")
    project: str | None = Field(default=None, description="key of the project; its name where the vendor tells no key")
    project_name: str | None = Field(default=None, description="name of the project, where the vendor says it")
    environment: str | None = Field(
        default=None, description="key, or else name, of the one environment that was changed; null: none or several"
    )
    environment_name: str | None = Field(default=None, description="name of that environment, where the vendor says it")
    organization: str | None = Field(default=None, description="the vendor's id of the account or organization")
    location: str | None = Field(default=None, description="the place in the vendor's own words (ConfigCat's `where`)")
    summary: str | None = Field(default=None, description="the change in a short phrase, for people")
    comment: str | None = Field(default=None, description="the reason that the actor gave")
    changes: list[dict[str, Any]] | None = Field(
        default=None, sa_type=Document, description="JSON list of {path, before, after}"
    )
    impact: dict[str, Any] | None = Field(
        default=None, sa_type=Document, description="JSON of the measured effect on evaluations (flag events)"
    )
    truncated: bool = Field(default=False, description="the vendor cut its account of the change short")
    provisional: bool = Field(default=False, description="the vendor will still change it; it is read again until then")
    change_set: str | None = Field(default=None, description="groups the events of one save (ConfigCat, older items)")
    related_event: str | None = Field(default=None, description="id of the audit entry that a flag event belongs to")
    url: str | None = Field(default=None, description="the vendor's own page about it")
    revision: int = Field(default=1, description="1, and one more each time the vendor showed other content")
    vanished_at: datetime | None = Field(
        default=None, sa_type=Instant, description="since when the vendor no longer shows it"
    )
    vanished_reason: str | None = Field(
        default=None, description="why, as far as it can be told: retention, environment deleted, hidden, unexplained"
    )


class RecordRow(SQLModel, table=True):
    """The vendor's entry behind an event, untouched, once per revision."""

    __tablename__ = "record"

    number: int = Field(
        sa_column=Column(Number, primary_key=True, autoincrement=False), description="number of the event"
    )
    revision: int = Field(primary_key=True, description="which revision of the event this is")
    seen_at: datetime = Field(sa_type=Instant, description="when this content was seen first")
    digest: bytes = Field(sa_type=LargeBinary, description="SHA-256 of the content with sorted keys")
    body: bytes = Field(
        sa_type=LargeBinary, description="the vendor's JSON, each value as it was sent; packed by Zstandard"
    )


class DictionaryRow(SQLModel, table=True):
    """What the records of one kind of log have in common. Those packed with a dictionary cannot be read without it."""

    __tablename__ = "dictionary"

    number: int = Field(
        sa_column=Column(Number, primary_key=True, autoincrement=False),
        description="Zstandard's number of it, which the packed records name",
    )
    kind: str = Field(description="vendor and log, such as launchdarkly/audit_log")
    made_at: datetime = Field(sa_type=Instant, description="when it was learnt; the newest of a kind is used")
    body: bytes = Field(sa_type=LargeBinary, description="the dictionary, in Zstandard's format")


class CoverageRow(SQLModel, table=True):
    """One window of a stream whose every entry is stored: a checkpoint. Windows neither overlap nor touch."""

    __tablename__ = "coverage"

    source: str = Field(primary_key=True, description="name of the source")
    stream: str = Field(primary_key=True, description="name of the stream")
    since: datetime = Field(primary_key=True, sa_type=Instant, description="start, part of the window")
    until: datetime = Field(sa_type=Instant, description="end, not part of the window")


class GapRow(SQLModel, table=True):
    """A window that could not be read whole, and why; other gaps are simply what is wanted and not covered."""

    __tablename__ = "gap"

    source: str = Field(primary_key=True, description="name of the source")
    stream: str = Field(primary_key=True, description="name of the stream")
    since: datetime = Field(primary_key=True, sa_type=Instant, description="start, part of the window")
    until: datetime = Field(primary_key=True, sa_type=Instant, description="end, not part of the window")
    reason: str = Field(description="why it could not be read whole")
    expected: int | None = Field(default=None, description="entries by the vendor's count, if it tells one")
    stored: int = Field(description="entries that could be stored")
    seen_at: datetime = Field(sa_type=Instant, description="when it was tried last")
    permanent: bool = Field(default=False, description="the vendor no longer keeps what was there; nobody can read it")


class VerdictRow(SQLModel, table=True):
    """What a verification found in one window of a stream. The newest verdict of a method on a moment is what counts.

    Windows of one method do not overlap, except that what was healed stays on record.
    """

    __tablename__ = "verdict"

    source: str = Field(primary_key=True, description="name of the source")
    stream: str = Field(primary_key=True, description="name of the stream")
    method: str = Field(primary_key=True, description="counts: numbers were compared; contents: ids and contents were")
    since: datetime = Field(primary_key=True, sa_type=Instant, description="start, part of the window")
    checked_at: datetime = Field(primary_key=True, sa_type=Instant, description="when it was compared")
    until: datetime = Field(sa_type=Instant, description="end, not part of the window")
    verdict: str = Field(description="verified, healed, differs, not verifiable")
    expected: int | None = Field(default=None, description="entries by the vendor's count, or in its list")
    stored: int | None = Field(default=None, description="entries in the table that the vendor still shows, afterwards")
    found: int = Field(default=0, description="entries that were missing, and were stored")
    changed: int = Field(default=0, description="entries that had other content by now, and got a new revision")
    vanished: int = Field(default=0, description="entries that the vendor no longer shows, and that were marked so")
    reason: str | None = Field(default=None, description="why it differs, or cannot be verified")


class DetailRow(SQLModel, table=True):
    """The full form of an entry, which the vendor tells one entry at a time: a queue until it was fetched."""

    __tablename__ = "detail"
    __table_args__ = (Index("detail_open", "source", "occurred_at", **where("state = 'open'")),)

    number: int = Field(
        sa_column=Column(Number, primary_key=True, autoincrement=False), description="number of the event"
    )
    source: str = Field(description="name of the source")
    stream: str = Field(description="the name that the event stands under")
    occurred_at: datetime = Field(sa_type=Instant, description="when the event happened; the newest are fetched first")
    state: str = Field(description="open, done, or gone: the vendor does not show it")
    attempts: int = Field(default=0, description="how often it was tried in vain")
    tried_at: datetime | None = Field(default=None, sa_type=Instant, description="when it was tried last")
    body: bytes | None = Field(
        default=None, sa_type=LargeBinary, description="the vendor's JSON in full; packed by Zstandard"
    )


class SourceRow(SQLModel, table=True):
    """How the last look at a source went: signing in, and finding its streams."""

    __tablename__ = "source"

    source: str = Field(primary_key=True, description="name of the source")
    vendor: str = Field(description="launchdarkly, configcat")
    succeeded_at: datetime | None = Field(default=None, sa_type=Instant, description="the last look without an error")
    failed_at: datetime | None = Field(
        default=None, sa_type=Instant, description="the last look with one; null once it succeeds"
    )
    error: str | None = Field(default=None, description="what the last failed look said; null once it succeeds")


class StreamRow(SQLModel, table=True):
    """What is known of a stream besides its events."""

    __tablename__ = "stream"

    source: str = Field(primary_key=True, description="name of the source")
    stream: str = Field(primary_key=True, description="name of the stream")
    vendor: str = Field(description="launchdarkly, configcat")
    label: str | None = Field(default=None, description="what people call it, where the name holds an opaque id")
    account: str | None = Field(
        default=None, description="the vendor's id of whose log it is; never mixed with another's"
    )
    log: str | None = Field(
        default=None, description="the name that its events stand under, where the stream is only a part of a log"
    )
    credential: str | None = Field(
        default=None, description="tells the last credentials from others, by commas; no secret"
    )
    credential_at: datetime | None = Field(default=None, sa_type=Instant, description="since when it is another one")
    counts: str | None = Field(
        default=None, description="whether the vendor's counts are those of its list: trusted, or why not"
    )
    counts_at: datetime | None = Field(default=None, sa_type=Instant, description="when that was tried")
    wanted_since: datetime | None = Field(
        default=None, sa_type=Instant, description="the configured start, at the last sync"
    )
    settled_at: datetime | None = Field(
        default=None, sa_type=Instant, description="the vendor's time up to which it could be covered, at the last sync"
    )
    kept_since: datetime | None = Field(
        default=None, sa_type=Instant, description="what is older was deleted here, as configured; null: nothing was"
    )
    retention: int | None = Field(
        default=None, description="for how many seconds the vendor keeps entries, as configured; null: for ever"
    )
    succeeded_at: datetime | None = Field(default=None, sa_type=Instant, description="the last sync without an error")
    failed_at: datetime | None = Field(
        default=None, sa_type=Instant, description="the last sync with one; null once it succeeds"
    )
    error: str | None = Field(default=None, description="what the last failed sync said; null once it succeeds")


class TokenRow(SQLModel, table=True):
    """Who may ask over HTTP. What a token says cannot be had back from here."""

    __tablename__ = "token"

    key: str = Field(primary_key=True, description="the open part of the token, by which it is found")
    name: str = Field(sa_column=Column(String, unique=True, nullable=False), description="what people call it")
    digest: bytes = Field(sa_type=LargeBinary, description="SHA-256 of the token")
    scopes: str = Field(description="what it may be used for, by commas: read, export, metrics")
    created_at: datetime = Field(sa_type=Instant, description="when it was made")
    expires_at: datetime | None = Field(
        default=None, sa_type=Instant, description="from when on it is of no use; null: never"
    )
    used_at: datetime | None = Field(default=None, sa_type=Instant, description="about when it was used last")
    revoked_at: datetime | None = Field(default=None, sa_type=Instant, description="since when it is of no use")


class TallyRow(SQLModel, table=True):
    """How many events happened in an hour, of those that were gathered; see `gathered`."""

    __tablename__ = "tally"
    __table_args__ = ({"sqlite_with_rowid": False},)

    hour: datetime = Field(primary_key=True, sa_type=Instant, description="its start")
    vendor: str = Field(primary_key=True, description="launchdarkly, configcat")
    source: str = Field(primary_key=True, description="name of the source")
    environment: str = Field(
        primary_key=True, description="the one environment that was changed; empty: none or several"
    )
    events: int = Field(description="how many events")
    linked: int = Field(description="how many of them are flag events whose audit entry is in the table")


class TotalRow(SQLModel, table=True):
    """How many events there are of each kind, of those that were gathered; see `gathered`."""

    __tablename__ = "total"
    __table_args__ = ({"sqlite_with_rowid": False},)

    source: str = Field(primary_key=True, description="name of the source")
    stream: str = Field(primary_key=True, description="name of the stream")
    vendor: str = Field(primary_key=True, description="launchdarkly, configcat")
    action: str = Field(primary_key=True, description="the shared verb, or the vendor's word when no verb fits")
    events: int = Field(description="how many events")
    linked: int = Field(description="how many of them are flag events whose audit entry is in the table")


class FacetRow(SQLModel, table=True):
    """A value that some event has or had, for finding what a part of a name means without reading every event."""

    __tablename__ = "facet"
    __table_args__ = ({"sqlite_with_rowid": False},)

    field: str = Field(primary_key=True, description="actor, object, word, and fields such as environment")
    value: str = Field(primary_key=True, description="the value; several that belong together are divided by U+001F")


class WaitingRow(SQLModel, table=True):
    """An event that was gathered, and changed or deleted since: it is looked at by itself until it is again."""

    __tablename__ = "waiting"

    number: int = Field(
        sa_column=Column(Number, primary_key=True, autoincrement=False), description="number of the event"
    )


class GatheredRow(SQLModel, table=True):
    """Up to where events stand in `tally`, `total` and `facet`, which can be made anew from the events at any time."""

    __tablename__ = "gathered"

    id: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False), description="1: there is one row")
    upto: int = Field(sa_type=Number, description="the number of the last event that was gathered")
    era: int = Field(
        default=0,
        sa_column_kwargs={"server_default": "0"},
        description="another number whenever everything was begun anew",
    )


class RuleRow(SQLModel, table=True):
    """How far a `[[notice]]` of the config has come: what was stored later is still to be looked at by it."""

    __tablename__ = "rule"

    rule: str = Field(primary_key=True, description="its name")
    position: int = Field(sa_type=Number, description="number of the last event that it has looked at")
    began_at: datetime = Field(sa_type=Instant, description="when it was looked at first; it tells of nothing before")
    left_out: int = Field(default=0, description="events that it asks for and that were too old to be told of")


class NoticeRow(SQLModel, table=True):
    """A message for one sink. It is sent at least once: one that may be sent twice has the same key both times."""

    __tablename__ = "notice"
    __table_args__ = (
        Index("notice_waiting", "sink", "due_at", **where("state = 'waiting'")),
        {"sqlite_autoincrement": True},
    )

    number: int = Field(sa_column=Column(Number, Identity(), primary_key=True), description="what people call it")
    rule: str = Field(description="name of the `[[notice]]`")
    sink: str = Field(description="name of the `[[sink]]`")
    key: str = Field(description="the same each time that it is sent: the rule and the first thing that it tells of")
    events: list[int] | None = Field(
        default=None, sa_type=Document, description="JSON list of the numbers of the events that it tells of"
    )
    more: int = Field(default=0, description="how many events it counts besides, without telling of each")
    findings: list[dict[str, Any]] | None = Field(
        default=None, sa_type=Document, description="JSON list of what it tells of the trail itself"
    )
    state: str = Field(description="waiting, sent, or dead: given up")
    made_at: datetime = Field(sa_type=Instant, description="when it was made")
    due_at: datetime = Field(sa_type=Instant, description="when it is to be sent, or tried again")
    tries: int = Field(default=0, description="how often it was tried")
    tried_at: datetime | None = Field(default=None, sa_type=Instant, description="when it was tried last")
    error: str | None = Field(default=None, description="what went wrong at the last try")
    leased_until: datetime | None = Field(
        default=None, sa_type=Instant, description="until when nobody else sends it, while somebody does"
    )
    lease: str | None = Field(default=None, description="who does")


class FindingRow(SQLModel, table=True):
    """Something about the trail itself that a rule has told of, for as long as it lasts."""

    __tablename__ = "finding"

    rule: str = Field(primary_key=True, description="name of the `[[notice]]`")
    key: str = Field(
        primary_key=True, description="what it is: a gap, a refused source or stream, entries that age out"
    )
    seen_at: datetime = Field(sa_type=Instant, description="when it was seen first")


class ForgottenRow(SQLModel, table=True):
    """One time that a person was forgotten: what was replaced by the pseudonym, and never by whom it stood for."""

    __tablename__ = "forgotten"
    __table_args__ = ({"sqlite_autoincrement": True},)

    number: int = Field(sa_column=Column(Number, Identity(), primary_key=True), description="the order in which it was")
    pseudonym: str = Field(description="what the person is called since then, such as person-3f9a1c2e")
    begun_at: datetime = Field(sa_type=Instant, description="since when what is stored has the pseudonym")
    finished_at: datetime | None = Field(
        default=None, sa_type=Instant, description="when all that was stored before had it too; null: not yet"
    )
    reason: str | None = Field(default=None, description="what was given with --reason")
    events: int = Field(default=0, description="how many events were changed")
    records: int = Field(default=0, description="how many kept records were")
    details: int = Field(default=0, description="how many full forms were")
    others: int = Field(default=0, description="how many rows of other tables were, such as reasons and errors")
    dictionaries: list[int] | None = Field(
        default=None, sa_type=Document, description="JSON list of the dictionaries that are to be learnt anew for it"
    )


class IdentityRow(SQLModel, table=True):
    """An address, id or name of a forgotten person, by which what a vendor still says is known: only a keyed hash."""

    __tablename__ = "identity"

    digest: bytes = Field(sa_type=LargeBinary, primary_key=True, description="HMAC-SHA-256 of it, in lower case")
    pseudonym: str = Field(description="what stands in its place")
    words: int = Field(description="of how many words it is; 0: it is an e-mail address")
    begins: int = Field(description="12 bits of the HMAC of its first word, so that few other texts need a closer look")
    within: bool = Field(description="whether it is known inside of a text; else only where it is the whole value")


class IdentityKeyRow(SQLModel, table=True):
    """The key of the hashes in `identity`: random, of this database alone. Whoever has both can try out a guess."""

    __tablename__ = "identity_key"

    id: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False), description="1: there is one row")
    key: bytes = Field(sa_type=LargeBinary, description="32 random bytes")


class HoldRow(SQLModel, table=True):
    """A time in which nothing may be deleted or pseudonymised."""

    __tablename__ = "hold"
    __table_args__ = ({"sqlite_autoincrement": True},)

    number: int = Field(sa_column=Column(Number, Identity(), primary_key=True), description="the order in which it was")
    since: datetime = Field(sa_type=Instant, description="when it began")
    reason: str = Field(description="why")
    until: datetime | None = Field(default=None, sa_type=Instant, description="when it ended; null: it holds")
    ended_reason: str | None = Field(default=None, description="why it ended")


TABLES: tuple[type[SQLModel], ...] = (
    EventRow, RecordRow, DictionaryRow, DetailRow, CoverageRow, GapRow, VerdictRow, SourceRow, StreamRow,
    TallyRow, TotalRow, FacetRow, WaitingRow, GatheredRow, TokenRow, RuleRow, NoticeRow, FindingRow,
    ForgottenRow, IdentityRow, IdentityKeyRow, HoldRow,
)  # fmt: skip
(
    EVENT, RECORD, DICTIONARY, DETAIL, COVERAGE, GAP, VERDICT, SOURCE, STREAM, TALLY, TOTAL, FACET, WAITING, GATHERED,
    TOKEN, RULE, NOTICE, FINDING, FORGOTTEN, IDENTITY, IDENTITY_KEY, HOLD,
) = (SQLModel.metadata.tables[str(row.__tablename__)] for row in TABLES)  # fmt: skip


def describe() -> str:
    """Return the tables as Markdown: `docs/schema.md`, which `make docs` writes."""
    lines = ["# The tables", "", "Written by `make docs` from `src/flagtrail/schema.py`.", ""]
    lines += [(__doc__ or "").split("\n\n", 1)[1].strip(), ""]
    for row in TABLES:
        table = SQLModel.metadata.tables[str(row.__tablename__)]
        lines += [f"## {table.name}", "", str(row.__doc__), "", "| column | type | |", "|---|---|---|"]
        for column in table.columns:
            about = row.model_fields[column.name].description
            kind = {
                "Instant": "instant",
                "JSON": "JSON",
                "LargeBinary": "bytes",
                "Integer": "integer",
                "BigInteger": "integer",
                "Boolean": "boolean",
            }.get(type(column.type).__name__, "text")
            lines.append(f"| `{column.name}` | {kind}{', may be null' if column.nullable else ''} | {about} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"
