"""What the commands do that ask for events: events, show."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from rich.text import Text

from flagtrail.cli.options import Form, Simple, moment
from flagtrail.cli.showing import (
    dumps,
    local,
    out,
    plain,
    plain_table,
    print_json,
    say,
    write_events,
    zone,
)
from flagtrail.config import load, store_url
from flagtrail.errors import ConfigError
from flagtrail.exports.columns import COLUMNS
from flagtrail.query import Query, cursor_of, event, place_of
from flagtrail.query import events as find_events
from flagtrail.status import outline
from flagtrail.store import Store
from flagtrail.verdicts import Outcome

FLAGS = {
    "truncated": "yes: the vendor cut its account of the change short",
    "provisional": "yes: the vendor will still change this, and it is read again",
}


def open_store(config: Path | None) -> Store:
    """Return the store that the config names, for asking; it must exist already."""
    return Store(store_url(load(config), config), create=False)


def question(since: str | None, until: str | None, *, limit: int = 0, **where: Any) -> Query:
    """Return what a command line asks for; `where` holds what else a `Query` has. Raises ConfigError."""
    if where.get("after"):
        try:
            place_of(where["after"])
        except ValueError as error:
            raise ConfigError(f"--after: {error}") from None
    query = Query(since=moment(since), until=moment(until), limit=limit, **where)
    if query.since and query.until and query.since >= query.until:
        raise ConfigError(f"--since {since} is not before --until {until}")
    return query


def events(since: str | None, until: str | None, limit: int, output: Form, config: Path | None, **where: Any) -> None:
    """Show changes, newest first; `where` holds what else a `Query` asks for."""
    query = question(since, until, limit=limit + 1 if limit else 0, **where)
    settings = load(config)
    with open_store(config) as store:
        check_known(store, source=query.source, vendor=query.vendor)
        rows = find_events(store, query)
        shown = islice(rows, limit) if limit else rows
        last: list[str] = []
        count = write_events(_noting_the_last(shown, last) if limit else shown, output)
        if limit and count == limit and next(rows, None) is not None:
            say(f"the newest {limit} are shown, there are more: --after {last[0]} goes on; --limit 0 shows all")
        if output is Form.TABLE:
            say_completeness(store, query, [each.name for each in settings.source])


def _noting_the_last(rows: Iterable[dict[str, Any]], last: list[str]) -> Iterator[dict[str, Any]]:
    """Yield events, and leave the cursor of the last one."""
    for row in rows:
        last[:] = [cursor_of(row)]
        yield row


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
        return f"{local(value)} {zone()}"
    return plain(value if isinstance(value, str | int) else dumps(value))


def _change(change: dict[str, Any]) -> str:
    """Return one change as a line: where, what it was, what it is."""
    before, after = (value if isinstance(value, str) else dumps(value) for value in (change["before"], change["after"]))
    return f"{change['path']}: {before} → {after}"


def check_known(store: Store, **wanted: str | None) -> None:
    """Raise ConfigError when a source or a vendor is asked for that this database has never seen."""
    looks = [state._asdict() for state in store.sources()]
    for name, value in wanted.items():
        known = sorted({str(look[name]) for look in looks})
        if value is not None and known and value not in known:
            raise ConfigError(f"there is no {name} {value!r} in this database; there is: {', '.join(known)}")


def say_completeness(store: Store, query: Query, sources: list[str]) -> None:
    """Tell beside events how far they can be trusted; the sources are those of the config."""
    configured = [name for name in sources if query.source in (None, name)] if query.vendor is None else []
    seen = store.sources()
    looks = [look for look in seen if query.source in (None, look.source) and query.vendor in (None, look.vendor)]
    streams = outline(store, {look.source for look in looks})
    failing = [look.source for look in looks if look.error]
    failing += [stream.state.source for stream in streams if stream.state.error]
    failing += [name for name in configured if name not in {look.source for look in seen}]
    gaps = sum(len(stream.gaps) for stream in streams)
    differing = sum(v.outcome is Outcome.DIFFERS for stream in streams for v in stream.verdicts)
    ends = [stream.complete_until for stream in streams if stream.complete_until]
    starts = [stream.wanted.since for stream in streams if stream.wanted]
    if failing or gaps or differing or len(ends) < len(streams) or not streams:
        names = f" ({', '.join(dict.fromkeys(failing))})" if failing else ""
        differ = f", {differing} windows that differ from the vendor" if differing else ""
        say(f"not everything is here{names}: {gaps} gaps in {len(streams)} streams{differ}; `flagtrail status` tells")
        return
    say(
        f"complete from {local(max(starts))} to {local(min(ends))} in all {len(streams)} streams; "
        "before that nothing was asked for, and younger changes may still appear"
    )
