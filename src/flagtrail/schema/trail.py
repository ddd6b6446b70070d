"""What happened: each change, the vendor's entries behind it, and what is needed to read those."""

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Identity, Index, LargeBinary
from sqlmodel import Field, SQLModel

from flagtrail.columns import Document, Instant, Number, table_of


class EventRow(SQLModel, table=True):
    """One change by one actor to one object."""

    __tablename__ = "event"
    __table_args__ = (
        Index("event_by_id", "id", unique=True),
        Index("event_by_time", "occurred_at", "number"),
        Index("event_by_stream", "source", "stream", "occurred_at"),
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


class DetailRow(SQLModel, table=True):
    """The full form of an entry, which the vendor tells one entry at a time: a queue until it was fetched."""

    __tablename__ = "detail"

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


EVENT, RECORD, DICTIONARY, DETAIL = (table_of(row) for row in (EventRow, RecordRow, DictionaryRow, DetailRow))
