"""A Singer target for SQLite: singer-sdk's own sample of one."""

import sys
from typing import Any

from singer_sdk import SQLConnector, SQLSink, SQLTarget
from singer_sdk import typing as th


class SQLiteConnector(SQLConnector):
    """Speaks to SQLite."""

    allow_temp_tables = False
    allow_column_alter = False
    allow_merge_upsert = True
    allow_overwrite = True

    def get_sqlalchemy_url(self, config: dict[str, Any]) -> str:
        """Return the URL of the file."""
        return f"sqlite:///{config['path_to_db']}"


class SQLiteSink(SQLSink[SQLiteConnector]):
    """Writes one stream."""

    connector_class = SQLiteConnector


class TargetSQLite(SQLTarget):
    """The target."""

    name = "target-sqlite-sample"
    default_sink_class = SQLiteSink
    max_parallelism = 1
    config_jsonschema = th.PropertiesList(th.Property("path_to_db", th.StringType)).to_dict()


if __name__ == "__main__":
    sys.exit(TargetSQLite.cli())
