"""The command that shows how much of the past is in the table: status."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.text import Text

from flagtrail.cli.asking import check_known, open_store
from flagtrail.cli.reading import ConfigOption
from flagtrail.cli.showing import VENDOR_STYLE, WIDE, Simple, bar, local, out, plain, plain_table, print_json
from flagtrail.event import Action
from flagtrail.query import unmapped
from flagtrail.status import StreamStatus
from flagtrail.status import status as find_status
from flagtrail.store import Gap, SourceState
from flagtrail.when import spoken

CELLS, WIDE_CELLS = 12, 36  # characters of a coverage bar, in a narrow and in a wide terminal
SHOWN_STREAMS = 3  # streams that a line about a gap names


def status(
    source: Annotated[str | None, typer.Option("--source", "-s", help="Only this source.")] = None,
    output: Annotated[Simple, typer.Option("--output", "-o", help="How it is written.")] = Simple.TABLE,
    config: ConfigOption = None,
) -> None:
    """Show for each stream how much of the wanted past is covered, every gap with its reason, and the last error.

    In the bar, a full block is covered, a shaded one partly, a dot not at all; it runs from the configured start to the
    youngest settled time. The lag is how far the newest covered time is behind the present; it includes the settling
    time of 15 minutes.

    Examples:

      flagtrail status

      flagtrail status -o json
    """
    with open_store(config) as store:
        check_known(store, source=source)
        found = find_status(store, source)
        looks = [state for state in store.sources() if source in (None, state.source)]
        unknown = unmapped(store, set(Action))
    if output is Simple.JSON:
        rows = [_plain_status(stream) for stream in found]
        kept = [{"vendor": vendor, "action": action, "events": count} for (vendor, action), count in unknown.items()]
        sources = [state._asdict() for state in looks]
        print_json({"sources": sources, "streams": rows, "unmapped_actions": kept})
        return
    if not looks:
        out.print("nothing was synced yet; `flagtrail sync` reads every source")
        return
    for look in looks:
        _print_source(look, [stream for stream in found if stream.state.source == look.source])
    if unknown:
        words = ", ".join(f"{action} ({count})" for (_, action), count in sorted(unknown.items())[:5])
        out.print(Text(f"\nactions in the vendor's own words, for want of a verb: {plain(words)}", style="dim"))


def _print_source(look: SourceState, streams: list[StreamStatus]) -> None:
    looked = f"looked {spoken(datetime.now(UTC) - look.succeeded_at)} ago" if look.succeeded_at else "never read whole"
    mark = (look.vendor, VENDOR_STYLE.get(look.vendor, ""))
    out.print(Text.assemble("\n", (look.source, "bold"), "  ", mark, (f"  {looked}", "dim")))
    if look.error:
        out.print(Text(f"  {local(look.failed_at)}: {plain(look.error)}", style="red"), soft_wrap=True)
    if not streams:
        return
    wide = out.width >= WIDE
    rows = [
        (
            _title(stream),
            bar(stream.cells(WIDE_CELLS if wide else CELLS)),
            f"{int(stream.share * 1000) / 10:g} %" if stream.wanted else "",
            f"{stream.events:,}",
            spoken(stream.lag) if stream.lag else "",
            *([local(stream.complete_until)] if wide else []),
        )
        for stream in streams
    ]
    columns = ("stream", "coverage", "", "events", "lag", *(["complete until"] if wide else []))
    out.print(plain_table(columns, rows, right=("", "events", "lag")))
    for line in _gap_lines(streams):
        out.print(line, soft_wrap=True)


def _gap_lines(streams: list[StreamStatus]) -> Iterator[Text]:
    """Yield a line for each gap with a reason of its own, and one for all that share their reason."""
    gaps: dict[str, list[tuple[StreamStatus, Gap]]] = {}
    for stream in streams:
        for gap in stream.gaps:
            gaps.setdefault(gap.reason, []).append((stream, gap))
    for reason, found in gaps.items():
        concerned = list(dict.fromkeys(_title(stream) for stream, _ in found))
        names = ", ".join(concerned[:SHOWN_STREAMS])
        more = f" and {len(concerned) - SHOWN_STREAMS} more streams" if len(concerned) > SHOWN_STREAMS else ""
        if len(found) == 1:
            [(_, gap)] = found
            where = f"gap in {names}: {_span(gap)}"
        else:
            where = f"{len(found)} gaps in {names}{more}, the first from {local(min(g.window.since for _, g in found))}"
        yield Text(f"  {where}: {plain(reason)}", style="yellow")
    reasons = "".join(gaps)
    for error in dict.fromkeys(stream.state.error for stream in streams):
        if error and error not in reasons:
            yield Text(f"  last error: {plain(error)}", style="red")


def _span(gap: Gap) -> str:
    """Return when a gap is, how long it is, and what is known of what it holds."""
    numbers = "" if gap.seen_at is None else f", {gap.stored} stored of {gap.expected or 'more'}"
    if gap.window.length < timedelta(seconds=1):
        moment = gap.window.since.astimezone()
        return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}{numbers}"
    return f"{local(gap.window.since)} to {local(gap.window.until)}{numbers}"


def _title(stream: StreamStatus) -> str:
    """Return a stream's name, with what people call its scope instead of an opaque id."""
    state = stream.state
    return f"{state.stream.partition('[')[0]} {state.label}" if state.label else state.stream


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
        "lag_seconds": round(stream.lag.total_seconds()) if stream.lag else None,
        "covered_share": stream.share,
        "coverage": [{"since": window.since, "until": window.until} for window in stream.covered],
        "gaps": gaps,
    }
