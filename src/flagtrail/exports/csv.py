"""CSV for spreadsheets: a header, a line for each event, what is nested as JSON, and no cell that runs as a formula."""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from flagtrail.exports.columns import COLUMNS, instant

# The first characters that make a spreadsheet run a cell (OWASP, "CSV injection"); the last four are full-width.
FORMULA = tuple("=+-@\t\r\n\0\uff1d\uff0b\uff0d\uff20")
# A spreadsheet takes blanks and what cannot be seen off the front of a cell first.
RUNS = re.compile(
    rf"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]*[{re.escape(''.join(FORMULA))}]"
)


class _Line:
    """What a csv.writer writes to: it gives the line back."""

    def write(self, line: str) -> str:
        return line


def lines(rows: Iterable[Mapping[str, Any]], columns: Sequence[str] = COLUMNS) -> Iterator[bytes]:
    """Yield the header and a line for each row; texts are quoted, so that no separator in one begins a cell."""
    writer: Any = csv.writer(_Line(), quoting=csv.QUOTE_NONNUMERIC)
    yield writer.writerow([cell(name) for name in columns]).encode("utf-8", "replace")
    for row in rows:
        yield writer.writerow([cell(row[name]) for name in columns]).encode("utf-8", "replace")


def cell(value: Any) -> str | int | float:
    """Return a cell: a number as it is, and a text that a spreadsheet would run behind an apostrophe."""
    if value is None:
        return ""
    if isinstance(value, int | float):
        return value
    text = str(instant(value)) if isinstance(value, datetime) else value if isinstance(value, str) else _nested(value)
    return "'" + text if RUNS.match(text) else text


def _nested(value: Any) -> str:
    from flagtrail.event import to_json  # most tables do without it

    return to_json(value).decode()
