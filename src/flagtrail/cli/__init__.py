"""The command line: `flagtrail --help`.

Data goes to stdout; progress, notes and errors go to stderr. Exit codes: 0 fine, 1 some source failed, 2 wrong use or
config, 130 interrupted.
"""

import os
import sys
from typing import Annotated

import typer

from flagtrail import __version__
from flagtrail.cli import asking, coverage, reading, setup, showing
from flagtrail.errors import FlagtrailError

OK, FAILED, WRONG, INTERRUPTED = 0, 1, 2, 130

app = typer.Typer(
    name="flagtrail",
    help="One trail of every feature-flag change, whichever vendor made it.",
    epilog="Exit codes: 0 fine · 1 some source failed · 2 wrong use or config · 130 interrupted.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (setup.init, setup.check, reading.sync, reading.backfill, reading.run, asking.events, asking.show,
                coverage.status, setup.connectors, setup.demo):  # fmt: skip
    app.command()(command)


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Hold the options that stand before a command."""
    if version:
        typer.echo(f"flagtrail {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line and exit; a mistake of the user's is told in one line and never as a traceback."""
    try:
        app()
    except FlagtrailError as error:
        showing.say_errors(str(error))
        sys.exit(WRONG)
    except KeyboardInterrupt:
        showing.say("interrupted; what is stored stays, and the same command goes on from there")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader of a pipe, such as `head`, has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(OK)
