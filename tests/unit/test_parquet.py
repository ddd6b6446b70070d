"""Parquet: typed, a file for each month, and never in place of what it does not hold."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet
import pytest

from flagtrail.errors import ConfigError
from flagtrail.exports import parquet
from flagtrail.exports.columns import COLUMNS
from tests.unit.export_rows import FULL, NOON, odd_rows, row


def month(number: int) -> datetime:
    return datetime(2026, number, 10, 8, 30, 0, 7000, tzinfo=UTC)


def test_parquet_is_typed_and_partitioned_and_loses_nothing(tmp_path: Path) -> None:
    rows = sorted(odd_rows(), key=lambda one: one["occurred_at"], reverse=True)
    assert parquet.write(iter(rows), tmp_path / "trail") == len(rows)
    assert {path.parent.name for path in tmp_path.glob("trail/*/*")} == {"month=2026-03", "month=1970-01"}
    table = pyarrow.parquet.read_table(tmp_path / "trail" / "month=2026-03" / parquet.PART, partitioning=None)
    types = {field.name: str(field.type) for field in table.schema}
    assert types["occurred_at"] == "timestamp[ms, tz=UTC]"
    assert (types["truncated"], types["revision"], types["changes"]) == ("bool", "int64", "string")
    [full] = [one for one in table.to_pylist() if one["actor_name"] == "Ada Lovelace"]
    assert full["occurred_at"] == NOON
    assert json.loads(full["changes"]) == FULL["changes"]
    assert {name: full[name] for name in COLUMNS if name not in ("changes", "impact")} == {
        name: FULL[name] for name in COLUMNS if name not in ("changes", "impact")
    }


def test_a_month_is_replaced_whole_and_others_stay(tmp_path: Path) -> None:
    months = [row(id=str(number), occurred_at=month(number)) for number in (5, 4, 3)]
    assert parquet.write(months, tmp_path / "trail") == 3
    march = (tmp_path / "trail" / "month=2026-03" / parquet.PART).read_bytes()
    again = [months[0] | {"id": "new", "occurred_at": month(5) + timedelta(hours=1)}, months[0]]
    parquet.write(again, tmp_path / "trail", since=datetime(2026, 4, 1, tzinfo=UTC))
    found = pyarrow.parquet.read_table(tmp_path / "trail").to_pylist()
    assert sorted((one["month"], one["id"]) for one in found) == [
        ("2026-03", "3"),
        ("2026-05", "5"),
        ("2026-05", "new"),
    ]
    assert (tmp_path / "trail" / "month=2026-03" / parquet.PART).read_bytes() == march


def test_parquet_is_written_in_row_groups_with_flat_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "ROWS", 10)
    parquet.write((row(id=str(number)) for number in range(25)), tmp_path / "trail")
    told = pyarrow.parquet.ParquetFile(tmp_path / "trail" / "month=2026-03" / parquet.PART).metadata
    assert [told.row_group(number).num_rows for number in range(told.num_row_groups)] == [10, 10, 5]


def test_parquet_that_would_lose_events_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "trail"
    parquet.write([FULL], folder)
    before = (folder / "month=2026-03" / parquet.PART).read_bytes()
    with pytest.raises(ConfigError, match="write --since 2026-03-01T00:00Z"):
        parquet.write([], folder, since=NOON)
    with pytest.raises(ConfigError, match="with no filter at all: choose another folder"):
        parquet.write([], folder, question="--vendor configcat")
    assert (folder / "month=2026-03" / parquet.PART).read_bytes() == before
    (folder / "month=2026-03" / parquet.PART).write_bytes(b"somebody else's")
    with pytest.raises(ConfigError, match="was not written by flagtrail"):
        parquet.write([], folder)


def test_without_pyarrow_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"pip install 'flagtrail\[parquet\]'"):
        parquet.write([], tmp_path / "trail")
