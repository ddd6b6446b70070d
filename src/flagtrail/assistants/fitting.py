"""Makes answers fit: plain values, long texts cut with a note, and no more rows than an assistant should read at once.

What is cut is always named, and what is left out counted.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from flagtrail.event import to_json
from flagtrail.exports.columns import as_json, present
from flagtrail.window import iso

MOST = 50_000  # bytes of an answer
ROOM = 44_000  # of them for rows and their lines; the rest is for completeness and what holds it all together
ROW = 5_000  # bytes of one row
# Of an event among others; `get_event` has the rest.
SHOWN = ("id", "occurred_at", "vendor", "source", "project", "environment", "object_kind", "object_key", "object_name",
         "actor_kind", "actor_name", "actor_email", "action", "summary", "comment", "changes", "impact", "truncated",
         "provisional", "vanished_at", "vanished_reason", "url")  # fmt: skip
# How many characters of a text are kept, and how many changes, when more does not fit.
STEPS = ((600, 10), (200, 5), (60, 3))
HIDDEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
SELECTORS = range(0xE0100, 0xE01F0)  # marks that show nothing, and can carry any text
_SUSPECT = re.compile(r"[^\n\t -~]")


def visible(text: str) -> str:
    """Return a text in which what no reader would see stands as its code, such as `\\u{202e}`.

    Vendors' texts may hide something from people that a program reads. Half a surrogate pair fits no answer at all.
    """
    return _SUSPECT.sub(_code, text)


def _code(found: re.Match[str]) -> str:
    character = found[0]
    hidden = ord(character) in SELECTORS or unicodedata.category(character) in HIDDEN
    return f"\\u{{{ord(character):x}}}" if hidden else character


def plain(value: Any) -> Any:
    """Return a value as JSON has it, with instants in UTC and every text visible."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, Mapping):
        return {visible(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def size(value: Any) -> int:
    """Return how many bytes of an answer a value takes."""
    return len(to_json(value))


def cut(text: str, most: int) -> str:
    """Return a text of at most so many characters, with a note when it was longer."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters in all)"


def shortened(told: Mapping[str, Any], most: int = ROW, steps: Sequence[tuple[int, int]] = STEPS) -> dict[str, Any]:
    """Return an event in plain values, of at most so many bytes; `cut` names the fields that are not whole."""
    found: dict[str, Any] = {}
    for characters, changes in steps:
        kept = {name: _kept(name, value, characters, changes) for name, value in told.items()}
        changed = [name for name, value in kept.items() if value != told[name]]
        found = plain(kept)
        if "changes" in changed:
            found["changes_in_all"] = len(told["changes"])
        if changed:
            found["cut"] = changed
        if size(found) <= most:
            break
    return found


def _kept(name: str, value: Any, characters: int, changes: int) -> Any:
    if name in ("id", "occurred_at"):
        return value
    if name == "changes":
        return [{part: kept_document(each[part], characters) for part in each} for each in value[:changes]]
    return kept_document(value, characters)


def kept_document(value: Any, characters: int) -> Any:
    """Return a value, or when it is long, the beginning of its JSON as a text with a note."""
    text = value if isinstance(value, str) else to_json(value).decode()
    return value if len(text) <= characters else cut(text, characters)


def event_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event among others: what it has a value of, with long texts cut."""
    return shortened(whole_event(row, SHOWN))


def whole_event(row: Mapping[str, Any], names: Iterable[str] | None = None) -> dict[str, Any]:
    """Return an event with all that it has a value of, or that of some columns."""
    told = present(as_json(row))
    wanted = told if names is None else {name: told[name] for name in names if name in told}
    return {name: value for name, value in wanted.items() if value is not False}


def quoted(value: Any, most: int = 80) -> str:
    """Return a vendor's text for a line: in quotes, which it cannot leave."""
    text = value if isinstance(value, str) else to_json(value).decode()
    return to_json(visible(cut(text, most))).decode()


def line(row: Mapping[str, Any]) -> str:
    """Return an event as a line; whatever a vendor or its users wrote stands in quotes."""
    who = row["actor_name"] or row["actor_email"] or row["actor_id"] or row["actor_kind"]
    where = "/".join(part for part in (row["project"], row["environment"]) if part)
    named = row["summary"] or " ".join(
        part for part in (row["object_kind"], row["object_key"] or row["object_name"]) if part
    )
    said = [quoted(where, 60)] if where else []
    said += [quoted(who, 60), quoted(row["action"], 40), quoted(named, 160)]
    return f"{iso(row['occurred_at'])} {row['id'][:12]} {row['vendor']} {' '.join(said)}"


class Fitted(NamedTuple):
    """The first of some rows, as many as fit, a line for each of them, and how many are left out."""

    rows: list[dict[str, Any]]
    lines: list[str]
    left_out: int


def fitted(
    found: Sequence[Any], told: Callable[[Any], dict[str, Any]], said: Callable[[Any], str], room: int = ROOM
) -> Fitted:
    """Return rows that take at most so many bytes together with their lines."""
    rows: list[dict[str, Any]] = []
    lines: list[str] = []
    for each in found:
        row, text = told(each), said(each)
        room -= size(row) + size(text) + 2
        if room < 0 and rows:
            break  # one always fits: rows are cut for that
        rows.append(row)
        lines.append(text)
    return Fitted(rows, lines, len(found) - len(rows))


def piece(text: str, start: int, most: int = ROOM) -> str:
    """Return as many characters of a text from a place on as take at most so many bytes in an answer."""
    count = most
    while size(part := text[start : start + count]) > most:
        count = min(count - 1, count * most // size(part))
    return part
