"""What can be typed after `flagtrail notices`, and nothing of its work; see `commands`."""

from typing import Annotated

import typer

from flagtrail.cli.commands.importing import importing
from flagtrail.cli.options import ConfigOption, OutputOption, Simple


def waiting(
    context: typer.Context,
    retry: Annotated[
        str | None, typer.Option(metavar="NUMBER", help="Send this one now; all: every one that was given up.")
    ] = None,
    drop: Annotated[
        str | None, typer.Option(metavar="NUMBER", help="Never send this one; all: those that were given up.")
    ] = None,
    config: ConfigOption = None,
    output: OutputOption = Simple.TABLE,
) -> None:
    """Show how far each rule has come, and the messages that wait or were given up; or send or drop them.

    Messages are made by `flagtrail run` for each rule of the config, and sent by it. docs/notices.md tells more.

    Examples:

      flagtrail notices

      flagtrail notices --retry all

      flagtrail notices --drop 17

      flagtrail notices test on-call
    """
    if context.invoked_subcommand is not None:
        return
    with importing():
        from flagtrail.cli import noticing
    noticing.waiting(retry, drop, config, output)


def try_out(
    name: Annotated[str, typer.Argument(help="The name of a notice, whose sinks are all tried, or of a sink.")],
    config: ConfigOption = None,
) -> None:
    """Send a message that says that it is a test, now and once, and tell whether it was taken.

    Examples:

      flagtrail notices test on-call
    """
    with importing():
        from flagtrail.cli import noticing
    noticing.try_out(name, config)
