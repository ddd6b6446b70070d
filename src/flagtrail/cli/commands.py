"""Everything that can be typed: each command with its options and its help, and nothing of its work.

So `flagtrail --help` is quick, and a command imports only what it needs.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from flagtrail.cli.options import (
    ActionOption,
    ActorOption,
    ConfigOption,
    EnvironmentOption,
    Form,
    FromSourceOption,
    LinkedOption,
    ObjectOption,
    OutputOption,
    ProjectOption,
    QueryArgument,
    QuietOption,
    Simple,
    SinceOption,
    SourceOption,
    TextOption,
    UntilOption,
    VendorOption,
    ZoneOption,
)
from flagtrail.exports import Format

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


def serve(
    listen: Annotated[str | None, typer.Option(help="Where, such as 127.0.0.1:8421; else as [serve] says.")] = None,
    config: ConfigOption = None,
) -> None:
    """Serve the trail over HTTP until SIGTERM or Ctrl-C: only that, nothing is read from vendors.

    The page /api/docs shows what can be asked; docs/http.md describes it. Any address but a loopback one asks for a
    token: `flagtrail token create` makes one. `flagtrail run` serves too when the config has a [serve].

    Examples:

      flagtrail serve

      flagtrail serve --listen 0.0.0.0:8421
    """
    with importing():
        from flagtrail.cli import serving
    serving.serve(listen, config)


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


def events(
    query: QueryArgument = None,
    since: SinceOption = None,
    until: UntilOption = None,
    vendor: VendorOption = None,
    source: FromSourceOption = None,
    project: ProjectOption = None,
    environment: EnvironmentOption = None,
    actor: ActorOption = None,
    action: ActionOption = None,
    object: ObjectOption = None,
    text: TextOption = None,
    linked: LinkedOption = False,
    zone: ZoneOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="How many, newest first; 0 for all.")] = 50,
    after: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="Go on where the last page, or the last --follow, ended.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Show the last ones, and then each one as it is stored.")
    ] = False,
    output: Annotated[Form, typer.Option("--output", "-o", help="How they are written.")] = Form.TABLE,
    envelope: Annotated[
        bool, typer.Option("--envelope", help="With -o json: also how complete the answer is, and the next page.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Show changes, newest first.

    What is asked for is a QUERY, options, or both; options may be repeated, and one of their values is enough. In a
    QUERY, field:value narrows down, field:a,b is any of them, -field:value is not that, * stands for anything, and the
    rest is text. Its fields: vendor, source, stream, project, environment, object_kind, object, actor_kind, actor,
    action, impact, has, is, text, since, until, linked, sort. docs/query.md describes them.

    A time without a zone is in your own zone; the table shows times in it too. JSON and CSV are in UTC.

    With --follow they come oldest first, each once, in the order in which they are stored, until Ctrl-C. One that the
    vendor changes later is not shown again.

    Examples:

      flagtrail events 'environment:production action:turned_* "checkout"' --since 2d

      flagtrail events 'impact:>5% -actor_kind:token sort:oldest since:2026-03-01' --zone Europe/Berlin

      flagtrail events --object 'checkout*' --action turned_off --environment production --environment test

      flagtrail events --since 2026-07-01 --until 2026-10-01 --project payments --limit 0 -o csv > q3.csv

      flagtrail events --follow --environment production
    """
    with importing():
        from flagtrail.cli import asking
    where = {"vendor": vendor, "source": source, "project": project, "environment": environment, "actor": actor,
             "action": action, "object": object, "text": text, "linked": linked}  # fmt: skip
    asked = asking.Typed(query, since, until, zone, where)
    if follow:
        with importing():
            from flagtrail.cli import following
        following.events(asked, limit, after, output, config)
        return
    asking.events(asked, limit, after, output, config, envelope=envelope)


def count(
    query: QueryArgument = None,
    by: Annotated[
        list[str] | None, typer.Option("--by", "-b", help="vendor, actor, action, day, ...; several by commas.")
    ] = None,
    top: Annotated[int, typer.Option("--top", min=0, help="How many of the most frequent values; 0 for all.")] = 20,
    since: SinceOption = None,
    until: UntilOption = None,
    zone: ZoneOption = None,
    linked: LinkedOption = False,
    output: Annotated[Form, typer.Option("--output", "-o", help="How the counts are written.")] = Form.TABLE,
    config: ConfigOption = None,
) -> None:
    """Count changes by anything that they have one value of, and by hour, day or week.

    They are those that `flagtrail events` would show for the same QUERY. JSON also tells how complete the counts are.

    Examples:

      flagtrail count --by actor,action 'environment:production since:30d' --top 10

      flagtrail count --by vendor,day --since 2w --zone Europe/Berlin

      flagtrail count 'action:turned_off' -o json
    """
    with importing():
        from flagtrail.cli import counting
    counting.count(query, by or [], top, since, until, zone, output, config, linked=linked)


def with_filters_of(other: Callable[..., None], *, without: set[str]) -> Callable[[Callable[..., None]], Any]:
    """Return what gives a command all options of another but some: it gets them as `**where`."""

    def filtered(command: Callable[..., None]) -> Callable[..., None]:
        own = signature(command)
        mine = [each for each in own.parameters.values() if each.kind is not Parameter.VAR_KEYWORD]
        filters = [each for name, each in signature(other).parameters.items() if name not in without]
        told: Any = command
        told.__signature__ = own.replace(parameters=[*filters, *mine])
        return command

    return filtered


@with_filters_of(events, without={"limit", "after", "follow", "envelope", "output", "config"})
def export(
    form: Annotated[Format, typer.Option("--format", help="How they are written.")] = Format.JSONL,
    out: Annotated[
        Path | None, typer.Option("--out", help="The file, or for Parquet the folder; else it goes to stdout.")
    ] = None,
    config: ConfigOption = None,
    quiet: QuietOption = False,
    **where: Any,
) -> None:
    """Write changes for other programs, newest first, with the filters of `events`; docs/export.md describes the forms.

    A file appears whole or not at all. Parquet makes a folder with a file for each month, and replaces the months that
    are exported again.

    Examples:

      flagtrail export --format csv --since 2026-07-01 --until 2026-10-01 --out q3.csv

      flagtrail export --format parquet --linked --out trail

      flagtrail export --format ocsf --since 1d | gzip > changes.ocsf.jsonl.gz
    """
    with importing():
        from flagtrail.cli import exporting
    exporting.export(form, out, config, quiet=quiet, **where)


def sql(
    statement: Annotated[str, typer.Argument(help="One SELECT; - reads it from stdin.")],
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="How many rows; 0 for all.")] = 1000,
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds that it may take.")] = 30,
    output: Annotated[
        Form | None, typer.Option("--output", "-o", help="How they are written; a table, or jsonl in a pipe.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Ask the database with SQL; nothing can be changed. docs/schema.md and docs/sql.md describe what there is.

    Examples:

      flagtrail sql "select day, sum(changes) as changes from daily group by day order by day desc limit 14"

      flagtrail sql "select * from completeness where covered < 1"

      flagtrail sql - -o csv < report.sql > report.csv
    """
    with importing():
        from flagtrail.cli import querying
    querying.sql(statement, limit, timeout, output, config)


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


COMMANDS = (
    init, check, sync, backfill, run, serve, verify, events, count, show, around, state, export, sql, status,
    connectors, demo,
)  # fmt: skip
