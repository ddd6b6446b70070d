"""What several commands have: their options, the forms of their output, and how a time is typed."""

import re
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperCommand

from flagtrail.errors import ConfigError
from flagtrail.when import parse_moment

MOST = 10**9  # rows that may be asked for at once: more than there are, and a number that every database takes
FAILED = 1  # the exit code when some source failed
UNWANTED = re.compile(r'-(?:"|[a-z]\w+:)', re.IGNORECASE)  # how a question begins that begins with what is not wanted


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


class Asking(TyperCommand):
    """A command with a question, which may begin with a minus sign: `flagtrail events -actor:bot`."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Read the arguments; a condition is never taken for options that are written together."""
        flags = {name for each in self.params if getattr(each, "is_flag", False) for name in each.opts}
        options: list[str] = []
        conditions: list[str] = []
        for each in args:
            is_value = bool(options) and options[-1].startswith("-") and options[-1] not in flags
            (conditions if UNWANTED.match(each) and not is_value else options).append(each)
        if conditions and "--" not in args:
            args = [*options, "--", *conditions]
        return super().parse_args(ctx, args)


ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="Config file; else FLAGTRAIL_CONFIG, else ./flagtrail.toml.")
]
SourceOption = Annotated[list[str] | None, typer.Option("--source", "-s", help="Only this source; may be repeated.")]
OutputOption = Annotated[Simple, typer.Option("--output", "-o", help="How the result is written.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]
SinceOption = Annotated[str | None, typer.Option(help="From when on: 2h (ago), 2026-03-01, 2026-03-01T14:03Z.")]
UntilOption = Annotated[str | None, typer.Option(help="Up to when, not included; the same forms.")]
ZoneOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Zone of times, such as Europe/Berlin; else this machine's.")
]
QueryArgument = Annotated[
    str | None, typer.Argument(metavar="QUERY", help="What is asked, such as 'environment:production -actor:bot'.")
]
VendorOption = Annotated[list[str] | None, typer.Option(help="launchdarkly, configcat, ...")]
FromSourceOption = Annotated[list[str] | None, typer.Option("--source", "-s", help="Name of a source.")]
ProjectOption = Annotated[list[str] | None, typer.Option(help="Project key, or product name.")]
EnvironmentOption = Annotated[list[str] | None, typer.Option("--environment", "-e", help="Environment.")]
ActorOption = Annotated[list[str] | None, typer.Option(help="Part of a name or an e-mail.")]
ActionOption = Annotated[list[str] | None, typer.Option(help="A verb, such as turned_on, or turned_*.")]
ObjectOption = Annotated[list[str] | None, typer.Option(help="Key or name; * stands for anything.")]
TextOption = Annotated[str | None, typer.Option(help="Words of what is told about the change, or their beginnings.")]
FromLakeOption = Annotated[
    bool, typer.Option("--from-lake", help="Ask the lake, as of its last update, and not the database.")
]
LinkedOption = Annotated[
    bool, typer.Option("--linked", help="Also the flag events whose impact stands on their audit entry anyway.")
]


def moment(text: str | None, zone: tzinfo | None = None) -> datetime | None:
    """Return the instant that a command line names; without a zone it is in the given one, or the reader's own."""
    if text is None:
        return None
    try:
        return parse_moment(text, datetime.now(UTC), zone=zone)
    except ValueError as error:
        raise ConfigError(str(error)) from None
