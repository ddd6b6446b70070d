"""The command that says what of the trail is not kept."""

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
