"""The commands that read vendors: sync, backfill, run."""

import logging
import os
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from flagtrail import logs
from flagtrail.cli.progress import at_once
from flagtrail.cli.showing import FAILED, Simple, out, plain_table, print_json, say_errors
from flagtrail.config import load, store_url
from flagtrail.daemon import Daemon
from flagtrail.errors import ConfigError, SourceError
from flagtrail.report import Report
from flagtrail.source import Source
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.upkeep import fetch_details
from flagtrail.when import parse_moment
from flagtrail.window import Window

FOREVER = float("inf")
ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="Config file; else FLAGTRAIL_CONFIG, else ./flagtrail.toml.")
]
SourceOption = Annotated[list[str] | None, typer.Option("--source", "-s", help="Only this source; may be repeated.")]
OutputOption = Annotated[Simple, typer.Option("--output", "-o", help="How the result is written.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]


def moment(text: str | None) -> datetime | None:
    """Return the instant that a command line names; without a zone it is in the reader's own."""
    if text is None:
        return None
    try:
        return parse_moment(text, datetime.now(UTC), zone=None)
    except ValueError as error:
        raise ConfigError(str(error)) from None


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
    logs.configure(logging.ERROR)
    settings = load(config)
    sources = settings.sources(source)
    with Store(store_url(settings, config)) as store:
        reports = fill(sources, store, None, quiet=quiet)
        if details:
            work = partial(fetch_details, seconds=FOREVER, spare=0.0)
            told = at_once(sources, store, lambda session, bar: work(session, watch=bar), quiet=quiet)
            for report, fetched in zip(reports, told, strict=True):
                report.error = report.error or fetched.error
        finish(reports, output)


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
    logs.configure(logging.ERROR)
    first, last = moment(since), moment(until)
    assert first is not None
    assert last is not None
    if first >= last:
        raise ConfigError(f"--since {since} is not before --until {until}")
    window = Window(first, last)
    settings = load(config)
    sources = settings.sources(source)
    with Store(store_url(settings, config)) as store:
        if dry_run:
            _expect(sources, store, window, output)
        else:
            finish(fill(sources, store, window, quiet=quiet), output)


def run(config: ConfigOption = None, source: SourceOption = None) -> None:
    """Keep the table up to date until SIGTERM or Ctrl-C: the daemon.

    The log goes to stderr, as JSON unless that is a terminal. SIGTERM ends it within 5 seconds with nothing lost.

    Examples:

      flagtrail run

      FLAGTRAIL_CONFIG=/etc/flagtrail.toml flagtrail run
    """
    logs.configure()
    settings = load(config)
    sources = settings.sources(source)
    with Store(store_url(settings, config)) as store:
        clean = Daemon(sources, store).run()
    if not clean:
        # A thread still waits for a vendor. Every commit is whole, so it can be left behind.
        sys.stderr.flush()
        os._exit(0)


def fill(sources: list[Source], store: Store, window: Window | None, *, quiet: bool) -> list[Report]:
    """Fill the gaps of several sources at the same time, and return their reports."""
    return at_once(sources, store, lambda session, bar: session.fill(window, bar), quiet=quiet)


def finish(reports: list[Report], output: Simple) -> None:
    """Show how a sync went, and exit with 1 when some source failed."""
    if output is Simple.JSON:
        print_json([_plain_report(report) for report in reports])
    else:
        out.print(_table(reports))
    for report in reports:
        say_errors("\n".join(report.errors))
    if any(report.errors for report in reports):
        raise typer.Exit(FAILED)


def _table(reports: list[Report]) -> Table:
    rows = [
        (
            report.source,
            len(report.streams),
            report.new,
            sum(stream.changed for stream in report.streams.values()),
            sum(stream.gaps for stream in report.streams.values()),
            report.requests,
        )
        for report in reports
    ]
    columns = ("source", "streams", "new", "changed", "unreadable gaps", "requests")
    return plain_table(columns, rows, right=columns[1:])


def _plain_report(report: Report) -> dict[str, object]:
    streams = [
        {"stream": name, "new": s.new, "changed": s.changed, "gaps": s.gaps, "error": s.error}
        for name, s in report.streams.items()
    ]
    return {
        "source": report.source,
        "new": report.new,
        "requests": report.requests,
        "error": report.error,
        "streams": streams,
    }


def _expect(sources: list[Source], store: Store, window: Window, output: Simple) -> None:
    """Show how many windows, records and requests a backfill expects."""
    rows, errors = [], []
    for source in sources:
        with Session(source, store) as session:
            try:
                jobs = session.estimate(window)
            except SourceError as error:
                errors.append(f"{source.name}: {error}")
                continue
            for name in dict.fromkeys(job.stream.name for job in jobs):
                mine = [job for job in jobs if job.stream.name == name]
                records = (
                    None if any(job.expected is None for job in mine) else round(sum(j.expected or 0 for j in mine))
                )
                requests = sum(job.requests for job in mine)
                rows.append({"source": source.name, "stream": name, "windows": len(mine), "records": records,
                             "requests": requests})  # fmt: skip
    total = sum(int(str(row["requests"])) for row in rows)
    if output is Simple.JSON:
        print_json({"streams": rows, "requests": total})
    else:
        columns = ("source", "stream", "windows", "records", "requests")
        cells = [["not told" if cell is None else cell for cell in row.values()] for row in rows]
        out.print(plain_table(columns, cells, right=columns[2:]))
        out.print(f"about {total} requests; nothing was read")
    say_errors("\n".join(errors))
    if errors:
        raise typer.Exit(FAILED)
