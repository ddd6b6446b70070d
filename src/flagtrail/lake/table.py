"""One table of Delta Lake's: what stands in it is replaced in one step, and which files it is made of is told.

https://github.com/delta-io/delta/blob/master/PROTOCOL.md describes the format. A write names the state of the database
that it follows by a transaction of the application's, so that the same is never written twice, and of two writers at
once one fails.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from flagtrail.errors import ConfigError, LakeError
from flagtrail.lake.settings import is_secret

APP = "flagtrail"
MISSING = "the lake needs deltalake, duckdb and pyarrow: pip install 'flagtrail[lake]'"
LARGE = 64 * 1024 * 1024  # bytes of a file: a changed event costs writing one anew, and fewer are read faster
GROUP = 200_000  # events of a row group, which is what can be left out when a file is read
COLOURS = re.compile("\x1b\\[[0-9;]*m")
STATED = "delta.dataSkippingStatsColumns"
OFTEN = {"delta.checkpointInterval": "10"}  # commits of which each is a file that is read by who opens the table


class File(NamedTuple):
    """A file of the table: where it is, its partition, and how large."""

    uri: str
    vendor: str
    month: str
    bytes: int
    rows: int


class DeltaTable:
    """A table on a path or an object store; nothing of it is kept between two calls but where it is."""

    def __init__(self, uri: str, options: Mapping[str, str], stated: str) -> None:
        """Name a table; `stated` are the columns whose bounds stand in its log, which nothing erases at once."""
        self.uri, self.options, self.stated = uri, dict(options), stated

    def exists(self) -> bool:
        """Return whether there is such a table; raises LakeError."""
        try:
            # Not `is_deltatable`: it keeps all other threads from running until the object store answers.
            with self._guarded() as delta:
                delta.DeltaTable(self.uri, storage_options=self.options or None)
        except _Missing:
            return False
        return True

    def create(self, schema: Any, partitions: Sequence[str], *, anew: bool = False) -> None:
        """Make the table, without a row; raises LakeError.

        `anew` lets it take the place of one that is there.
        """
        if "://" not in self.uri:
            with self._guarded():
                Path(self.uri).mkdir(parents=True, exist_ok=True)
        with self._guarded() as delta:
            delta.DeltaTable.create(
                self.uri, schema, partition_by=list(partitions) or None,
                configuration={STATED: self.stated, **OFTEN},
                storage_options=self.options or None,
                mode="overwrite" if anew else "error",
            )  # fmt: skip

    def id(self) -> str:
        """Return the name that the table has for ever; raises LakeError."""
        with self._opened() as table:
            return str(table.metadata().id)

    def columns(self) -> set[str]:
        """Return the names of its columns; raises LakeError."""
        with self._opened() as table:
            return {column.name for column in table.schema().fields}

    def is_ours(self) -> bool:
        """Return whether flagtrail has ever written it; raises LakeError."""
        with self._opened() as table:
            return table.transaction_version(APP) is not None

    def version(self) -> int:
        """Return the number of its last write; raises LakeError."""
        with self._opened() as table:
            return int(table.version())

    def followed(self) -> int:
        """Return which state of the database it follows, as it was told with the last `replace`; 0 for none."""
        with self._opened() as table:
            return int(table.transaction_version(APP) or 0)

    def replace(self, batches: Iterable[Any], schema: Any, predicate: str | None, follows: int) -> None:
        """Put rows in place of those that meet a predicate, or of all, in one step; raises LakeError."""
        import pyarrow as arrow

        coming = _Coming(batches)
        try:
            with self._opened() as table, self._guarded() as delta:
                reader = arrow.RecordBatchReader.from_batches(schema, coming)
                delta.write_deltalake(
                    table, reader, mode="overwrite", predicate=predicate, target_file_size=LARGE,
                    writer_properties=_properties(delta), commit_properties=_follows(delta, follows),
                )  # fmt: skip
        except LakeError:
            if coming.failed:
                raise coming.failed from None
            raise

    def delete(self, predicate: str, follows: int) -> None:
        """Delete what meets a predicate; raises LakeError."""
        with self._opened() as table, self._guarded() as delta:
            table.delete(predicate, commit_properties=_follows(delta, follows))

    def files(self, version: int | None = None) -> list[File]:
        """Return the files that the table is made of now, or was after a write; raises LakeError."""
        import pyarrow as arrow

        with self._opened(version) as table:
            found = arrow.table(table.get_add_actions(flatten=True)).to_pylist()
        place = self.uri.removeprefix("file://")  # not `file_uris`: it writes signs of a folder's name as a URL does
        return [
            File(
                f"{place}/{unquote(each['path'])}",
                each.get("partition.vendor", ""),
                each.get("partition.month", ""),
                each["size_bytes"],
                each["num_records"],
            )
            for each in found
        ]

    def compact(self, vendor: str, month: str) -> int:
        """Make the small files of a partition into large ones, and return how many there were; raises LakeError."""
        with self._opened() as table, self._guarded() as delta:
            told = table.optimize.compact(
                [("vendor", "=", vendor), ("month", "=", month)],
                target_size=LARGE,
                writer_properties=_properties(delta),
            )
        return int(told["numFilesRemoved"])

    def vacuum(self, older: timedelta) -> int:
        """Delete files that are no part of the table for so long, and return how many; raises LakeError."""
        hours = -(-int(older.total_seconds()) // 3600)
        with self._opened() as table:
            return len(table.vacuum(hours, dry_run=False, enforce_retention_duration=False, full=True))

    def rows(self) -> list[dict[str, Any]]:
        """Return all rows of a small table; raises LakeError."""
        with self._opened() as table:
            found: list[dict[str, Any]] = table.to_pyarrow_table().to_pylist()
            return found

    def dataset(self, version: int) -> Any:
        """Return the table as it was after a write as a dataset of Arrow's, which reads any object store."""
        with self._opened(version) as table:
            return table.to_pyarrow_dataset()

    @contextmanager
    def _opened(self, version: int | None = None) -> Iterator[Any]:
        with self._guarded() as delta:
            yield delta.DeltaTable(self.uri, version=version, storage_options=self.options or None)

    @contextmanager
    def _guarded(self) -> Iterator[Any]:
        """Give the library; what it raises becomes a LakeError of one line, in which no secret stands."""
        delta = library()
        try:
            yield delta
        except delta.exceptions.TableNotFoundError:
            raise _Missing(f"lake {shown(self.uri)}: there is none; `flagtrail lake` makes it") from None
        except (delta.exceptions.DeltaError, OSError, delta.exceptions.SchemaMismatchError) as error:
            raise LakeError(f"lake {shown(self.uri)}: {self.told(error)}") from None

    def told(self, error: Exception) -> str:
        """Return what an error says, in one line in which no secret stands."""
        told = " ".join(COLOURS.sub("", str(error)).split())
        for secret in (value for name, value in self.options.items() if is_secret(name) or "key" in name.lower()):
            told = told.replace(secret, "***")
        return told.replace(self.uri, shown(self.uri))[:500]


class _Missing(LakeError):
    """There is no such table."""


class _Coming:
    """Batches on their way through the library, which keeps of an error on that way only its text."""

    def __init__(self, batches: Iterable[Any]) -> None:
        self._batches = batches
        self.failed: BaseException | None = None

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._batches
        except BaseException as error:
            self.failed = error
            raise


def library() -> Any:
    """Return the library of Delta Lake; raises ConfigError when it, or what it needs, is not installed."""
    try:
        import deltalake
        import deltalake.exceptions
        import pyarrow  # noqa: F401
    except ImportError:
        raise ConfigError(MISSING) from None
    return deltalake


def shown(uri: str) -> str:
    """Return where something is, for people: without the name and the password of a URL."""
    scheme, slashes, rest = uri.partition("://")
    place, slash, path = rest.partition("/")
    return f"{scheme}{slashes}{place.rpartition('@')[2]}{slash}{path}" if slashes else uri


def _follows(delta: Any, number: int) -> Any:
    return delta.CommitProperties(app_transactions=[delta.Transaction(APP, number)])


def _properties(delta: Any) -> Any:
    return delta.WriterProperties(compression="ZSTD", compression_level=3, max_row_group_size=GROUP)
