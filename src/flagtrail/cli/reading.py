"""What the commands do that read vendors: sync, backfill, run."""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import typer
from rich.table import Table

from flagtrail import __version__, logs, memory, traces
from flagtrail.cli.options import FAILED, Simple, moment
from flagtrail.cli.progress import at_once
from flagtrail.cli.reloading import Reloading
from flagtrail.cli.showing import out, plain_table, print_json, say_errors
from flagtrail.config import Config, config_path, lake_path, load, store_url
from flagtrail.errors import ConfigError, SourceError
from flagtrail.lake.settings import LakeSettings
from flagtrail.nudges import Nudges
from flagtrail.operating import EngineSettings
from flagtrail.pulse import Pulse
from flagtrail.report import Report
from flagtrail.serving import parse_address
from flagtrail.source import Source
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.upkeep import fetch_details
from flagtrail.window import Window

if TYPE_CHECKING:
    from flagtrail.lake.running import Following
    from flagtrail.notices.running import Notices
    from flagtrail.roster import Roster
    from flagtrail.turns import Turns
    from flagtrail.web.server import Server

FOREVER = float("inf")
LEFT = 0.5  # seconds that what is served may take longer to end than the daemon

log = structlog.get_logger()


def sync(config: Path | None, source: list[str] | None, output: Simple, *, quiet: bool, details: bool) -> None:
    """Fill all gaps up to now once."""
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
    since: str, until: str, config: Path | None, source: list[str] | None, output: Simple, *, quiet: bool, dry_run: bool
) -> None:
    """Fill the gaps of an asked window."""
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


def run(config: Path | None, source: list[str] | None) -> None:
    """Keep the table up to date until it is told to end."""
    _daemon(load(config), config, source)


def worker(config: Path | None, source: list[str] | None, listen: str | None) -> None:
    """Keep the table up to date together with other workers, and nothing else, until it is told to end."""
    settings = load(config)
    if settings.engine.kind == "threads":
        raise ConfigError(
            f'config {config_path(config)}: engine.kind: a worker needs "procrastinate"; `flagtrail run` does without'
        )
    try:
        address = parse_address(listen) if listen is not None else settings.serve.listen
    except ValueError as error:
        raise ConfigError(f"--listen: {error}") from None
    serve = settings.serve.model_copy(update={"enabled": listen is not None, "listen": address})
    only = {"serve": serve, "sink": [], "lake": LakeSettings()}
    _daemon(settings.model_copy(update=only), config, source, written=settings)


def _daemon(settings: Config, config: Path | None, source: list[str] | None, written: Config | None = None) -> None:
    """Read sources until told to end, and serve and tell beside that what the settings ask for.

    `written` is the config as it stands in the file, where that asks for more.
    """
    from flagtrail.daemon import Daemon  # with a scheduler, which nothing else needs

    engine = _engine(settings.engine)
    logs.configure()
    logs.catch_all()
    memory.give_back()
    sources = settings.sources(source)
    url = store_url(settings, config)
    pulse = Pulse(settings.run.stuck)
    with Store(url) as store, _traces(settings.telemetry.endpoint), ExitStack() as ending:
        notices = _notices(url, settings)
        reloading = Reloading(written or settings, config, source)
        after = notices.heard if notices else None
        daemon = Daemon(
            sources, store, after=after, ending=ending.close, reread=reloading.reread, pulse=pulse, engine=engine
        )
        nudges = reloading.nudges = Nudges(sources, daemon.look_at)
        ending.callback(nudges.stop)
        server = reloading.server = _server(url, settings, pulse, nudges)
        lake = _lake(url, settings, config)
        for beside in (server, notices, lake):
            if beside is not None:
                ending.callback(beside.stop)
        clean = daemon.run()
        until = time.monotonic() + LEFT
        for beside in (server, notices, lake):
            clean = (beside is None or beside.wait(max(0.0, until - time.monotonic()))) and clean
    if not clean:
        # A thread still waits for a vendor. Every commit is whole, so it can be left behind.
        sys.stderr.flush()
        os._exit(0)


def _engine(settings: EngineSettings) -> "Callable[[list[Source], Turns], Roster]":
    """Return what lets the sources be read; raises ConfigError when it is not installed."""
    if settings.kind == "threads":
        from flagtrail.threads import Threads

        return Threads
    if find_spec("procrastinate") is None:
        raise ConfigError("""workers take Procrastinate, which is not installed: pip install 'flagtrail[workers]'""")
    from flagtrail.workers.crew import Crew

    return partial(Crew, settings=settings)


@contextmanager
def _traces(endpoint: str | None) -> Iterator[None]:
    """Trace for the time of a block, if the config or the environment asks for it."""
    if not traces.wanted(endpoint):
        yield
        return
    try:
        end = traces.begin(endpoint, __version__)
    except ConfigError as error:
        if endpoint is not None:
            raise
        log.warning("traces_missing", error=str(error))  # the environment of a platform is no reason not to start
        yield
        return
    try:
        yield
    finally:
        end()


def _server(url: str, settings: Config, pulse: Pulse, nudges: Nudges) -> "Server | None":
    """Return what serves beside the daemon, unless it is switched off; whatever happens to it, the daemon goes on."""
    if not settings.serve.enabled:
        return None
    from flagtrail.web.server import Server  # slow to import

    server = Server(url, settings.serve, settings.vendors(), settings.people(), pulse=pulse, nudges=nudges)
    server.start()
    return server


def _notices(url: str, settings: Config) -> "Notices | None":
    """Return what tells of changes beside the daemon, if the config asks for it."""
    if not settings.sink:
        return None
    from flagtrail.notices.running import Notices, rules_of, sinks_of  # slow to import

    sinks = sinks_of(settings)
    notices = Notices(url, rules_of(settings, sinks), sinks, settings.serve.public_url if settings.serve else None)
    notices.start()
    return notices


def _lake(url: str, settings: Config, config: Path | None) -> "Following | None":
    """Return what keeps the lake up to date beside the daemon, if the config asks for it."""
    path = lake_path(settings, config)
    if path is None:
        return None
    from flagtrail.lake.opening import open_lake
    from flagtrail.lake.running import Following  # slow to import

    open_lake(path, settings.lake)  # what is missing for it is told at once
    following = Following(url, path, settings.lake)
    following.start()
    return following


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
