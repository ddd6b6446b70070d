"""The commands that ask for events: events, show."""

from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from flagtrail.cli.reading import ConfigOption, moment
from flagtrail.cli.showing import (
    COLUMNS,
    Form,
    Simple,
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
from flagtrail.query import Query, event
from flagtrail.query import events as find_events
from flagtrail.status import status as find_status
from flagtrail.store import Store
from flagtrail.verdicts import Outcome

FLAGS = {
    "truncated": "yes: the vendor cut its account of the change short",
    "provisional": "yes: the vendor will still change this, and it is read again",
}


def open_store(config: Path | None) -> Store:
    """Return the store that the config names, for asking; it must exist already."""
    return Store(store_url(load(config), config), create=False)


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
    text: Annotated[str | None, typer.Option(help="Part of what is told about the change.")] = None,
    linked: Annotated[
        bool, typer.Option("--linked", help="Also the flag events whose impact stands on their audit entry anyway.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="How many, newest first; 0 for all.")] = 50,
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
    query = Query(since=moment(since), until=moment(until), vendor=vendor, source=source, project=project,
                  environment=environment, actor=actor, action=action, object=object, text=text, linked=linked,
                  limit=limit + 1 if limit else 0)  # fmt: skip
    if query.since and query.until and query.since >= query.until:
        raise ConfigError(f"--since {since} is not before --until {until}")
    settings = load(config)
    with open_store(config) as store:
        check_known(store, source=source, vendor=vendor)
        rows = find_events(store, query)
        count = write_events(islice(rows, limit or None), output)
        if limit and count == limit and next(rows, None) is not None:
            say(f"the newest {limit} are shown, there are more; --limit 0 shows all")
        if output is Form.TABLE:
            configured = [each.name for each in settings.source if source in (None, each.name)]
            _say_completeness(store, query, configured if vendor is None else [])


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


def _say_completeness(store: Store, query: Query, configured: list[str]) -> None:
    """Tell under a table of events how far it can be trusted."""
    looks = [
        look for look in store.sources() if query.source in (None, look.source) and query.vendor in (None, look.vendor)
    ]
    streams = [stream for stream in find_status(store) if stream.state.source in {look.source for look in looks}]
    failing = [look.source for look in looks if look.error]
    failing += [stream.state.source for stream in streams if stream.state.error]
    failing += [name for name in configured if name not in {look.source for look in store.sources()}]
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
