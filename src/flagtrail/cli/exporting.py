"""What the command `export` does: events to a file, a folder or stdout, with a progress bar."""

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.progress import Progress, SpinnerColumn, TextColumn

from flagtrail.cli.asking import Typed, asked_by, open_store, trust
from flagtrail.cli.showing import Counting, counted, err, local, out, say, write_bytes
from flagtrail.completeness import completeness
from flagtrail.config import load
from flagtrail.errors import ConfigError
from flagtrail.exports import Format, files, lines
from flagtrail.language import spell
from flagtrail.query import Query, check_known
from flagtrail.query import events as find_events

EACH = 500  # events, between two movements of the bar


def export(form: Format, place: Path | None, config: Path | None, *, quiet: bool, **where: Any) -> None:
    """Write the events that are asked for; `where` holds what a `Typed` does, each filter by its name."""
    text, since, until, zone = (where.pop(name) for name in ("query", "since", "until", "zone"))
    settings = load(config)
    query = replace(asked_by(Typed(text, since, until, zone, where), settings.people()), limit=0)
    if place is not None and str(place) == "-":
        place = None
    _check(form, place)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C, and leaves no half file behind
    with open_store(config) as store:
        check_known(store, query)
        told = completeness(store, query, configured=settings.vendors())
        rows = Counting(find_events(store, query))
        with _progress(quiet or (place is None and out.is_terminal)) as bar:
            moving = _moving(rows, bar)
            if place is None:
                write_bytes(lines(form, moving))
            else:
                _write(form, place, moving, query)
        where_to = f" in {place}" if place else ""
        say(f"{counted(rows.count, 'event', 'events')}{where_to}")
        say(trust(told))


def _check(form: Format, place: Path | None) -> None:
    """Raise ConfigError when the events cannot go where they shall."""
    if form is Format.PARQUET:
        if place is None:
            raise ConfigError("Parquet is a folder of files: name it with --out FOLDER")
        if place.exists() and not place.is_dir():
            raise ConfigError(f"{place} is a file, and Parquet is a folder of them: name another with --out")
    elif place is not None and place.is_dir():
        raise ConfigError(f"{place} is a folder: name a file in it, such as --out {place / 'events'}.{form}")
    if place is not None and not place.resolve().parent.is_dir():
        raise ConfigError(f"the folder {place.parent} of --out does not exist; make it, or name another")


def _write(form: Format, place: Path, rows: Iterator[dict[str, Any]], query: Query) -> None:
    try:
        if form is Format.PARQUET:
            from flagtrail.exports import parquet  # which imports what is large

            filters = spell(replace(query, since=None, until=None))
            parquet.write(rows, place, since=query.since, until=query.until, question=filters)
        else:
            files.write(place, lines(form, rows))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ConfigError(f"{place} cannot be written: {error.strerror or error}; nothing of it was replaced") from None


def _moving(rows: Counting, bar: Progress) -> Iterator[dict[str, Any]]:
    """Yield events, and show how many there were, and how far back."""
    task = bar.add_task("exporting", total=None, events=0, at="")
    for row in rows:
        yield row
        if rows.count % EACH == 0:
            bar.update(task, events=rows.count, at=local(row["occurred_at"], seconds=False))
    bar.update(task, events=rows.count)


def _progress(quiet: bool) -> Progress:
    told = TextColumn("{task.fields[events]:,} events, back to {task.fields[at]}")
    return Progress(SpinnerColumn(), told, console=err, disable=quiet or not err.is_terminal, transient=True)
