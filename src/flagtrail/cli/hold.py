"""What can be typed after `flagtrail hold`, and nothing of its work; see `commands`."""

from typing import Annotated

import typer

from flagtrail.cli.commands.importing import importing
from flagtrail.cli.options import ConfigOption, OutputOption, Simple

ReasonOption = Annotated[str, typer.Option(help="Why, and by whom; it is kept.")]


def on(reason: ReasonOption, config: ConfigOption = None) -> None:
    """Keep the trail as it is from now on: nothing is deleted or forgotten until `flagtrail hold off`.

    Examples:

      flagtrail hold on --reason 'case 12/2026, legal department'
    """
    with importing():
        from flagtrail.cli import forgetting
    forgetting.hold_on(reason, config)


def off(reason: ReasonOption, config: ConfigOption = None) -> None:
    """End the hold; it stays on record.

    Examples:

      flagtrail hold off --reason 'case 12/2026 is closed'
    """
    with importing():
        from flagtrail.cli import forgetting
    forgetting.hold_off(reason, config)


def status(config: ConfigOption = None, output: OutputOption = Simple.TABLE) -> None:
    """Show whether the trail is on hold, and every hold that there was.

    Examples:

      flagtrail hold status

      flagtrail hold status -o json
    """
    with importing():
        from flagtrail.cli import forgetting
    forgetting.show_holds(config, output)
