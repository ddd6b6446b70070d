"""What can be typed after `flagtrail token`, and nothing of its work; see `commands`."""

from typing import Annotated

import typer

from flagtrail.cli.commands.importing import importing
from flagtrail.cli.options import ConfigOption, OutputOption, Simple


def create(
    name: Annotated[str, typer.Argument(help="What you call it: who uses it, and for what.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(help="read: everything but exports; export: exports; metrics: /metrics. May be repeated."),
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="After how long it is of no use: 90d, 12h; never by default.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Make a token and print it, this once: only a digest of it is kept.

    Examples:

      flagtrail token create grafana

      flagtrail token create siem --scope export --expires 90d

      flagtrail token create prometheus --scope metrics
    """
    with importing():
        from flagtrail.cli import granting
    granting.create(name, scope or ["read"], expires, config)


def list_(config: ConfigOption = None, output: OutputOption = Simple.TABLE) -> None:
    """List every token that was ever made, with its scopes, its end and its last use; never the token itself.

    Examples:

      flagtrail token list

      flagtrail token list -o json
    """
    with importing():
        from flagtrail.cli import granting
    granting.show(config, output)


def revoke(
    name: Annotated[str, typer.Argument(help="The name of the token.")],
    config: ConfigOption = None,
) -> None:
    """Make a token useless at once.

    Examples:

      flagtrail token revoke grafana
    """
    with importing():
        from flagtrail.cli import granting
    granting.revoke(name, config)
