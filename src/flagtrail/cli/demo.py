"""Plays flagtrail against simulated vendors: every installed connector that ships a simulator, over real HTTP."""

import importlib
import inspect
import logging
import random
import shutil
import sys
import threading
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from rich.rule import Rule

from flagtrail import logs
from flagtrail.cli.coverage import status
from flagtrail.cli.progress import at_once
from flagtrail.cli.reading import fill
from flagtrail.cli.showing import events_table, out, say_errors
from flagtrail.connector import Connector, installed
from flagtrail.daemon import Daemon
from flagtrail.errors import ConfigError
from flagtrail.query import Query, events
from flagtrail.report import Report, Verification, Watch
from flagtrail.serving import ServeSettings
from flagtrail.source import Source
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.testing.configured import write_config
from flagtrail.testing.simulator import Simulator
from flagtrail.upkeep import fetch_details
from flagtrail.verify import verify

if TYPE_CHECKING:
    from flagtrail.web.server import Server

DAYS = 365.0
DETAILS = 2.0  # seconds spent on full forms before anything is shown
SHOWN = 12
EVERY = timedelta(seconds=3)
LISTENS = 10.0  # seconds until the page is up, at most
PAUSE = (1.0, 5.0)  # seconds between two simulated changes, at least and at most
# Names that no real trail has: an earlier demo's files are removed.
DATABASE, CONFIG = "flagtrail-demo.db", "flagtrail-demo.toml"
COUNTING = "select vendor, action, count(*) from event group by 1, 2 order by 3 desc"


def play(folder: Path, *, entries: int, once: bool) -> None:
    """Simulate, load, show; then go on as the daemon until interrupted, unless `once`."""
    logs.configure(logging.ERROR)
    _prepare(folder)
    with ExitStack() as running:
        sources, simulators = [], []
        for name, kind in installed().items():
            simulator = _simulator(kind)
            if simulator is None:
                continue
            simulator.fill(entries, DAYS, seed=7)
            running.enter_context(simulator)
            simulators.append(simulator)
            sources.append(Source(f"demo-{name}", simulator.connect(), start=timedelta(days=DAYS), every=EVERY))
            out.print(f"simulating {name} at {simulator.url} with a year of history", highlight=False)
        if not sources:
            raise ConfigError("no installed connector ships a simulator")
        named = {source.name: simulator for source, simulator in zip(sources, simulators, strict=True)}
        config = write_config(folder, named, f"sqlite:///{DATABASE}", CONFIG, start=f"{DAYS:.0f}d")
        store = running.enter_context(Store(f"sqlite:///{folder.absolute() / DATABASE}"))
        reports = fill(sources, store, None, quiet=False)
        for report in reports:
            say_errors("\n".join(report.errors))
        out.print("comparing it with the vendors, and fetching the before and after of some changes", highlight=False)
        for checked in at_once(sources, store, _check, quiet=True):
            say_errors("\n".join(checked.errors))
        _show(config, store, reports)
        if once:
            return
        server = _served(f"sqlite:///{folder.absolute() / DATABASE}", sources)
        running.callback(server.stop)
        _go_on(sources, store, simulators, server)


def _check(session: Session, watch: Watch) -> Verification:
    """Verify a source, and fetch the full forms of its newest entries, as the daemon does in the background."""
    report = verify(session, watch=watch)
    fetch_details(session, DETAILS, spare=0.0)
    return report


def _show(config: Path, store: Store, reports: list[Report]) -> None:
    new, requests = sum(report.new for report in reports), sum(report.requests for report in reports)
    out.print(f"\n[bold]{new:,} changes in one table[/], read in {requests:,} requests. The newest:")
    out.print(events_table(list(events(store, Query(limit=SHOWN)))))
    status(config=config)
    quoted = f'"{config}"' if " " in str(config) else str(config)
    out.print(Rule(style="dim"))
    out.print("How to go on, in another terminal from this folder:", style="bold")
    flagtrail = _command()
    for line in (
        f"export FLAGTRAIL_CONFIG={quoted}",
        f"{flagtrail} events --environment production --since 7d",
        f"{flagtrail} events --actor ana --action turned_off",
        f"{flagtrail} show " + next(row["id"][:8] for row in events(store, Query(limit=1))),
        f"sqlite3 {config.parent / DATABASE} '{COUNTING}'",
    ):
        out.print(f"  {line}", markup=False, soft_wrap=True)


def _command() -> str:
    """Return what a person types from here to run this very flagtrail."""
    script = Path(sys.executable).with_name("flagtrail")
    if shutil.which("flagtrail") == str(script):
        return "flagtrail"
    return str(script.relative_to(Path.cwd()) if script.is_relative_to(Path.cwd()) else script)


def _served(url: str, sources: list[Source]) -> "Server":
    """Serve the page where `flagtrail run` does, or at a free port when that is taken."""
    from flagtrail.web.server import Server, listening

    settings = ServeSettings()
    try:
        listening(settings.listen).close()
    except OSError:
        settings = ServeSettings(listen=settings.listen._replace(port=0))
    server = Server(url, settings, {source.name: source.connector.vendor for source in sources})
    server.start()
    server.listens.wait(LISTENS)
    return server


def _go_on(sources: list[Source], store: Store, simulators: list[Simulator], server: "Server") -> None:
    """Run the daemon while changes go on happening, and print each as it arrives; Ctrl-C ends it."""
    if server.address:
        out.print(f"\nThe page is at [bold green]http://{server.address}[/]: open it in a browser.", style="bold")
    out.print("\nNow the daemon goes on, and changes happen. Ctrl-C ends it.\n", style="bold")

    shown = {row["id"] for row in events(store, Query(limit=SHOWN))}

    def arrived(report: Report) -> None:
        # A flag event is new as well, but stands on the line of its audit entry.
        newest = events(store, Query(source=report.source, limit=report.new)) if report.new else []
        fresh = [row for row in newest if row["id"] not in shown]
        shown.update(row["id"] for row in fresh)
        if fresh:
            out.print(events_table(fresh[::-1], dates=False))
        say_errors("\n".join(report.errors))

    ending = threading.Event()
    life = threading.Thread(target=_live, args=(simulators, ending), daemon=True)
    life.start()
    try:
        Daemon(sources, store, after=arrived, ending=server.stop).run()
    finally:
        ending.set()


def _live(simulators: list[Simulator], ending: threading.Event) -> None:
    while not ending.wait(random.uniform(*PAUSE)):  # noqa: S311
        random.choice(simulators).happen()  # noqa: S311


def _simulator(kind: type[Connector]) -> Simulator | None:
    """Return a new simulator of a connector's vendor, found by convention in its module `simulator`."""
    try:
        module = importlib.import_module(f"{kind.__module__}.simulator")
    except ModuleNotFoundError:
        return None
    for _, found in inspect.getmembers(module, inspect.isclass):
        if issubclass(found, Simulator) and found.__module__ == module.__name__:
            return found()
    return None


def _prepare(folder: Path) -> None:
    """Make the folder, and remove what an earlier demo left in it: its simulated history is gone."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", CONFIG):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"the demo cannot write to {folder}: {error.strerror}; name another with --folder") from None
