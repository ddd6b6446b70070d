"""The commands that ask the table: events, show, status."""

from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.json import JSON
from rich.text import Text

from flagtrail.cli.reading import ConfigOption, moment
from flagtrail.cli.showing import (
    COLUMNS,
    VENDOR_STYLE,
    WIDE,
    Form,
    Simple,
    bar,
    dumps,
    local,
    out,
    plain,
    plain_table,
    say,
    write_events,
    zone,
)
from flagtrail.config import load, store_url
from flagtrail.errors import ConfigError
from flagtrail.event import Action
from flagtrail.query import Query, event, unmapped
from flagtrail.query import events as find_events
from flagtrail.status import NOT_READ, StreamStatus
from flagtrail.status import status as find_status
from flagtrail.store import Gap, Store
from flagtrail.when import spoken

CELLS, WIDE_CELLS = 12, 40  # characters of a coverage bar, in a narrow and in a wide terminal
SHOWN_GAPS = 3  # gaps of one stream that the table names one by one


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
    with open_store(config) as store:
        rows = find_events(store, query)
        count = write_events(islice(rows, limit or None), output)
        if limit and count == limit and next(rows, None) is not None:
            say(f"the newest {limit} are shown, there are more; --limit 0 shows all")
        if output is Form.TABLE:
            _say_completeness(find_status(store, source))


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
        out.print_json(dumps(row))
        return
    fields = [(Text(name, style="bold"), _value(name, row[name])) for name in COLUMNS if row[name] is not None]
    table = plain_table(("", " "), fields)
    table.show_header = False
    parts: list[RenderableType] = [table]
    for kept in row["records"]:
        title = f"\nrecord, as the vendor showed it first at {local(kept['seen_at'])}"
        parts += [Text(title + (f" (revision {kept['revision']})" if row["revision"] > 1 else ""), style="bold")]
        parts += [JSON(dumps(kept["record"]))]
    out.print(Group(*parts))


def _value(name: str, value: Any) -> str:
    if name in ("occurred_at", "first_seen_at", "vanished_at"):
        return f"{local(value)} {zone()}"
    return plain(value if isinstance(value, str | int) else dumps(value))


def status(
    source: Annotated[str | None, typer.Option("--source", "-s", help="Only this source.")] = None,
    output: Annotated[Simple, typer.Option("--output", "-o", help="How it is written.")] = Simple.TABLE,
    config: ConfigOption = None,
) -> None:
    """Show for each stream how much of the wanted past is covered, every gap with its reason, and the last error.

    In the bar, a full block is covered, a shaded one partly, a dot not at all; it runs from the configured start to the
    youngest settled time.

    Examples:

      flagtrail status

      flagtrail status -o json
    """
    with open_store(config) as store:
        found = find_status(store, source)
        unknown = unmapped(store, set(Action))
    if output is Simple.JSON:
        rows = [_plain_status(stream) for stream in found]
        kept = [{"vendor": vendor, "action": action, "events": count} for (vendor, action), count in unknown.items()]
        out.print_json(dumps({"streams": rows, "unmapped_actions": kept}))
        return
    if not found:
        out.print("nothing was synced yet; `flagtrail sync` reads every source")
        return
    for name in dict.fromkeys(stream.state.source for stream in found):
        _print_source(name, [stream for stream in found if stream.state.source == name])
    if unknown:
        words = ", ".join(f"{action} ({count})" for (_, action), count in sorted(unknown.items())[:5])
        out.print(Text(f"\nactions in the vendor's own words, for want of a verb: {plain(words)}", style="dim"))


def _print_source(name: str, streams: list[StreamStatus]) -> None:
    looks = [stream.state.succeeded_at for stream in streams if stream.state.succeeded_at]
    looked = (
        f"looked {spoken(datetime.now(UTC) - min(looks))} ago" if len(looks) == len(streams) else "not yet read whole"
    )
    vendor = streams[0].state.vendor
    out.print(Text.assemble("\n", (name, "bold"), "  ", (vendor, VENDOR_STYLE.get(vendor, "")), (f"  {looked}", "dim")))
    cells = WIDE_CELLS if out.width >= WIDE else CELLS
    rows = [
        (
            _title(stream),
            bar(stream.cells(cells)),
            f"{int(stream.share * 1000) / 10:g} %" if stream.wanted else "",
            f"{stream.events:,}",
            local(stream.complete_until, seconds=False) or "nothing yet",
        )
        for stream in streams
    ]
    out.print(plain_table(("stream", "coverage", "", "events", "complete until"), rows, right=("", "events")))
    for stream in streams:
        for gap in stream.gaps[:SHOWN_GAPS]:
            out.print(_gap_line(stream, gap), soft_wrap=True)
        if len(stream.gaps) > SHOWN_GAPS:
            out.print(Text(f"  {stream.state.stream}: and {len(stream.gaps) - SHOWN_GAPS} more gaps", style="yellow"))
        if stream.state.error and not any(stream.state.error in gap.reason for gap in stream.gaps):
            out.print(Text(f"  {stream.state.stream}: {plain(stream.state.error)}", style="red"), soft_wrap=True)


def _title(stream: StreamStatus) -> str:
    """Return a stream's name, with what people call its scope instead of an opaque id."""
    state = stream.state
    return f"{state.stream.partition('[')[0]} {state.label}" if state.label else state.stream


def _gap_line(stream: StreamStatus, gap: Gap) -> Text:
    numbers = "" if gap.reason.startswith(NOT_READ) else f", {gap.stored} stored of {gap.expected or 'more'}"
    window = f"{local(gap.window.since)} to {local(gap.window.until)}"
    return Text(f"  gap in {stream.state.stream}: {window}{numbers}: {plain(gap.reason)}", style="yellow")


def _plain_status(stream: StreamStatus) -> dict[str, Any]:
    gaps = [
        {
            "since": g.window.since,
            "until": g.window.until,
            "reason": g.reason,
            "expected": g.expected,
            "stored": g.stored,
        }
        for g in stream.gaps
    ]
    return {
        **{name: getattr(stream.state, name) for name in stream.state._fields},
        "events": stream.events,
        "wanted_until": stream.wanted.until if stream.wanted else None,
        "complete_until": stream.complete_until,
        "covered_share": stream.share,
        "coverage": [{"since": window.since, "until": window.until} for window in stream.covered],
        "gaps": gaps,
    }


def _say_completeness(streams: list[StreamStatus]) -> None:
    """Tell under a table of events how far it can be trusted."""
    ends = [stream.complete_until for stream in streams if stream.complete_until]
    gaps = sum(len(stream.gaps) for stream in streams)
    if not ends:
        say("nothing is covered yet; `flagtrail status` tells why")
    elif gaps or len(ends) < len(streams):
        say(f"{gaps} gaps in {len(streams)} streams: not everything is here; `flagtrail status` shows them")
    else:
        say(f"complete up to {local(min(ends))} in all {len(streams)} streams; younger changes may still appear")
