"""What is told to people and programs: how far each rule has come, what waits for a sink, and what was told already."""

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Identity
from sqlmodel import Field, SQLModel

from flagtrail.columns import Document, Instant, Number, table_of


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
    __table_args__ = ({"sqlite_autoincrement": True},)

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


RULE, NOTICE, FINDING = (table_of(row) for row in (RuleRow, NoticeRow, FindingRow))
