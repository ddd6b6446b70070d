"""The command line: `flagtrail --help`.

Data goes to stdout; progress, notes and errors go to stderr. Exit codes: 0 fine, 1 some source failed or differs from
its vendor, or a hold forbids it, 2 wrong use or config, 130 interrupted.
"""

import gc
import os
import re
import sys
from collections.abc import Callable
from functools import wraps
from inspect import cleandoc
from typing import Annotated, Any

import typer

from flagtrail import __version__
from flagtrail.cli import hold, notices
from flagtrail.cli.commands import COMMANDS
from flagtrail.cli.options import STANDING
from flagtrail.cli.token import create, list_, revoke
from flagtrail.errors import FlagtrailError

WRONG, INTERRUPTED = 2, 130
# A question that begins with what is not wanted; what it names is checked where questions are read.
_NEGATED = re.compile(r'-(?:"|[a-z]\w+:)', re.IGNORECASE)
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


def into_a_pipe(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that ends quietly when the reader of its output, such as `head`, has seen enough."""

    @wraps(command)
    def run(*args: Any, **options: Any) -> None:
        try:
            command(*args, **options)
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    run.__doc__ = _in_paragraphs(command.__doc__ or "")
    return run


def _in_paragraphs(text: str) -> str:
    """Return a docstring with each paragraph on one line, so that help breaks lines by the terminal's width alone."""
    parts = cleandoc(text).split("\n\n")
    return "\n\n".join(part if part.startswith(" ") else " ".join(part.split()) for part in parts)


for each in COMMANDS:
    app.command()(into_a_pipe(each))
tokens = typer.Typer(name="token", help="Make, list and revoke the tokens by which the trail is asked over HTTP.")
for each in (create, list_, revoke):
    tokens.command(each.__name__.rstrip("_"))(into_a_pipe(each))
app.add_typer(tokens)
holding = typer.Typer(
    name="hold", help="Keep the trail as it is: while it is on hold, nothing is deleted or forgotten."
)
for each in (hold.on, hold.off, hold.status):
    holding.command(each.__name__)(into_a_pipe(each))
app.add_typer(holding)
messages = typer.Typer(name="notices", invoke_without_command=True, callback=into_a_pipe(notices.waiting))
messages.command("test")(into_a_pipe(notices.try_out))
app.add_typer(messages)


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
    gc.disable()  # until a command has what it needs: see `importing`
    try:
        code = app(_understood(sys.argv[1:]), standalone_mode=False)
    except FlagtrailError as error:
        code = _wrong(str(error))
    except CommandLineError as error:
        told = error.format_message().rstrip(".")
        code = _wrong(f"{told}; `flagtrail --help` and `flagtrail COMMAND --help` help")
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    if code == INTERRUPTED:
        from flagtrail.cli.showing import say

        say("interrupted; what is stored stays, and the same command goes on from there")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(INTERRUPTED)  # a thread may still wait for a vendor: every commit is whole, so it can be left behind
    sys.exit(code)


def _understood(arguments: list[str]) -> list[str]:
    """Return what was typed, in which `-environment:production` is no option `-e` with the value `nvironment:...`."""
    return [STANDING + each if _NEGATED.match(each) else each for each in arguments]


def _wrong(text: str) -> int:
    """Tell a mistake, and return the exit code for it."""
    from flagtrail.cli.showing import say_errors

    say_errors(text)
    return WRONG
