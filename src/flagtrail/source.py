"""A source: a connector configured for one account, named in the config."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from flagtrail.connector import Connector

AHEAD = timedelta(days=1)  # how far past the vendor's present the newest window reaches, for entries dated ahead


@dataclass(frozen=True, slots=True)
class Source:
    """What is read: `start` is an instant, or a span back from now; `settle` is how late entries may appear."""

    name: str
    connector: Connector
    start: datetime | timedelta = timedelta(days=365)
    every: timedelta = timedelta(minutes=1)
    settle: timedelta = timedelta(minutes=15)
    parallel: int = 4

    def wanted_since(self, now: datetime) -> datetime:
        """Return the instant from which everything is wanted; a span goes back to the start of an hour.

        Else the start would move with every look, and leave a sliver to read whenever two clocks differ a little.
        """
        if isinstance(self.start, timedelta):
            return (now - self.start).replace(minute=0, second=0, microsecond=0)
        return self.start
