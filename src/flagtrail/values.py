"""Reads what people write for a value of the config; what is none is refused with the right form."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, SecretStr
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from flagtrail.connector import Secret
from flagtrail.when import MOMENT_FORM, in_utc, parse_moment, parse_span

MOST_RESERVED = 0.9  # share of the limits: more of it, and hardly anything could be read


def _span(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    return parse_span(str(value))


def _settle(value: Any) -> timedelta:
    span = _span(value)
    if span > timedelta(days=1):
        raise ValueError(f"{value!r} is longer than 1d, the most that it can be")
    return span


def _share(value: Any) -> float:
    """Return a share from 0 to 0.9, written as such or in percent; ValueError says the right form."""
    text = str(value).strip()
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if isinstance(value, bool) or not 0 <= share <= MOST_RESERVED:
        raise ValueError(f'{value!r} is not a share from 0 to {MOST_RESERVED}, or one in percent such as "20%"')
    return share


def _start(value: Any) -> datetime | timedelta:
    """Return the start of a source: a span back from now, or an instant in UTC, which is not in the future."""
    if isinstance(value, str):
        moment = parse_moment(value, datetime.now(UTC))  # refuses a span from before the year 1 too
        try:
            return parse_span(value)
        except ValueError:
            value = moment
    if not isinstance(value, date):  # a datetime is a date too
        raise ValueError(f"{value} is not {MOMENT_FORM}")  # noqa: TRY004 - pydantic reports ValueError
    try:
        start = in_utc(value)
    except OverflowError:
        raise ValueError(f"{value} is not {MOMENT_FORM}") from None
    if start > datetime.now(UTC):
        raise ValueError(f"{value} lies in the future")
    return start


def _store_url(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        has_password = bool(make_url(value).password)
    except ArgumentError:
        has_password = False
    if has_password:
        raise ValueError('it holds a password, which does not stand in the config; write url = { env = "NAME" }')
    return SecretStr(value)


Span = Annotated[timedelta, BeforeValidator(_span)]
Settle = Annotated[timedelta, BeforeValidator(_settle)]
Share = Annotated[float, BeforeValidator(_share)]
Start = Annotated[datetime | timedelta, BeforeValidator(_start)]
StoreUrl = Annotated[Secret, BeforeValidator(_store_url)]
