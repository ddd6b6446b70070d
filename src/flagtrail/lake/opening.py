"""Opens the two tables of a lake by where it is."""

from pathlib import Path

from flagtrail.errors import ConfigError
from flagtrail.lake.keeping import Lake
from flagtrail.lake.settings import LakeSettings
from flagtrail.lake.table import DeltaTable, library

STATED = "number,occurred_at"  # nothing else: the bounds of a column are values of it, also those of forgotten people


def open_lake(path: str, settings: LakeSettings) -> Lake:
    """Return the tables of a lake on a path or an object store; raises ConfigError when it cannot be."""
    library()
    try:
        options = settings.storage_options()
    except ValueError as error:
        raise ConfigError(f"[lake] options: {error}") from None
    place = path.rstrip("/") if "://" in path else str(Path(path).absolute())
    return Lake(DeltaTable(f"{place}/event", options, STATED), DeltaTable(f"{place}/coverage", options, "as_of"))
