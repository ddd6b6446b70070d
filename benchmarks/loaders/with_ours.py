"""Loads the audit log with flagtrail itself: URL, token and database file are its arguments."""

import logging
import sys
from datetime import timedelta

from pydantic import SecretStr

from flagtrail import logs
from flagtrail.source import Source
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail_launchdarkly import LaunchDarkly


def main(url: str, token: str, database: str) -> None:
    """Fill a new database with a year, as `flagtrail sync` does."""
    logs.configure(logging.WARNING)
    connector = LaunchDarkly(token=SecretStr(token), base_url=url, flag_events=False, details="off")
    source = Source("bench", connector, start=timedelta(days=365))
    with Store(f"sqlite:///{database}") as store, Session(source, store) as session:
        report = session.fill()
    if report.errors:
        raise SystemExit("\n".join(report.errors))


if __name__ == "__main__":
    main(*sys.argv[1:])
