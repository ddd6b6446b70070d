"""A source: a connector configured for one account, named in the config."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pydantic import SecretStr

from flagtrail.connector import Connector, Stream
from flagtrail.event import Record
from flagtrail.limit import RESERVE
from flagtrail.rows import Reading
from flagtrail.window import Window

RETENTIONS = tuple(timedelta(days=days) for days in (7, 30, 35, 750))  # of the plans that are known to limit it
AHEAD = timedelta(days=1)  # how far past the vendor's present the newest window reaches, for entries dated ahead


@dataclass(frozen=True, slots=True)
class Source:
    """What is read: `start` is an instant, or a span back from now; `settle` is how late entries may appear.

    `retention` is how long the vendor keeps entries, and `keep` how long they are kept here, None for ever. `verify`
    lets the daemon compare what is covered with the vendor's own numbers. `parallel` windows are read at the same time
    at most. `reserve` is the share of the vendor's limits that is left to the customer's other tools. One of
    `webhook_secrets` signs the webhooks that make it look at once. `renewal` makes the connector anew, with the secrets
    that stand by now where the config says; it raises ConfigError.
    """

    name: str
    connector: Connector
    start: datetime | timedelta = timedelta(days=365)
    every: timedelta = timedelta(minutes=1)
    settle: timedelta = timedelta(minutes=15)
    parallel: int = 16
    retention: timedelta | None = None
    keep: timedelta | None = None
    verify: bool = True
    reserve: float = RESERVE
    webhook_secrets: tuple[SecretStr, ...] = ()
    renewal: Callable[[], Connector] | None = field(default=None, compare=False, repr=False)

    def wanted_since(self, now: datetime) -> datetime:
        """Return the instant from which everything is wanted; a span goes back to the start of an hour.

        Else the start would move with every look, and leave a sliver to read whenever two clocks differ a little.
        What is not kept here is not wanted.
        """
        start = _hour(now - self.start) if isinstance(self.start, timedelta) else self.start
        kept = self.kept_here_since(now)
        return max(start, kept) if kept else start

    def kept_here_since(self, now: datetime) -> datetime | None:
        """Return the instant before which nothing is kept here, the start of an hour; None when all is."""
        return None if self.keep is None else _hour(now - self.keep)

    def kept_since(self, now: datetime) -> datetime | None:
        """Return the instant before which the vendor shows nothing any more; None when it keeps everything."""
        return None if self.retention is None else now - self.retention

    def reading(
        self,
        stream: Stream,
        records: Sequence[Record],
        covers: Window | None = None,
        gap: tuple[Window, str, int | None] | None = None,
        *,
        thorough: bool = False,
    ) -> Reading:
        """Return what records mean, ready to be stored."""
        events = [(self.connector.event(stream, record), record) for record in records]
        detailed = [event.vendor_id for event, _ in events if self.connector.detailed(stream, event)]
        return Reading(stream.name, events, covers, gap, stream.log, detailed, datetime.now(UTC), thorough)


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
