"""The settings of notices: `[[notice]]`, which says what is told to whom, and `[[sink]]`, which says where that is."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from flagtrail.language import parse
from flagtrail.notices.hours import parse_hours, parse_zone
from flagtrail.question import Query, QueryError
from flagtrail.when import parse_span

if TYPE_CHECKING:  # who only asks the table sends nothing
    from flagtrail.notices.sinks import Sink

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
KINDS = {"slack": "Slack", "webhook": "Webhook", "grafana": "Grafana", "email": "Email", "apprise": "Apprise"}


class About(StrEnum):
    """What a rule may tell of: changes, and what goes wrong with the trail itself."""

    CHANGES = "changes"
    GAP = "gap"
    REFUSED = "refused"
    RETENTION = "retention"


def _span(value: Any) -> Any:
    return parse_span(value) if isinstance(value, str) else value


def several(value: Any) -> Any:
    """Return one text as a list of one."""
    return [value] if isinstance(value, str) else value


Span = Annotated[timedelta, BeforeValidator(_span)]


class NoticeSettings(BaseModel):
    """One `[[notice]]`: a rule."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Annotated[str, Field(pattern=NAME)]
    """What you call it. How far it has come is kept under this name: a renamed rule begins anew, at now."""
    to: Annotated[list[str], BeforeValidator(several), Field(min_length=1)]
    """The names of the sinks that are told."""
    when: str = ""
    """Which changes: a query such as `environment:production action:turned_*`, without times; all by default."""
    about: Annotated[list[About], BeforeValidator(several), Field(min_length=1)] = [About.CHANGES]
    """What is told: `changes`, and of the trail itself `gap`, `refused`, `retention`."""
    group: Annotated[Span, Field(ge=timedelta(seconds=1), le=timedelta(days=1))] = timedelta(seconds=10)
    """For how long after the first change others are waited for, to be told in one message."""
    quiet: str | None = None
    """Hours of each day, such as 22:00-07:00, in which nothing is sent; then it is sent together."""
    zone: str = "UTC"
    """The zone of these hours."""
    older: Span = timedelta(days=1)
    """A change that was older than this when it was stored, as in a first load, is not told."""

    @field_validator("when")
    @classmethod
    def _is_a_filter(cls, when: str) -> str:
        query = _parsed(when)
        if query.since or query.until or query.oldest_first or query.linked:
            raise ValueError("a rule is about what is stored from now on: leave out since, until, sort and linked")
        asked = {**query.wanted, **query.unwanted}
        if "impact" in asked or "impact" in asked.get("has", ()) or "vanished" in asked.get("is", ()):
            raise ValueError("impact and is:vanished are not known yet when a change is stored; leave them out")
        return when

    @model_validator(mode="after")
    def _fits_together(self) -> "NoticeSettings":
        parse_zone(self.zone)
        if self.quiet is not None:
            parse_hours(self.quiet, self.zone)
        if self.when and About.CHANGES not in self.about:
            raise ValueError('when asks for changes, and about does not name them; write about = ["changes", ...]')
        return self

    def query(self) -> Query:
        """Return what `when` asks for."""
        return _parsed(self.when)


def _parsed(when: str) -> Query:
    try:
        return parse(when, datetime.now(UTC), UTC)
    except QueryError as error:
        raise ValueError(str(error)) from None


class SinkSettings(BaseModel):
    """One `[[sink]]`; the keys that are not listed here are those of its kind, and are looked at when it is used."""

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    name: Annotated[str, Field(pattern=NAME)]
    """What rules call it."""
    kind: str
    """slack, webhook, grafana, email or apprise."""

    @field_validator("kind")
    @classmethod
    def _is_known(cls, kind: str) -> str:
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is none of {', '.join(KINDS)}")
        return kind

    def __repr_args__(self) -> Any:
        """Leave out what belongs to its kind: a secret may stand there by mistake."""
        return [(name, value) for name, value in super().__repr_args__() if name in SinkSettings.model_fields]

    @property
    def model(self) -> "type[Sink]":
        """The class of its kind."""
        found: type[Sink] = getattr(import_module(f"flagtrail.notices.{self.kind}_sink"), KINDS[self.kind])
        return found
