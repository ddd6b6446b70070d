"""Everything that can be typed: each command with its options and its help, and nothing of its work.

So `flagtrail --help` is quick, and a command imports only what it needs.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from flagtrail.cli.options import ConfigOption, Form, OutputOption, QuietOption, Simple, SourceOption

SELDOM = (20_000, 20, 20)  # new objects, and rounds, before garbage is looked for: parsed pages are many, and no cycles


@contextmanager
def importing() -> Iterator[None]:
    """Let modules be imported without looking for garbage, which takes a fifth of the time: they are none.

    Garbage is collected afterwards, but never looked for among them, also not at the very end.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(*SELDOM)
        gc.enable()


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


def verify(
    since: Annotated[
        str | None, typer.Option(help="From when on: 30d (ago), 2026-03-01; everything by default.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Up to when, not included; the same forms.")] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Read everything again, and compare ids and contents; else numbers.")
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


def events(
    since: Annotated[str | None, typer.Option(help="From when on: 2h (ago), 2026-03-01, 2026-03-01T14:03Z.")] = None,
    until: Annotated[str | None, typer.Option(help="Up to when, not included; the same forms.")] = None,
    vendor: Annotated[str | None, typer.Option(help="launchdarkly, configcat, ...")] = None,
    source: Annotated[str | None, typer.Option("--source", "-s", help="Name of a source.")] = None,
    project: Annotated[str | None, typer.Option(help="Project key, or product name.")] = None,
    environment: Annotated[str | None, typer.Option("--environment", "-e", help="Environment.")] = None,
    actor: Annotated[str | None, typer.Option(help="Part of a name or an e-mail.")] = None,
    action: Annotated[str | None, typer.Option(help="A verb, such as turned_on.")] = None,
    object: Annotated[str | None, typer.Option(help="Key or name; * stands for anything.")] = None,
    text: Annotated[
        str | None, typer.Option(help="Words of what is told about the change, or their beginnings.")
    ] = None,
    linked: Annotated[
        bool, typer.Option("--linked", help="Also the flag events whose impact stands on their audit entry anyway.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="How many, newest first; 0 for all.")] = 50,
    after: Annotated[str | None, typer.Option(metavar="CURSOR", help="Go on where the last page ended.")] = None,
    output: Annotated[Form, typer.Option("--output", "-o", help="How they are written.")] = Form.TABLE,
    config: ConfigOption = None,
) -> None:
    """Show changes, newest first.

    A time without a zone is in your own zone; the table shows times in it too. JSON and CSV are in UTC.

    Examples:

      flagtrail events --since 2h --environment production

      flagtrail events --object 'checkout*' --action turned_off

      flagtrail events --since 2026-07-01 --until 2026-10-01 --project payments --limit 0 -o csv > q3.csv
    """
    with importing():
        from flagtrail.cli import asking
    where = {"vendor": vendor, "source": source, "project": project, "environment": environment, "actor": actor,
             "action": action, "object": object, "text": text, "linked": linked, "after": after}  # fmt: skip
    asking.events(since, until, limit, output, config, **where)


def show(
    event_id: Annotated[str, typer.Argument(metavar="ID", help="An event's id, or the beginning of one.")],
    output: Annotated[Simple, typer.Option("--output", "-o", help="How it is written.")] = Simple.TABLE,
    config: ConfigOption = None,
) -> None:
    """Print one event whole, with the vendor's own record of it.

    Examples:

      flagtrail show 1f0c9a2e

      flagtrail show 1f0c9a2e -o json
    """
    with importing():
        from flagtrail.cli import asking
    asking.show(event_id, output, config)


def around(
    at: Annotated[str, typer.Argument(metavar="MOMENT", help="2026-03-01T14:03Z, 20m (ago), now.")],
    before: Annotated[str, typer.Option(help="How far back to look: 1h, 90m.")] = "1h",
    after: Annotated[str, typer.Option(help="And how far on, as clocks differ.")] = "5m",
    environment: Annotated[str | None, typer.Option("--environment", "-e", help="Environment.")] = None,
    object: Annotated[str | None, typer.Option(help="Key or name; * stands for anything.")] = None,
    project: Annotated[str | None, typer.Option(help="Project key, or product name.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="How many suspects; 0 for all.")] = 10,
    output: Annotated[
        Simple | None, typer.Option("--output", "-o", help="How it is written; JSON into a pipe, else a table.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Show what changed around an incident, the likeliest cause first, and why.

    Changes of all vendors are ranked by nearness in time, kind of change, environment, measured impact, what was put
    back soon after, and how unusual they are. docs/incidents.md has every factor with its points.

    Examples:

      flagtrail around 2026-03-01T14:03Z

      flagtrail around 10m --environment production --object 'checkout*'

      flagtrail around 2026-03-01T14:03Z --before 3h --after 0 -o json
    """
    with importing():
        from flagtrail.cli import incidents
    incidents.around(
        at, before, after, limit, output, config, environment=environment, object=object, project=project
    )  # fmt: skip


def state(
    flag: Annotated[str, typer.Argument(metavar="FLAG", help="Key or name; * stands for anything.")],
    at: Annotated[str, typer.Option("--at", help="2026-03-01T14:03Z, 20m (ago), now.")],
    environment: Annotated[str | None, typer.Option("--environment", "-e", help="Environment.")] = None,
    project: Annotated[str | None, typer.Option(help="Project key, or product name.")] = None,
    vendor: Annotated[str | None, typer.Option(help="launchdarkly, configcat, ...")] = None,
    output: Annotated[
        Simple | None, typer.Option("--output", "-o", help="How it is written; JSON into a pipe, else a table.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Show what a flag was at a moment, as far as the trail knows it, and what it cannot know.

    Each value names the change that it is known from. What may have changed unseen is not known, and it says why.

    Examples:

      flagtrail state checkout-v2 --at 2026-03-01T14:03Z

      flagtrail state checkout-v2 --at now --environment production -o json
    """
    with importing():
        from flagtrail.cli import incidents
    incidents.state(flag, at, output, config, environment=environment, project=project, vendor=vendor)


def status(
    source: Annotated[str | None, typer.Option("--source", "-s", help="Only this source.")] = None,
    output: Annotated[Simple, typer.Option("--output", "-o", help="How it is written.")] = Simple.TABLE,
    config: ConfigOption = None,
) -> None:
    """Show for each stream how much of the wanted past is covered and verified, every gap, and every finding.

    In the bar, a full block is covered, a shaded one partly, a dot not at all; it runs from the configured start to the
    youngest settled time at the last look. Verified is the share of the covered time whose entries are as many, or the
    same, as the vendor's own. The lag is how far the newest covered time is behind the present; it includes the
    settling time of 15 minutes. Quiet streams are looked at less often, and lag more, until the audit log tells of a
    change.

    Examples:

      flagtrail status

      flagtrail status -o json
    """
    with importing():
        from flagtrail.cli import coverage
    coverage.status(source, output, config)


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


COMMANDS = (init, check, sync, backfill, run, verify, events, show, around, state, status, connectors, demo)
