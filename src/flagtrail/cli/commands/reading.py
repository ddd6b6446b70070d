"""The commands that read vendors, and what comes before that: a config, and a demonstration of it all."""

from pathlib import Path
from typing import Annotated

import typer

from flagtrail.cli.commands.importing import importing
from flagtrail.cli.options import ConfigOption, OutputOption, QuietOption, Simple, SourceOption


def init(
    path: Annotated[
        Path | None, typer.Argument(help="Where to write it; else FLAGTRAIL_CONFIG, else ./flagtrail.toml.")
    ] = None,
) -> None:
    """Write a commented config to start from; an existing file is never overwritten.

    Examples:

      flagtrail init

      flagtrail init /etc/flagtrail.toml
    """
    with importing():
        from flagtrail.cli import setup
    setup.init(path)


def check(
    config: ConfigOption = None,
    source: SourceOption = None,
    output: Annotated[Simple, typer.Option("--output", "-o", help="How the result is written.")] = Simple.TABLE,
) -> None:
    """Validate the config, open the database, sign in everywhere, and list the streams.

    Examples:

      flagtrail check

      flagtrail check --config /etc/flagtrail.toml
    """
    with importing():
        from flagtrail.cli import setup
    setup.check(config, source, output)


def sync(
    config: ConfigOption = None,
    source: SourceOption = None,
    output: OutputOption = Simple.TABLE,
    quiet: QuietOption = False,
    details: Annotated[
        bool, typer.Option("--details", help="Then fetch the before and after of changes that wait for it.")
    ] = False,
) -> None:
    """Fill all gaps up to now once, and exit.

    With --details it goes on with the full form of each entry, one request each, the newest first; the daemon does so
    by itself. Ctrl-C ends it, and the next time it goes on from there.

    Examples:

      flagtrail sync

      flagtrail sync --details

      flagtrail sync --source acme-launchdarkly -o json
    """
    with importing():
        from flagtrail.cli import reading
    reading.sync(config, source, output, quiet=quiet, details=details)


def backfill(
    since: Annotated[str, typer.Option(help="From when on: 90d (ago), 2025-01-01, 2025-01-01T12:00Z.")],
    until: Annotated[str, typer.Option(help="Up to when, not included; the same forms.")] = "now",
    config: ConfigOption = None,
    source: SourceOption = None,
    output: OutputOption = Simple.TABLE,
    quiet: QuietOption = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how many requests it expects, and read nothing.")
    ] = False,
) -> None:
    """Fill the gaps of an asked window, whatever the configured start; run it again to resume it.

    Examples:

      flagtrail backfill --since 2024-01-01 --until 2025-01-01 --dry-run

      flagtrail backfill --since 400d --source acme-configcat
    """
    with importing():
        from flagtrail.cli import reading
    reading.backfill(since, until, config, source, output, quiet=quiet, dry_run=dry_run)


def run(config: ConfigOption = None, source: SourceOption = None) -> None:
    """Keep the table up to date until SIGTERM or Ctrl-C: the daemon.

    The log goes to stderr, as JSON unless that is a terminal. SIGTERM ends it within 5 seconds with nothing lost.

    Examples:

      flagtrail run

      FLAGTRAIL_CONFIG=/etc/flagtrail.toml flagtrail run
    """
    with importing():
        from flagtrail.cli import reading
    reading.run(config, source)


def worker(
    config: ConfigOption = None,
    source: SourceOption = None,
    listen: Annotated[
        str | None, typer.Option(help="Serve health, metrics and the trail there, such as at 0.0.0.0:8421.")
    ] = None,
) -> None:
    """Keep the table up to date together with other workers, on any number of machines, until SIGTERM or Ctrl-C.

    It takes `kind = "procrastinate"` in the table `engine` of the config, a store on PostgreSQL, and the extra
    `workers`. All workers share the same jobs, and what a dead one had begun is done by others. `flagtrail run` is a
    worker too then, which serves the page and sends notices as well. docs/workers.md tells more.

    Examples:

      flagtrail worker

      flagtrail worker --config /etc/flagtrail.toml --listen 127.0.0.1:8422
    """
    with importing():
        from flagtrail.cli import reading
    reading.worker(config, source, listen)


def verify(
    since: Annotated[
        str | None, typer.Option(help="From when on: 30d (ago), 2026-03-01; everything by default.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Up to when, not included; the same forms.")] = None,
    deep: Annotated[
        bool,
        typer.Option(
            "--deep",
            help="Read everything again, and compare ids and contents; else numbers.",
        ),
    ] = False,
    config: ConfigOption = None,
    source: SourceOption = None,
    output: OutputOption = Simple.TABLE,
    quiet: QuietOption = False,
) -> None:
    """Compare what is covered with the vendors, store what was missing, and mark what they no longer show.

    Windows whose numbers differ are narrowed and read again. Exits with 1 when something still differs.

    Examples:

      flagtrail verify

      flagtrail verify --since 7d --deep

      flagtrail verify --source acme-configcat -o json
    """
    with importing():
        from flagtrail.cli import verifying
    verifying.verify(since, until, config, source, output, deep=deep, quiet=quiet)


def connectors(
    output: Annotated[Simple, typer.Option("--output", "-o", help="How the result is written.")] = Simple.TABLE,
) -> None:
    """List the installed connectors and their settings.

    Examples:

      flagtrail connectors

      flagtrail connectors -o json
    """
    with importing():
        from flagtrail.cli import setup
    setup.connectors(output)


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="End after the load, instead of going on as the daemon does.")
    ] = False,
    folder: Annotated[Path, typer.Option(help="Where the demo's database and config go.")] = Path("flagtrail-demo"),
    entries: Annotated[
        int, typer.Option(min=100, max=1_000_000, help="How many audit log entries each vendor has.")
    ] = 3000,
) -> None:
    """Simulate both vendors on this machine, load a year of their history over HTTP, and show what came of it.

    No account is needed, and nothing leaves this machine.

    Examples:

      flagtrail demo

      flagtrail demo --once --entries 20000
    """
    with importing():
        from flagtrail.cli import demo as playing
    playing.play(folder, entries=entries, once=once)
