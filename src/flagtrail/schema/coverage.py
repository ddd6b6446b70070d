"""How whole the trail is: what was read, what could not be, and what comparing with the vendor has found."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from flagtrail.columns import Instant, table_of


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


COVERAGE, GAP, VERDICT = (table_of(row) for row in (CoverageRow, GapRow, VerdictRow))
