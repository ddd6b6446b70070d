"""What the commands do that ask for events: events, show."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from rich.text import Text

from flagtrail.cli.options import Form, Simple, moment
from flagtrail.cli.showing import (
    dumps,
    local,
    out,
    plain,
    plain_table,
    print_json,
    reading_zone,
    say,
    use_zone,
    write_events,
    zone,
)
from flagtrail.completeness import Completeness, completeness
from flagtrail.config import Config, lake_path, load, store_url
from flagtrail.errors import ConfigError
from flagtrail.exports.columns import COLUMNS
from flagtrail.language import parse
from flagtrail.people import People
from flagtrail.query import Counted, Query, QueryError, check_known, count, cursor_of, event, expanded, place_of
from flagtrail.query import events as find_events
from flagtrail.share import percent
from flagtrail.store import Store

FLAGS = {
    "truncated": "yes: the vendor cut its account of the change short",
    "provisional": "yes: the vendor will still change this, and it is read again",
}


def open_store(config: Path | None) -> Store:
    """Return the store that the config names, for asking; it must exist already."""
    return Store(store_url(load(config), config), create=False)


class Asked(NamedTuple):
    """Who answers: the database, or the lake as it was at a moment."""

    check_known: Callable[[Query], None]
    completeness: Callable[..., Completeness]
    events: Callable[[Query], Iterator[dict[str, Any]]]
    counts: Callable[..., Counted]
    as_of: datetime | None = None

    def say_when(self) -> None:
        """Tell a person as of when it is, if that is not now."""
        if self.as_of:
            say(f"from the lake, as of {local(self.as_of)}")


@contextmanager
def asked_of(settings: Config, config: Path | None, *, from_lake: bool) -> Iterator[Asked]:
    """Give who answers; raises ConfigError when it is not there."""
    if not from_lake:
        with open_store(config) as store:
            yield Asked(
                partial(check_known, store),
                partial(completeness, store),
                partial(find_events, store),
                partial(count, store),
            )
        return
    from flagtrail.lake.asking import Asking  # large, and optional
    from flagtrail.lake.opening import open_lake

    path = lake_path(settings, config)
    if path is None:
        raise ConfigError('--from-lake asks the lake that the config tells of: write path = "lake" under [lake]')
    with Asking(open_lake(path, settings.lake)) as lake:
        yield Asked(lake.check_known, lake.completeness, lake.events, lake.count, lake.as_of)


class Typed(NamedTuple):
    """What was typed to ask for events: a text, and options; `where` holds what else a `Query` asks for."""

    text: str | None
    since: str | None
    until: str | None
    zone: str | None
    where: Mapping[str, Any]


def asked_by(typed: Typed, people: People) -> Query:
    """Return the question that was typed, in the zone that was, for all that its persons go by.

    Raises ConfigError, also for what is said twice.
    """
    use_zone(typed.zone)
    check_said(typed.where)
    try:
        query = parse(typed.text or "", datetime.now(UTC), reading_zone())
        said = {**query.wanted, **{name: True for name in ("since", "until", "text", "linked") if getattr(query, name)}}
        since, until = (moment(text, reading_zone()) for text in (typed.since, typed.until))
        options = {"since": since, "until": until, **{name: value for name, value in typed.where.items() if value}}
        given = {name: value for name, value in options.items() if value is not None}
        for name in said.keys() & given.keys() - {"linked"}:
            raise ConfigError(f"--{name} and {name} in the query are two answers to one question; use one of them")
        query = replace(query, **given)
    except QueryError as error:
        raise ConfigError(str(error)) from None
    if query.since and query.until and query.since >= query.until:
        raise ConfigError(f"--since {typed.since or 'of the query'} is not before --until {typed.until or 'of it'}")
    return expanded(query, people.identities)


def check_said(where: Mapping[str, Any]) -> None:
    """Raise ConfigError for an option with an empty value: its answer would be one to another question."""
    for name, given in where.items():
        values = (given,) if isinstance(given, str) else given if isinstance(given, list | tuple) else ()
        if not all(value.strip() for value in values):
            raise ConfigError(f"--{name} has an empty value: give it one, or leave --{name} out")


def events(
    typed: Typed, limit: int, after: str | None, output: Form, config: Path | None, *, envelope: bool = False,
    from_lake: bool = False,
) -> None:  # fmt: skip
    """Show changes, in the order of the question."""
    if after is not None:
        try:
            place_of(after)
        except ValueError as error:
            raise ConfigError(f"--after: {error}") from None
    if envelope and output is not Form.JSON:
        raise ConfigError("--envelope goes with -o json; the other forms hold events and nothing else")
    settings = load(config)
    query = replace(asked_by(typed, settings.people()), limit=limit + 1 if limit else 0, after=after)
    with asked_of(settings, config, from_lake=from_lake) as asked:
        asked.check_known(query)
        wanted = envelope or output is Form.TABLE
        told = asked.completeness(query, configured=settings.vendors()) if wanted else None
        rows = asked.events(query)
        last: list[str] = []
        shown = _noting_the_last(islice(rows, limit), last) if limit else rows
        if envelope and told:
            _write_envelope(told, query, shown, rows, last, asked.as_of)
            return
        written = write_events(shown, output)
        if limit and written == limit and next(rows, None) is not None:
            first = "oldest" if query.oldest_first else "newest"
            say(f"the {first} {limit} are shown, there are more: --after {last[0]} goes on; --limit 0 shows all")
        asked.say_when()
        if told:
            say(trust(told))


def _noting_the_last(rows: Iterable[dict[str, Any]], last: list[str]) -> Iterator[dict[str, Any]]:
    """Yield events, and leave the cursor of the last one."""
    for row in rows:
        last[:] = [cursor_of(row)]
        yield row


def _write_envelope(
    told: Completeness,
    query: Query,
    shown: Iterable[dict[str, Any]],
    rows: Iterator[dict[str, Any]],
    last: list[str],
    as_of: datetime | None,
) -> None:
    """Write an object of the events, the cursor of the next page, how complete the answer is, and as of when if old."""
    sys.stdout.write('{"events": ')
    write_events(shown, Form.JSON)
    more = bool(query.limit) and next(rows, None) is not None
    ending = f'"next": {dumps(last[0] if more else None)}, "completeness": {dumps(told.as_json())}'
    when = f', "as_of": {dumps(as_of)}' if as_of else ""
    sys.stdout.write(f", {ending}{when}}}\n")


def show(event_id: str, output: Simple, config: Path | None) -> None:
    """Print one event whole, with the vendor's own record of it."""
    with open_store(config) as store:
        found = event(store, event_id) if event_id else []
    if not found:
        raise ConfigError(f"no event has an id that begins with {event_id!r}; `flagtrail events` shows the ids")
    if len(found) > 1:
        raise ConfigError(f"more than one event has an id that begins with {event_id!r}; write more of it")
    row = found[0]
    if output is Simple.JSON:
        print_json(row)
        return
    told = [name for name in COLUMNS if row[name] is not None and row[name] is not False]
    fields = [(Text(name, style="bold"), _value(name, row[name])) for name in told]
    table = plain_table(("", " "), fields)
    table.show_header = False
    out.print(table)
    for kept in row["records"]:
        which = f" (revision {kept['revision']})" if row["revision"] > 1 else ""
        out.print(Text(f"\nrecord, as the vendor showed it first at {local(kept['seen_at'])}{which}", style="bold"))
        print_json(kept["record"])


def _value(name: str, value: Any) -> str:
    if name == "changes":
        return "\n".join(plain(_change(change)) for change in value)
    if value is True:
        return FLAGS.get(name, "yes")
    if name in ("occurred_at", "first_seen_at", "vanished_at"):
        return f"{local(value)} {zone(value)}"
    return plain(value if isinstance(value, str | int) else dumps(value))


def _change(change: dict[str, Any]) -> str:
    """Return one change as a line: where, what it was, what it is."""
    before, after = (value if isinstance(value, str) else dumps(value) for value in (change["before"], change["after"]))
    return f"{change['path']}: {before} → {after}"


def trust(told: Completeness) -> str:
    """Return in a line for people how far an answer can be trusted."""
    count, whole = len(told.streams), told.windows
    if told.asked is None:
        return "the time asked for has not begun: there can be nothing yet"
    if not told.is_trusted:
        names = f" ({', '.join(told.failing)})" if told.failing else ""
        differ = f", {told.differing} windows that differ from the vendor" if told.differing else ""
        asked = f"; {percent(told.covered_share)} of {_asked_time(told)} is covered" if count else ""
        until = told.settled_until
        stale = f", nothing is read since {local(until)}" if told.is_stale and until else ""
        gaps = "" if stale and not told.gaps else f", {told.gaps} gaps in {count} streams"
        here = f"not everything is here{names}: {(gaps + differ + stale).removeprefix(', ')}{asked}"
        return f"{here}; `flagtrail status` tells"
    newest = whole[-1]
    lies_before = told.since is None or newest.since > told.since
    deleted = f"what is older than {local(told.kept_since)} was deleted here, as configured, and "
    before = (deleted if told.kept_since else "before that nothing was asked for, and ") if lies_before else ""
    settled = told.asked is not None and newest.until >= told.asked.until
    after = f"{before}younger changes may still appear" if not settled else before.removesuffix(", and ")
    verified = f", {percent(told.verified_share)} of it verified" if told.verified_share else ""
    where = f"complete from {local(newest.since)} to {local(newest.until)} in all {count} streams{verified}"
    return f"{where}; {after}" if after else where


def _asked_time(told: Completeness) -> str:
    """Return the time that was asked for, for people."""
    if told.asked is None or (told.since is None and told.until is None):
        return "the time asked for"
    until = local(told.until) if told.until else "now"
    return f"{local(told.asked.since)} to {until}"
