"""What is known of sources and their streams besides events, such as how the last look at each went."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from flagtrail.columns import Instant, table_of


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


SOURCE, STREAM = (table_of(row) for row in (SourceRow, StreamRow))
