"""Loads the audit log with `flagtrail sync` itself: URL, token and database file are its arguments."""

import os
import sys
from pathlib import Path

from flagtrail.cli import main

CONFIG = """
[store]
url = "sqlite:///{database}"

[[source]]
name = "bench"
connector = "launchdarkly"
base_url = "{url}"
token = {{ env = "BENCH_TOKEN" }}
start = "365d"
flag_events = false
details = "off"
"""


def load(url: str, token: str, database: str) -> None:
    """Fill a new database with a year, by the command line."""
    config = Path(database).with_suffix(".toml")
    config.write_text(CONFIG.format(database=database, url=url), encoding="utf-8")
    os.environ["BENCH_TOKEN"] = token
    sys.argv = ["flagtrail", "sync", "--quiet", "--config", str(config)]
    main()


if __name__ == "__main__":
    load(*sys.argv[1:])
