"""Compares the table with the vendors: the command verify."""

import logging
from collections import Counter
from pathlib import Path

import typer
from rich.text import Text

from flagtrail import logs
from flagtrail.cli.options import FAILED, Simple, moment
from flagtrail.cli.progress import at_once
from flagtrail.cli.showing import (
    counted,
    local,
    out,
    plain,
    plain_table,
    print_json,
    say,
    say_errors,
    titled,
)
from flagtrail.config import load, store_url
from flagtrail.connector import Stream
from flagtrail.errors import ConfigError
from flagtrail.report import Verification
from flagtrail.status_json import verdict_as_json
from flagtrail.store import Store
from flagtrail.verdicts import Method, Outcome
from flagtrail.verify import verify as verify_source
from flagtrail.window import Window, from_ms

MOST = from_ms(253_402_300_799_999)  # the end of the year 9999
FINDINGS = 20  # findings of a source that are listed; JSON has all


def verify(
    since: str | None, until: str | None, config: Path | None, source: list[str] | None, output: Simple, *, deep: bool,
    quiet: bool,
) -> None:  # fmt: skip
    """Compare what is covered with the vendors, and exit with 1 when something still differs."""
    logs.configure(logging.ERROR)
    first, last = moment(since) or from_ms(0), moment(until) or MOST
    if first >= last:
        raise ConfigError(f"--since {since} is not before --until {until or 'now'}")
    method = Method.CONTENTS if deep else Method.COUNTS
    settings = load(config)
    sources = settings.sources(source)
    with Store(store_url(settings, config)) as store:
        window = Window(first, last)
        reports = at_once(sources, store, lambda session, bar: verify_source(session, window, method, bar), quiet=quiet)
        if deep and store.recount():
            say("the counts that are kept were not those of the table; everything was counted anew")
    if output is Simple.JSON:
        print_json([_plain(report) for report in reports])
    else:
        for report in reports:
            _show(report)
    for report in reports:
        say_errors("\n".join(report.errors))
    if any(report.errors or report.differing for report in reports):
        raise typer.Exit(FAILED)


def _show(report: Verification) -> None:
    """Print a source's streams, without the columns that are zero everywhere, and what was found below them."""
    streams = list(report.streams.values())
    windows = counted(sum(len(stream.verdicts) for stream in streams), "window", "windows")
    asked = counted(report.requests, "request", "requests")
    out.print(Text.assemble("\n", (report.source, "bold"), (f"  {windows}, {asked}", "dim")))
    if not streams:
        return
    told = {
        "verified": [stream.windows(Outcome.VERIFIED) + stream.windows(Outcome.HEALED) for stream in streams],
        "found": [stream.found for stream in streams],
        "changed": [stream.changed for stream in streams],
        "vanished": [len(stream.vanished) for stream in streams],
        "differ": [stream.windows(Outcome.DIFFERS) for stream in streams],
        "not verifiable": [stream.windows(Outcome.NOT_VERIFIABLE) for stream in streams],
    }
    shown = {name: [f"{number:,}" for number in numbers] for name, numbers in told.items()
             if any(numbers) or name == "verified"}  # fmt: skip
    rows = zip((_title(stream.stream) for stream in streams), *shown.values(), strict=True)
    out.print(plain_table(("stream", *shown), rows, right=shown))
    lines = _findings(report)
    for line in lines[:FINDINGS]:
        out.print(line, soft_wrap=True)
    if len(lines) > FINDINGS:
        out.print(Text(f"  and {len(lines) - FINDINGS} more; -o json shows all", style="dim"))


def _findings(report: Verification) -> list[Text]:
    """Return a line for each window that was not simply as it should be."""
    lines = []
    for stream in report.streams.values():
        where = f"  {_title(stream.stream)}"
        for verdict in stream.verdicts:
            window = f"{local(verdict.window.since)} to {local(verdict.window.until)}"
            if verdict.outcome is Outcome.HEALED:
                lines.append(Text(f"{where}: healed, {verdict.found} found in {window}", style="green"))
            elif verdict.outcome is Outcome.DIFFERS:
                lines.append(Text(f"{where}: differs in {window}: {plain(verdict.reason or '')}", style="red"))
        unclear = dict.fromkeys(v.reason for v in stream.verdicts if v.outcome is Outcome.NOT_VERIFIABLE)
        lines += [Text(f"{where}: not verifiable: {plain(reason or '')}", style="yellow") for reason in unclear]
        counts = sorted(Counter(stream.vanished.values()).items())
        lines += [Text(f"{where}: {count} no longer shown: {reason}", style="yellow") for reason, count in counts]
    return lines


def _title(stream: Stream) -> str:
    return titled(stream.name, stream.label)


def _plain(report: Verification) -> dict[str, object]:
    return {
        "source": report.source,
        "requests": report.requests,
        "error": report.error,
        "streams": [
            {
                "stream": name,
                "found": stream.found,
                "changed": stream.changed,
                "vanished": stream.vanished,
                "error": stream.error,
                "verdicts": [verdict_as_json(verdict) for verdict in stream.verdicts],
            }
            for name, stream in report.streams.items()
        ],
    }
