"""What `flagtrail count` does."""

import csv
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from flagtrail.cli.asking import Typed, asked_by, asked_of, trust
from flagtrail.cli.options import Form
from flagtrail.cli.showing import counted, dumps, out, plain_table, print_json, reading_zone, say, twice
from flagtrail.config import load
from flagtrail.errors import ConfigError
from flagtrail.exports.csv import cell
from flagtrail.query import Counted, QueryError

EVENTS = "events"


def count(
    text: str | None,
    by: list[str],
    top: int,
    since: str | None,
    until: str | None,
    zone: str | None,
    output: Form,
    config: Path | None,
    *,
    linked: bool,
    from_lake: bool = False,
) -> None:
    """Count the events of a question, and show the groups."""
    settings = load(config)
    query = asked_by(Typed(text, since, until, zone, {"linked": linked}), settings.people())
    names = [name.strip() for each in by for name in each.split(",") if name.strip()]
    with asked_of(settings, config, from_lake=from_lake) as asked:
        asked.check_known(query)
        told = asked.completeness(query, configured=settings.vendors())
        try:
            found = asked.counts(query, names, top, reading_zone())
        except QueryError as error:
            raise ConfigError(f"--by: {error}") from None
    if output is Form.JSON:
        groups = [dict(zip((*found.by, EVENTS), row, strict=True)) for row in found.rows]
        when = {"as_of": asked.as_of} if asked.as_of else {}
        rest = {"total": found.total, "groups": found.groups, "rest": found.rest}
        print_json({"by": found.by, "counts": groups, **rest, "completeness": told.as_json(), **when})
    elif output is Form.TABLE:
        _print_table(found)
        asked.say_when()
        say(trust(told))
    else:
        _write_rows(found, output)


def _print_table(found: Counted) -> None:
    rows = [(*map(_shown, row[:-1]), f"{row[-1]:,}") for row in found.rows]
    if found.by and rows:
        out.print(plain_table((*found.by, EVENTS), rows, right=(EVENTS,)))
    if found.rest:
        others = counted(found.groups - _kept(found), "other group", "other groups")
        say(f"{found.rest:,} of {found.total:,} events are in {others}: --top 0 shows all")
    else:
        out.print(counted(found.total, "event", "events"))


def _kept(found: Counted) -> int:
    """Return how many groups are shown, those of different times taken as one."""
    spans = [place for place, name in enumerate(found.by) if name in ("hour", "day", "week")]
    return len({tuple(value for place, value in enumerate(row[:-1]) if place not in spans) for row in found.rows})


def _shown(value: Any) -> str:
    if isinstance(value, datetime):
        shown = f"{value:%a %Y-%m-%d %H:%M}" if value.hour or value.minute else f"{value:%a %Y-%m-%d}"
        return shown + twice(value)
    return "-" if value is None else str(value)


def _write_rows(found: Counted, form: Form) -> None:
    columns = (*found.by, EVENTS)
    writer = csv.writer(sys.stdout)
    if form is Form.CSV:
        writer.writerow(columns)
    for row in found.rows:
        if form is Form.CSV:
            writer.writerow([cell(value) for value in row])
        else:
            sys.stdout.write(dumps(dict(zip(columns, row, strict=True))) + "\n")
