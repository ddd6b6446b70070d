"""What is gathered from the events, so that they are counted and found without reading each of them."""

from datetime import datetime

from sqlalchemy import Column, Integer
from sqlmodel import Field, SQLModel

from flagtrail.columns import Instant, Number, table_of


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


TALLY, TOTAL, FACET, WAITING, GATHERED = (
    table_of(row) for row in (TallyRow, TotalRow, FacetRow, WaitingRow, GatheredRow)
)
