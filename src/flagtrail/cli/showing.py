"""Shows results to people and to programs: tables, JSON, JSON lines, CSV, bars and messages."""

import csv
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from flagtrail.cli.options import Form
from flagtrail.errors import ConfigError
from flagtrail.window import iso

if TYPE_CHECKING:
    from flagtrail.verdicts import Verdict


class _Output(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


out = _Output(highlight=False)
err = Console(stderr=True, highlight=False)

# The first characters that make a spreadsheet run a cell as a formula (OWASP, "CSV injection").
FORMULA = tuple("=+-@\t\r\n\0\uff1d\uff0b\uff0d\uff20")  # the last four are full-width
CONTROL = dict.fromkeys([*range(32), *range(127, 160)])
COLUMNS = ("id", "occurred_at", "source", "vendor", "stream", "vendor_id", "actor_kind", "actor_id", "actor_name",
           "actor_email", "action", "vendor_action", "object_kind", "object_key", "object_name", "project",
           "environment", "organization", "location", "summary", "comment", "changes", "impact", "truncated",
           "provisional", "change_set", "related_event", "url", "first_seen_at", "revision", "vanished_at",
           "vanished_reason")  # fmt: skip
WIDE = 110  # columns of a terminal from which on the environment has a column of its own
VENDOR_WIDTH = 12
VENDOR_STYLE = {"launchdarkly": "cyan", "configcat": "magenta"}


class _Zone:
    """The zone in which times are read and shown; None is this machine's."""

    read: tzinfo | None = None


_zone = _Zone()


def use_zone(name: str | None) -> None:
    """Let times be read and shown in a zone from now on; None is this machine's. Raises ConfigError."""
    from zoneinfo import ZoneInfo

    try:
        _zone.read = ZoneInfo(name) if name else None
    except (KeyError, OSError, ValueError):
        raise ConfigError(f"there is no zone {name!r}; write one such as Europe/Berlin or UTC") from None


def reading_zone() -> tzinfo | None:
    """Return the zone in which times are read and shown; None is this machine's."""
    return _zone.read


def say(text: str) -> None:
    """Tell a person something, beside the data."""
    err.print(text, style="dim", markup=False, soft_wrap=True)


def say_errors(text: str) -> None:
    """Tell a person what went wrong, one line for each mistake."""
    for line in text.splitlines():
        err.print(Text.assemble(("error: ", "bold red"), plain(line)), soft_wrap=True)


def plain(text: object) -> str:
    """Return text on one line without control characters: what a vendor sends must not steer a terminal."""
    return " ".join(str(text).split()).translate(CONTROL)


def local(instant: datetime | None, *, seconds: bool = True) -> str:
    """Return an instant in the reader's zone."""
    if instant is None:
        return ""
    return instant.astimezone(_zone.read).strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")


def zone() -> str:
    """Return the name of the reader's zone."""
    now = datetime.now(UTC).astimezone(_zone.read)
    return f"{now:%Z (UTC%z)}" if now.utcoffset() else "UTC"


def percent(share: float) -> str:
    """Return a share for people, never rounded up to the whole."""
    return f"{int(share * 1000) / 10:g} %"


def dumps(value: Any) -> str:
    """Return JSON with instants in UTC."""
    from flagtrail.event import to_json  # messages and tables do without it

    return to_json(_instants(value)).decode()


def print_json(value: Any) -> None:
    """Print JSON for people and programs; what no terminal can show, half a surrogate pair, stays an escape."""
    text = dumps(value)
    out.print_json(text, ensure_ascii="\\ud" in text)


def _instants(value: Any) -> Any:
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, dict):
        return {key: _instants(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_instants(item) for item in value]
    return value


def write_events(rows: Iterable[dict[str, Any]], form: Form) -> int:
    """Write events to stdout as they come, and return how many there were."""
    count = 0
    if form is Form.TABLE:
        found = list(rows)
        out.print(events_table(found) if found else Text("no events match", style="dim"))
        return len(found)
    writer = csv.writer(sys.stdout)
    if form is Form.CSV:
        writer.writerow(COLUMNS)
    for count, row in enumerate(rows, start=1):
        if form is Form.CSV:
            writer.writerow([cell(row[name]) for name in COLUMNS])
        elif form is Form.JSONL:
            sys.stdout.write(dumps({name: row[name] for name in COLUMNS}) + "\n")
        else:
            sys.stdout.write("[\n " if count == 1 else ",\n ")
            sys.stdout.write(dumps({name: row[name] for name in COLUMNS}))
    if form is Form.JSON:
        sys.stdout.write("\n]\n" if count else "[]\n")
    sys.stdout.flush()
    return count


def cell(value: Any) -> str | int:
    """Return a CSV cell; one that a spreadsheet would run gets an apostrophe first."""
    if value is None:
        return ""
    if isinstance(value, int):
        return value
    text = value if isinstance(value, str) else iso(value) if isinstance(value, datetime) else dumps(value)
    return "'" + text if text.startswith(FORMULA) else text


def plain_table(columns: Iterable[str], rows: Iterable[Iterable[object]], *, right: Iterable[str] = ()) -> Table:
    """Return rows as a table; every cell is shown as it is, never read as markup."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text("" if cell is None else plain(cell)) for cell in row))
    return table


def events_table(rows: list[dict[str, Any]], *, dates: bool = True) -> RenderableType:
    """Return events by day, a line each: when, which vendor, where, who, what; `dates` false leaves the days out."""
    wide = out.width >= WIDE
    days: list[RenderableType] = []
    for day, of_day in groupby(rows, key=lambda row: row["occurred_at"].astimezone(_zone.read).date()):
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, min_width=VENDOR_WIDTH)
        if wide:
            table.add_column(no_wrap=True, overflow="ellipsis", width=14)
        table.add_column(no_wrap=True, overflow="ellipsis", width=16 if wide else 13)
        table.add_column(overflow="fold", ratio=1)
        table.add_column(no_wrap=True, style="dim")
        for row in of_day:
            vendor = Text(plain(row["vendor"]), style=VENDOR_STYLE.get(row["vendor"], ""))
            where = [Text(plain(row["environment"] or ""))] if wide else []
            who = plain(row["actor_name"] or row["actor_email"] or row["actor_id"] or row["actor_kind"])
            when = f"{row['occurred_at'].astimezone(_zone.read):%H:%M:%S}"
            table.add_row(when, vendor, *where, Text(who), _sentence(row, where=not wide), row["id"][:8])
        days += [Text(f"\n{day:%a %d %b %Y}, {zone()}", style="bold"), table] if dates else [table]
    return Group(*days)


def _sentence(row: dict[str, Any], *, where: bool) -> Text:
    """Return what happened as a phrase, with its impact, its reason, and the environment if asked for."""
    named = f"{row['action']} {row['object_kind'] or ''} {row['object_key'] or row['object_name'] or ''}"
    text = Text(plain(row["summary"] or named))
    if text.plain.startswith(("updated", "changed")) and row["action"] not in ("updated", "value_changed"):
        text.append(f" ({plain(row['action']).replace('_', ' ')})")
    environment = plain(row["environment"] or "")
    if where and environment and environment.lower() not in text.plain.lower():
        text.append(f" in {environment}")
    size = (row["impact"] or {}).get("size")
    if size and size != "none":
        text.append(f" · {plain(size)} impact", style="yellow")
    if row["vanished_at"]:
        text.append(" · vanished at the vendor", style="red")
    if row["comment"]:
        text.append(f" · {plain(row['comment'])}", style="italic dim")
    return text


def bar(shares: list[float]) -> Text:
    """Return coverage drawn as a bar: full, partly, and not covered parts of the wanted time."""
    text = Text()
    for share in shares:
        if share >= 1 - 1e-9:
            text.append("█", style="green")
        elif share > 0:
            text.append("▒", style="yellow")
        else:
            text.append("·", style="red")
    return text


def plain_verdict(verdict: "Verdict") -> dict[str, Any]:
    """Return a verdict as JSON has it."""
    told = verdict._asdict()
    window = told.pop("window")
    return {"since": window.since, "until": window.until} | told


def counted(number: int, one: str, many: str) -> str:
    """Return a number with the words that go with it."""
    return f"{number:,} {one if number == 1 else many}"


def titled(stream: str, label: str | None) -> str:
    """Return a stream's name, with what people call its scope instead of an opaque id."""
    return f"{stream.partition('[')[0]} {label}" if label else stream
