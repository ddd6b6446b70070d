"""Loads the audit log with dlt's `rest_api` source and its SQLAlchemy destination, as its manual shows them."""

import os
import sys
import time

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"  # a benchmark tells nobody anything

import dlt
from dlt.sources.rest_api import rest_api_source

YEAR_MS = 365 * 86_400_000


def main(url: str, token: str, database: str) -> None:
    """Follow the `next` links with an incremental cursor, and merge by id."""
    source = rest_api_source(
        {
            "client": {
                "base_url": f"{url}/api/v2/",
                "auth": {"type": "api_key", "name": "Authorization", "api_key": token, "location": "header"},
                "paginator": {"type": "json_link", "next_url_path": "_links.next.href"},
            },
            "resource_defaults": {"primary_key": "_id", "write_disposition": "merge"},
            "resources": [
                {
                    "name": "audit_log",
                    "endpoint": {
                        "path": "auditlog",
                        "params": {"limit": 20},
                        "data_selector": "items",
                        "incremental": {
                            "start_param": "after",
                            "cursor_path": "date",
                            "initial_value": int(time.time() * 1000) - YEAR_MS,
                        },
                    },
                }
            ],
        }
    )
    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir="pipelines",
        destination=dlt.destinations.sqlalchemy(f"sqlite:///{database}"),
        dataset_name="main",
    )
    pipeline.run(source).raise_on_failed_jobs()


if __name__ == "__main__":
    main(*sys.argv[1:])
