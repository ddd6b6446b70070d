"""The settings of the daemon itself, and of what it tells of its work."""

from datetime import timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from flagtrail.when import parse_span


def _span(value: Any) -> Any:
    return parse_span(value) if isinstance(value, str) else value


def _endpoint(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in value:
        raise ValueError(f"{value!r} is no address of a collector; write http://host:4318")
    return value


class RunSettings(BaseModel):
    """The table `[run]`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    stuck: Annotated[timedelta, BeforeValidator(_span), Field(ge=timedelta(minutes=1), le=timedelta(days=1))] = (
        timedelta(minutes=15)
    )
    """After how long without any sign of life a job of a source counts as stuck."""


class EngineSettings(BaseModel):
    """The table `[engine]`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    kind: Literal["threads", "procrastinate"] = "threads"
    """What lets sources be read: threads of one machine, or workers on any number, by Procrastinate on PostgreSQL."""
    concurrency: Annotated[int, Field(ge=1, le=64)] = 8
    """How many jobs one worker does at the same time."""
    stalled: Annotated[timedelta, BeforeValidator(_span), Field(ge=timedelta(seconds=2), le=timedelta(minutes=10))] = (
        timedelta(seconds=20)
    )
    """After how long without any sign of life of a worker its jobs are given to others."""


class TelemetrySettings(BaseModel):
    """The table `[telemetry]`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    endpoint: Annotated[str, AfterValidator(_endpoint)] | None = None
    """Where `flagtrail run` sends its traces, by OTLP over HTTP; without it OTEL_EXPORTER_OTLP_ENDPOINT says where."""
