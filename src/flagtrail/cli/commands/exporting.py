"""The commands that give the trail to other programs: as files, by SQL, over a connection."""

from collections.abc import Callable
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from flagtrail.cli.commands.asking import events
from flagtrail.cli.commands.importing import importing
from flagtrail.cli.options import MOST, ConfigOption, Form, QuietOption
from flagtrail.exports import Format


def with_filters_of(other: Callable[..., None], *, without: set[str]) -> Callable[[Callable[..., None]], Any]:
    """Return what gives a command all options of another but some: it gets them as `**where`."""

    def filtered(command: Callable[..., None]) -> Callable[..., None]:
        own = signature(command)
        mine = [each for each in own.parameters.values() if each.kind is not Parameter.VAR_KEYWORD]
        filters = [each for name, each in signature(other).parameters.items() if name not in without]
        told: Any = command
        told.__signature__ = own.replace(parameters=[*filters, *mine])
        return command

    return filtered


@with_filters_of(events, without={"limit", "after", "follow", "envelope", "output", "from_lake", "config"})
def export(
    form: Annotated[Format, typer.Option("--format", help="How they are written.")] = Format.JSONL,
    out: Annotated[
        Path | None, typer.Option("--out", help="The file, or for Parquet the folder; else it goes to stdout.")
    ] = None,
    config: ConfigOption = None,
    quiet: QuietOption = False,
    **where: Any,
) -> None:
    """Write changes for other programs, newest first, with the filters of `events`; docs/export.md describes the forms.

    A file appears whole or not at all. Parquet makes a folder with a file for each month, and replaces the months that
    are exported again.

    Examples:

      flagtrail export --format csv --since 2026-07-01 --until 2026-10-01 --out q3.csv

      flagtrail export --format parquet --linked --out trail

      flagtrail export --format ocsf --since 1d | gzip > changes.ocsf.jsonl.gz
    """
    with importing():
        from flagtrail.cli import exporting
    exporting.export(form, out, config, quiet=quiet, **where)


def sql(
    statement: Annotated[str, typer.Argument(help="One SELECT; - reads it from stdin.")],
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, max=MOST, help="How many rows; 0 for all.")] = 1000,
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds that it may take.")] = 30,
    output: Annotated[
        Form | None, typer.Option("--output", "-o", help="How they are written; a table, or jsonl in a pipe.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Ask the database with SQL; nothing can be changed. docs/schema.md and docs/sql.md describe what there is.

    Examples:

      flagtrail sql "select day, sum(changes) as changes from daily group by day order by day desc limit 14"

      flagtrail sql "select * from completeness where covered < 1"

      flagtrail sql - -o csv < report.sql > report.csv
    """
    with importing():
        from flagtrail.cli import querying
    querying.sql(statement, limit, timeout, output, config)


def serve(
    listen: Annotated[str | None, typer.Option(help="Where, such as 127.0.0.1:8421; else as the config says.")] = None,
    config: ConfigOption = None,
) -> None:
    """Serve the trail over HTTP until SIGTERM or Ctrl-C: only that, nothing is read from vendors.

    The page /api/docs shows what can be asked; docs/http.md describes it. Any address but a loopback one asks for a
    token: `flagtrail token create` makes one. `flagtrail run` serves too when the config has a table `serve`.

    Examples:

      flagtrail serve

      flagtrail serve --listen 0.0.0.0:8421
    """
    with importing():
        from flagtrail.cli import serving
    serving.serve(listen, config)


def mcp(config: ConfigOption = None) -> None:
    """Let an assistant ask the trail by the Model Context Protocol, over stdin and stdout, until stdin ends.

    Nothing can be changed by it, and nothing is read from vendors. An assistant starts it by itself: what its config
    needs is below, and docs/mcp.md tells the rest. It takes `pip install 'flagtrail\\[mcp]'`.

    Examples:

      {"mcpServers": {"flagtrail": {"command": "flagtrail", "args": ["mcp", "--config", "/etc/flagtrail.toml"]}}}

      claude mcp add flagtrail -- flagtrail mcp --config /etc/flagtrail.toml

      flagtrail mcp --config /etc/flagtrail.toml
    """
    with importing():
        from flagtrail.cli import assisting
    assisting.serve(config)
