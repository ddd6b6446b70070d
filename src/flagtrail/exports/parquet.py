"""Parquet for analysts: a folder for each month (UTC) with one file, such as `month=2026-03/part-0.parquet`.

One file, so that a month which is exported again is replaced in one step. As it is replaced whole, only whole months
can be asked for, and what the file is an answer to stands in it: another question may not take its place.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from flagtrail.errors import ConfigError
from flagtrail.event import to_json
from flagtrail.exports.columns import BOOLEANS, COLUMNS, DOCUMENTS, INSTANTS, INTEGERS
from flagtrail.exports.files import whole
from flagtrail.rows import clean

ROWS = 5000  # of a row group, which is what stands in memory
PART = "part-0.parquet"
QUESTION = b"flagtrail.question"


def write(
    rows: Iterable[Mapping[str, Any]],
    folder: Path,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    question: str = "",
) -> int:
    """Write events, which come in the order of their time, into a folder, and return how many there were.

    The rows are all of `[since, until)` that the question asks for; the question is any text that stands for the
    filters. Raises ConfigError when pyarrow is missing, a bound lies within a month, or the folder holds another
    question's answer; OSError when it cannot be written.
    """
    arrow = _arrow()
    schema = _schema(arrow).with_metadata({QUESTION: question.encode("utf-8", "replace")})
    _check_bounds(since, until)
    former = list(_former(arrow, folder, since, until, question))
    folder.mkdir(exist_ok=True)
    count, written = 0, set()
    for month, of_month in groupby(rows, key=lambda row: f"{row['occurred_at'].astimezone(UTC):%Y-%m}"):
        path = folder / f"month={month}" / PART
        assert path not in written, "the rows do not come in the order of their time"
        path.parent.mkdir(exist_ok=True)
        with whole(path) as beside:
            count += _write(arrow, beside, schema, of_month)
        written.add(path)
    for path in former:
        if path not in written:  # its events stand in other months by now
            path.unlink()
    return count


def _write(arrow: Any, path: Path, schema: Any, rows: Iterable[Mapping[str, Any]]) -> int:
    count, rest = 0, iter(rows)
    with arrow.parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        while some := list(islice(rest, ROWS)):
            columns = {name: [_value(name, row[name]) for row in some] for name in COLUMNS}
            writer.write_table(arrow.Table.from_pydict(columns, schema=schema))
            count += len(some)
    return count


def _value(name: str, value: Any) -> Any:
    if value is None or name in INSTANTS or name in BOOLEANS or name in INTEGERS:
        return value
    return to_json(value).decode() if name in DOCUMENTS else clean(value)


def _schema(arrow: Any) -> Any:
    types = dict.fromkeys(COLUMNS, arrow.string())
    types |= dict.fromkeys(INSTANTS, arrow.timestamp("ms", tz="UTC"))
    types |= dict.fromkeys(BOOLEANS, arrow.bool_()) | dict.fromkeys(INTEGERS, arrow.int64())
    return arrow.schema(list(types.items()))


def _arrow() -> Any:
    try:
        import pyarrow as arrow  # large, and optional
        import pyarrow.parquet
    except ImportError:
        raise ConfigError("Parquet needs pyarrow: pip install 'flagtrail[parquet]'") from None
    return arrow


def _check_bounds(since: datetime | None, until: datetime | None) -> None:
    for name, bound in (("since", since), ("until", until)):
        if bound is None:
            continue
        start = bound.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        if bound != start:
            raise ConfigError(
                f"--{name} lies within a month, and Parquet replaces whole months (UTC): "
                f"write --{name} {start:%Y-%m-%d}T00:00Z, or leave it out"
            )


def _former(arrow: Any, folder: Path, since: datetime | None, until: datetime | None, question: str) -> Iterator[Path]:
    """Yield the files of the asked months that are there already; ConfigError when they answer another question."""
    first, last = (f"{at.astimezone(UTC):%Y-%m}" if at else None for at in (since, until))
    for path in sorted(folder.glob(f"month=*/{PART}")):
        month = path.parent.name.removeprefix("month=")
        if (first and month < first) or (last and month >= last):
            continue
        try:
            told = (arrow.parquet.read_schema(path).metadata or {}).get(QUESTION)
        except arrow.ArrowInvalid:
            told = None
        if told is None:
            raise ConfigError(f"{path} was not written by flagtrail: choose another folder with --out")
        if told.decode() != question:
            asked = told.decode() or "no filter at all"
            raise ConfigError(f"{folder} holds what was asked for with {asked}: choose another folder with --out")
        yield path
