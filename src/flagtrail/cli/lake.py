"""What the command `lake` does: the lake brought up to date, compared, told of, or given up."""

import signal
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from flagtrail.cli.asking import open_store
from flagtrail.cli.options import FAILED, Simple
from flagtrail.cli.showing import counted, err, local, out, plain_table, print_json, say
from flagtrail.config import Config, lake_path, load
from flagtrail.errors import ConfigError
from flagtrail.lake import feed
from flagtrail.lake.comparing import Comparison, compare
from flagtrail.lake.keeping import Keeper, Report, Watch
from flagtrail.lake.opening import open_lake
from flagtrail.store import Store


def lake(
    path: str | None, config: Path | None, output: Simple | None, *, rebuild: bool, check: bool, files: bool,
    stop: bool, quiet: bool,
) -> None:  # fmt: skip
    """Do what is asked of the lake; exits with 1 when it is compared and differs."""
    if sum((rebuild, check, files, stop)) > 1:
        raise ConfigError("--rebuild, --check, --files and --stop are four commands; use one of them")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    settings = load(config)
    as_json = output is Simple.JSON or (output is None and not out.is_terminal)
    if stop:
        with open_store(config) as store:
            _stop(store)
        return
    where = place_of(path, settings, config)
    if files:
        for file in open_lake(where, settings.lake).events.files():
            out.print(file.uri, markup=False, soft_wrap=True)
        return
    with open_store(config) as store, _Shown(quiet=quiet) as watch:
        keeper = Keeper(store, open_lake(where, settings.lake), settings.lake, watch)
        if check:
            told = compare(keeper)
        else:
            done = keeper.follow(rebuild=rebuild)
    if check:
        _tell_comparison(told, as_json=as_json)
    else:
        _tell(done, as_json=as_json)


def place_of(path: str | None, settings: Config, config: Path | None) -> str:
    """Return where the lake is; raises ConfigError when nobody says it."""
    where = path or lake_path(settings, config)
    if where is None:
        raise ConfigError(
            'where is the lake? Write path = "lake" under [lake] in the config, or name it: flagtrail lake PATH'
        )
    return where if "://" in where else str(Path(where).absolute())


def forgotten(store: Store, settings: Config, config: Path | None) -> None:
    """Let the lake that is kept forget too, files that are no part of it any more included."""
    where = lake_path(settings, config)
    if where is None:
        say("a lake is kept of this database, and it holds the name until `flagtrail lake PATH` has run")
        return
    done = Keeper(store, open_lake(where, settings.lake), settings.lake).follow()
    say(f"the lake has the pseudonym too; {counted(done.vacuumed, 'file', 'files')} of before deleted")


def _stop(store: Store) -> None:
    if feed.end(store):
        say("no changes are noted any more; the files of the lake stay as they are, and are yours")
    else:
        say("no lake was kept of this database")


def _tell(done: Report, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(done))
        return
    if done.why_built:
        say(f"the lake was built: {done.why_built}")
    what = f"{counted(done.changes, 'change', 'changes')} followed, {counted(done.written, 'row', 'rows')} written"
    out.print(f"{what} in {done.seconds:.1f} s")
    size = f"{done.bytes / 1e6:,.1f} MB"
    out.print(f"{counted(done.events, 'event', 'events')} in {counted(done.files, 'file', 'files')}, {size}, "
              f"as of {local(done.as_of)}", highlight=False)  # fmt: skip
    if done.compacted or done.vacuumed:
        say(f"{done.compacted} small files were made into large ones, {done.vacuumed} old ones deleted")


def _tell_comparison(told: Comparison, *, as_json: bool) -> None:
    if as_json:
        differences: list[dict[str, Any]] = [
            each._asdict()
            | {side: part and part._asdict() for side, part in zip(("database", "lake"), each[2:], strict=True)}
            for each in told.differences
        ]
        print_json(
            {"same": not differences, "differences": differences, "events": told.events, "waiting": told.waiting}
        )
    elif told.differences:
        rows = [(d.vendor, d.month, *(f"{part.rows:,}" if part else "-" for part in d[2:])) for d in told.differences]
        out.print(plain_table(("vendor", "month", "rows in the database", "rows in the lake"), rows))
    else:
        out.print(f"the lake and the database hold the same {counted(told.events, 'event', 'events')}, row for row")
    if told.waiting:
        say(f"{counted(told.waiting, 'change waits', 'changes wait')} to be followed, and were left out on both sides")
    if told.differences:
        say("`flagtrail lake --rebuild` makes the lake anew")
        raise typer.Exit(FAILED)


class _Shown(Watch):
    """Shows how far it is."""

    def __init__(self, *, quiet: bool) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,}"),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=err, disable=quiet or not err.is_terminal, transient=True)
        self._task = self._bar.add_task("looking", total=None)
        self._told = False

    def moved(self, what: str, done: int, total: int | None) -> None:
        """Move the bar."""
        self._bar.update(self._task, description=what, completed=done, total=total)

    def waiting(self) -> bool:
        """Say once for whom is waited."""
        if not self._told:
            self._told = True
            say("another process is bringing the lake up to date: waiting for it")
        return True

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()
