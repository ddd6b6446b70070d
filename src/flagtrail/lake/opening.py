"""Opens the two tables of a lake by where it is."""

import re
from pathlib import Path

from flagtrail.errors import ConfigError
from flagtrail.lake.keeping import Lake
from flagtrail.lake.settings import LakeSettings
from flagtrail.lake.table import DeltaTable, library, shown

STATED = "number,occurred_at"  # nothing else: the bounds of a column are values of it, also those of forgotten people

STORES = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "adl", "https", "hdfs", "file")  # of the library
TAKEN = re.compile(r"[][^|\\]|%[0-9A-Fa-f]{2}")  # in a path, what the library takes for something else


def open_lake(path: str, settings: LakeSettings) -> Lake:
    """Return the tables of a lake on a path or an object store; raises ConfigError when it cannot be."""
    library()
    try:
        options = settings.storage_options()
    except ValueError as error:
        raise ConfigError(f"[lake] options: {error}") from None
    place = path.rstrip("/") if "://" in path else str(Path(path).absolute())
    if "://" in place and place.partition("://")[0].lower() not in STORES:
        raise ConfigError(f"the lake cannot lie at {shown(place)}: name a path, or an s3://, gs:// or az:// address")
    if "://" not in place and (found := TAKEN.search(place)):
        raise ConfigError(f"the lake cannot lie at {place}, because of {found[0]!r} in it: name another path")
    return Lake(DeltaTable(f"{place}/event", options, STATED), DeltaTable(f"{place}/coverage", options, "as_of"))
