"""Who may ask over HTTP."""

from datetime import datetime

from sqlalchemy import Column, LargeBinary, String
from sqlmodel import Field, SQLModel

from flagtrail.columns import Instant, table_of


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


TOKEN = table_of(TokenRow)
