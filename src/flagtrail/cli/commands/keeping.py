"""The commands that say what of the trail is not kept, and what is kept of it elsewhere."""

from typing import Annotated

import typer

from flagtrail.cli.commands.importing import importing
from flagtrail.cli.options import ConfigOption, OutputOption, QuietOption, Simple


def forget(
    person: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PERSON...", help="Everything that the person goes by: addresses, vendors' ids, names, a pseudonym."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how many rows of each table hold the person, and change nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; it must be said where nobody can be asked.")] = (
        False
    ),
    reason: Annotated[
        str | None, typer.Option(help="Why, and by whom, such as a ticket; it is kept. Leave the person out of it.")
    ] = None,
    config: ConfigOption = None,
    output: OutputOption = Simple.TABLE,
    quiet: QuietOption = False,
) -> None:
    """Put a pseudonym in place of a person everywhere in the database, for what is stored and what will be.

    It cannot be undone. Only keyed hashes of what the person went by are kept, by which vendors' entries are
    pseudonymised as they are read. What a [[person]] of the config goes by is included, and so are the ids and names
    that the trail shows beside these addresses. A run that was ended is finished by doing it again.

    Without PERSON it lists whom was forgotten when, by the pseudonym. docs/people.md tells what remains elsewhere.

    Examples:

      flagtrail forget ada@acme.example --dry-run

      flagtrail forget ada@acme.example 'Ada Lovelace' --yes --reason 'request 4711'

      flagtrail forget
    """
    with importing():
        from flagtrail.cli import forgetting
    if person:
        forgetting.forget(person, reason, config, output, dry_run=dry_run, yes=yes, quiet=quiet)
    else:
        forgetting.show(config, output)


def lake(
    path: Annotated[
        str | None, typer.Argument(metavar="PATH|URL", help="A folder, or s3://bucket/path; else as the config says.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Compare it with the database row for row; exits with 1 when they differ.")
    ] = False,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Make it anew, month by month.")] = False,
    files: Annotated[
        bool,
        typer.Option("--files", help="Print the Parquet files that it is made of, for engines without Delta Lake."),
    ] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Keep no lake any more; its files stay.")] = False,
    config: ConfigOption = None,
    output: Annotated[
        Simple | None, typer.Option("--output", "-o", help="How it is written; JSON into a pipe, else a table.")
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Bring the lake up to date: a table of Parquet files by month and vendor, which any engine reads.

    The first time it is built, and from then on the database notes what changes. Each write is seen whole or not at
    all; a run that was ended is gone on with by the next. `flagtrail run` does the same every 15 minutes when the
    config says where, under \\[lake]. docs/lake.md has recipes for DuckDB, ClickHouse, Spark, Trino and others.

    It takes `pip install 'flagtrail\\[lake]'`.

    Examples:

      flagtrail lake

      flagtrail lake --check

      flagtrail lake s3://acme-trail/flagtrail --rebuild

      flagtrail events --from-lake --object 'checkout*' --since 2y
    """
    with importing():
        from flagtrail.cli import lake as keeping
    keeping.lake(path, config, output, rebuild=rebuild, check=check, files=files, stop=stop, quiet=quiet)
