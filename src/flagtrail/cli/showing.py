"""Shows results to people and to programs: tables, JSON, JSON lines, CSV, bars and messages."""

import re
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, tzinfo
from itertools import groupby
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from flagtrail.cli.options import Form
from flagtrail.errors import ConfigError
from flagtrail.exports.columns import COLUMNS
from flagtrail.window import iso


class _Output(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


out = _Output(highlight=False)
err = Console(stderr=True, highlight=False)

# What steers a terminal, and what lets a text be shown in another order than it has: neither is told.
TURNING = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
CONTROL = dict.fromkeys([*range(32), *range(127, 160), *TURNING])
_STEERING = re.compile(f"[\x7f-\x9f{''.join(map(chr, TURNING))}]")
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
    err.print(
        "\n".join(line.translate(CONTROL) for line in text.split("\n")), style="dim", markup=False, soft_wrap=True
    )


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
    here = instant.astimezone(_zone.read)
    return here.strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M") + twice(here)


def twice(here: datetime) -> str:
    """Return the offset from UTC of a time in the reader's zone, if its hour comes twice there; else nothing.

    When clocks are set back, 02:10 may be before or after 02:50: nothing else tells them apart.
    """
    clock = here.replace(tzinfo=_zone.read)
    first, second = (clock.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    return "" if first == second else f"{here:%z}"


def zone(instant: datetime | None = None) -> str:
    """Return the name of the reader's zone, as it is at an instant, or now."""
    here = (instant or datetime.now(UTC)).astimezone(_zone.read)
    return f"{here:%Z (UTC%z)}" if here.utcoffset() else "UTC"


def dumps(value: Any) -> str:
    """Return JSON with instants in UTC."""
    from flagtrail.event import to_json  # messages and tables do without it

    return to_json(_instants(value)).decode()


def print_json(value: Any) -> None:
    """Print JSON for people and programs; what no terminal can show or steers it stays an escape."""
    text = dumps(value)
    out.print_json(text, ensure_ascii="\\ud" in text or bool(_STEERING.search(text)))


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
    if form is Form.TABLE:
        found = list(rows)
        out.print(events_table(found) if found else Text("no events match", style="dim"))
        return len(found)
    counted_rows = Counting(rows)
    if form is Form.JSON:
        write_json({name: row[name] for name in COLUMNS} for row in counted_rows)
    else:
        from flagtrail.exports import Format, lines  # a table does without it

        write_bytes(lines(Format(form), counted_rows))
    return counted_rows.count


class Counting:
    """Rows that are counted as they pass."""

    def __init__(self, rows: Iterable[dict[str, Any]]) -> None:
        self.rows, self.count = rows, 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for row in self.rows:
            self.count += 1
            yield row


def write_bytes(chunks: Iterable[bytes]) -> None:
    """Write to stdout as it comes, in UTF-8 whatever the terminal's encoding: it is data."""
    sys.stdout.flush()
    for chunk in chunks:
        sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()


def write_json(values: Iterable[Any]) -> None:
    """Write a JSON list to stdout as it comes, a line for each value."""
    first = True
    for value in values:
        sys.stdout.write(("[\n " if first else ",\n ") + dumps(value))
        first = False
    sys.stdout.write("[]\n" if first else "\n]\n")
    sys.stdout.flush()


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
        rows_of_day = list(of_day)
        for row in rows_of_day:
            vendor = Text(plain(row["vendor"]), style=VENDOR_STYLE.get(row["vendor"], ""))
            where = [Text(plain(row["environment"] or ""))] if wide else []
            who = plain(row["actor_name"] or row["actor_email"] or row["actor_id"] or row["actor_kind"])
            here = row["occurred_at"].astimezone(_zone.read)
            when = f"{here:%H:%M:%S}{twice(here)}"
            table.add_row(when, vendor, *where, Text(who), _sentence(row, where=not wide), row["id"][:8])
        days += (
            [Text(f"\n{day:%a %d %b %Y}, {zone(rows_of_day[0]['occurred_at'])}", style="bold"), table]
            if dates
            else [table]
        )
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


def counted(number: int, one: str, many: str) -> str:
    """Return a number with the words that go with it."""
    return f"{number:,} {one if number == 1 else many}"


def titled(stream: str, label: str | None) -> str:
    """Return a stream's name, with what people call its scope instead of an opaque id."""
    return plain(f"{stream.partition('[')[0]} {label}" if label else stream)
