"""Forgetting: who was forgotten, by which hashes they are known still, and when nothing may be deleted."""

from datetime import datetime

from sqlalchemy import Column, Identity, Integer, LargeBinary
from sqlmodel import Field, SQLModel

from flagtrail.columns import Document, Instant, Number, table_of


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


FORGOTTEN, IDENTITY, IDENTITY_KEY, HOLD = (
    table_of(row) for row in (ForgottenRow, IdentityRow, IdentityKeyRow, HoldRow)
)
