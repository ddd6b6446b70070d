"""What several commands have: their options, the forms of their output, and how a time is typed."""

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flagtrail.errors import ConfigError
from flagtrail.when import parse_moment

FAILED = 1  # the exit code when some source failed


class Form(StrEnum):
    """How results are written."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


class Simple(StrEnum):
    """How a single result is written."""

    TABLE = "table"
    JSON = "json"


ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="Config file; else FLAGTRAIL_CONFIG, else ./flagtrail.toml.")
]
SourceOption = Annotated[list[str] | None, typer.Option("--source", "-s", help="Only this source; may be repeated.")]
OutputOption = Annotated[Simple, typer.Option("--output", "-o", help="How the result is written.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]


def moment(text: str | None) -> datetime | None:
    """Return the instant that a command line names; without a zone it is in the reader's own."""
    if text is None:
        return None
    try:
        return parse_moment(text, datetime.now(UTC), zone=None)
    except ValueError as error:
        raise ConfigError(str(error)) from None
