"""Shows how much of the past is in the table: the command status."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.text import Text

from flagtrail.cli.asking import open_store
from flagtrail.cli.options import Simple
from flagtrail.cli.showing import (
    VENDOR_STYLE,
    WIDE,
    bar,
    counted,
    local,
    out,
    plain,
    plain_table,
    print_json,
    reading_zone,
    titled,
)
from flagtrail.counts import unmapped
from flagtrail.event import Action
from flagtrail.holdings import ENVIRONMENT_DELETED, HIDDEN, RETENTION, UNEXPLAINED
from flagtrail.query import Query, check_known
from flagtrail.quiet import LONGEST
from flagtrail.share import percent
from flagtrail.status import StreamStatus
from flagtrail.status import status as find_status
from flagtrail.status_json import is_quiet, status_as_json
from flagtrail.store import Gap, SourceState
from flagtrail.verdicts import Outcome
from flagtrail.when import spoken

CELLS, WIDE_CELLS = 12, 36  # characters of a coverage bar, in a narrow and in a wide terminal
SHOWN_STREAMS = 3  # streams that a line about a gap names


def status(source: str | None = None, output: Simple = Simple.TABLE, config: Path | None = None) -> None:
    """Show for each stream how much of the wanted past is covered and verified, every gap, and every finding."""
    with open_store(config) as store:
        check_known(store, Query(source=source))
        found = find_status(store, source)
        looks = [state for state in store.sources() if source in (None, state.source)]
        unknown = unmapped(store, set(Action))
    if output is Simple.JSON:
        print_json(status_as_json(found, looks, unknown))
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
            percent(stream.share) if stream.wanted else "",
            percent(stream.verified_share) if stream.covered else "",
            f"{stream.events:,}",
            spoken(stream.lag) if stream.lag else "",
            *([local(stream.complete_until)] if wide else []),
        )
        for stream in streams
    ]
    columns = ("stream", "coverage", "", "verified", "events", "lag", *(["complete until"] if wide else []))
    out.print(plain_table(columns, rows, right=("", "verified", "events", "lag")))
    for line in (*_kept_lines(streams), *_gap_lines(streams), *_quiet_lines(look, streams), *_finding_lines(streams)):
        out.print(line, soft_wrap=True)


def _kept_lines(streams: list[StreamStatus]) -> Iterator[Text]:
    """Yield a line about what was deleted here as too old."""
    kept_since = max((stream.kept_since for stream in streams if stream.kept_since), default=None)
    if kept_since:
        yield Text(f"  kept since {local(kept_since)}: what is older was deleted here, as configured", style="dim")


def _quiet_lines(look: SourceState, streams: list[StreamStatus]) -> Iterator[Text]:
    """Yield a line about the streams that the daemon leaves alone for a while: their coverage ends earlier."""
    quiet = [stream for stream in streams if is_quiet(stream, look)]
    if quiet:
        longest = max(datetime.now(UTC) - at for stream in quiet if (at := stream.state.succeeded_at))
        told = counted(len(quiet), "quiet stream was", "quiet streams were")
        yield Text(
            f"  {told} looked at up to {spoken(longest)} ago: every {spoken(LONGEST)} at least, and at once when the "
            "audit log tells of a change there",
            style="dim",
        )


def _finding_lines(streams: list[StreamStatus]) -> Iterator[Text]:
    """Yield what verifications found, what is running out, and what is still to be fetched, a line each."""
    for stream in streams:
        title = _title(stream)
        if stream.ages_out_soon and stream.ages_out_at:
            left = stream.ages_out_at - datetime.now(UTC)
            when = f"in {spoken(left)}" if left > timedelta() else "now"
            yield Text(f"  {title}: entries that were not read yet age out at the vendor {when}", style="bold red")
        if stream.likely_retention:
            days = spoken(stream.likely_retention)
            yield Text(
                f"  {title}: its oldest entry was just younger than {days} when it was read; if that is how long the "
                f'vendor keeps entries, set retention = "{days}", so that older time is not taken for empty',
                style="yellow",
            )
        for verdict in stream.verdicts:
            if verdict.outcome is Outcome.DIFFERS:
                where = f"{local(verdict.window.since)} to {local(verdict.window.until)}"
                yield Text(f"  {title} differs from {where}: {plain(verdict.reason or '')}", style="red")
        for reason in dict.fromkeys(v.reason for v in stream.verdicts if v.outcome is Outcome.NOT_VERIFIABLE):
            yield Text(f"  {title} is not verifiable by numbers: {plain(reason or '')}", style="yellow")
        if stream.healed:
            yield Text(
                f"  {title}: verification found and stored {stream.healed} entries that were missing", style="dim"
            )
        for reason, count in sorted(stream.vanished.items()):
            style = "yellow" if reason in (HIDDEN, UNEXPLAINED) else "dim"
            gone = counted(count, "entry is", "entries are")
            yield Text(f"  {title}: {gone} no longer shown by the vendor: {_meaning(reason)}", style=style)
        if stream.details_open:
            more = "more than " if stream.more_details else ""
            waiting = counted(stream.details_open, "entry waits", "entries wait")
            yield Text(f"  {title}: {more}{waiting} for the full form, with before and after", style="dim")


def _meaning(reason: str) -> str:
    """Return why entries vanished, in words."""
    return {
        RETENTION: "they are older than it keeps them",
        ENVIRONMENT_DELETED: "their environment was deleted with its log",
        HIDDEN: "the credential sees less than before; changes there are not in the table any more",
        UNEXPLAINED: "for a reason that cannot be told from here",
    }.get(reason, reason)


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
        if all(gap.permanent for _, gap in found):
            first, last = min(g.window.since for _, g in found), max(g.window.until for _, g in found)
            where = f"lost for good in {names}{more}: {local(first)} to {local(last)}"
        elif len(found) == 1:
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
        moment = gap.window.since.astimezone(reading_zone())
        return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}{numbers}"
    return f"{local(gap.window.since)} to {local(gap.window.until)}{numbers}"


def _title(stream: StreamStatus) -> str:
    return titled(stream.state.stream, stream.state.label)
