"""The command line: `flagtrail --help`.

Data goes to stdout; progress, notes and errors go to stderr. Exit codes: 0 fine, 1 some source failed or differs from
its vendor, 2 wrong use or config, 130 interrupted.
"""

import os
import sys
from typing import Annotated, Any

import typer

from flagtrail import __version__
from flagtrail.cli import asking, coverage, reading, setup, showing, verifying
from flagtrail.errors import FlagtrailError

WRONG, INTERRUPTED = 2, 130
# Typer has its own copy of click, and names no base class of what a wrong command line raises.
CommandLineError: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")

app = typer.Typer(
    name="flagtrail",
    help="One trail of every feature-flag change, whichever vendor made it.",
    epilog="Exit codes: 0 fine · 1 some source failed, or differs · 2 wrong use or config · 130 interrupted.",
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (setup.init, setup.check, reading.sync, reading.backfill, reading.run, verifying.verify,
                asking.events, asking.show, coverage.status, setup.connectors, setup.demo):  # fmt: skip
    app.command()(showing.into_a_pipe(command))


@app.callback(invoke_without_command=True)
def options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Hold the options that stand before a command."""
    if version:
        typer.echo(f"flagtrail {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Run the command line and exit; a mistake of the user's is told in one line and never as a traceback."""
    try:
        code = app(standalone_mode=False)
    except FlagtrailError as error:
        showing.say_errors(str(error))
        code = WRONG
    except CommandLineError as error:
        showing.say_errors(
            f"{error.format_message().rstrip('.')}; `flagtrail --help` and `flagtrail COMMAND --help` help"
        )
        code = WRONG
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    if code == INTERRUPTED:
        showing.say("interrupted; what is stored stays, and the same command goes on from there")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(INTERRUPTED)  # a thread may still wait for a vendor: every commit is whole, so it can be left behind
    sys.exit(code)
