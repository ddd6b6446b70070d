"""Keeps one credential inside the vendor's limits across workers: what all of them take is written down in one place.

A vendor's headers tell a worker what remains, others' requests included, but not what others have under way just now.
So each request is taken off a row in PostgreSQL first; what the headers say afterwards can only lower it, until the
limit starts afresh. Then one request of all workers finds out how much there is. When the vendor refuses one and says
for how long, nobody asks until then.
"""

import random
import time

import structlog
from sqlalchemy import text

from flagtrail.errors import StoreError
from flagtrail.ledger import Told
from flagtrail.workers.shelf import Shelf

PROBING = 0.05  # seconds between looks whether the request that finds out was answered
UNANSWERED = "1 second"  # after which another request finds out
QUIET = 60.0  # seconds between two warnings that there is no ledger

# Whoever takes waits for whoever takes of the same rows just then, and all rows are taken of or none.
TAKE = """
WITH mine AS MATERIALIZED (
    SELECT name, route, remaining, probing, resets_at <= clock_timestamp() AS is_over,
        extract(epoch FROM resets_at - clock_timestamp())::float8 AS resets_in,
        floor(size * :reserve) + least(floor(size * :spare), greatest(size - 1, 0)) AS kept
    FROM {schema}.budget WHERE credential = :credential AND route IN ('', :route) ORDER BY name, route FOR UPDATE
), short AS (
    SELECT max(wait) AS wait FROM (
        SELECT CASE WHEN probing THEN :probing ELSE resets_in END AS wait
        FROM mine WHERE NOT is_over AND (probing OR remaining - kept < 1)
        UNION ALL SELECT extract(epoch FROM until - clock_timestamp())::float8
        FROM {schema}.held WHERE credential = :credential AND until > clock_timestamp()
    ) AS waits
), taken AS (
    UPDATE {schema}.budget AS budget SET
        remaining = CASE WHEN mine.is_over THEN 0 ELSE budget.remaining - 1 END,
        probing = mine.is_over,
        resets_at = CASE WHEN mine.is_over THEN clock_timestamp() + :unanswered ELSE budget.resets_at END
    FROM mine, short
    WHERE budget.credential = :credential AND budget.name = mine.name AND budget.route = mine.route
        AND short.wait IS NULL
    RETURNING 1
)
SELECT wait, (SELECT count(*) FROM taken) FROM short
"""
LEARN = """
INSERT INTO {schema}.budget AS known (credential, name, route, remaining, size, resets_at, span)
VALUES (:credential, :name, :route, :remaining, :size, clock_timestamp() + make_interval(secs => :resets_in), :window)
ON CONFLICT (credential, name, route) DO UPDATE SET
    remaining = CASE WHEN NOT known.probing AND {same} THEN least(known.remaining, excluded.remaining)
        ELSE excluded.remaining END,
    resets_at = CASE WHEN NOT known.probing AND {same} THEN least(known.resets_at, excluded.resets_at)
        ELSE excluded.resets_at END,
    size = excluded.size, span = excluded.span, probing = false
WHERE known.span IS NULL OR excluded.span > known.span OR (excluded.span = known.span AND NOT known.probing)
    OR (excluded.span IS NULL AND known.probing)
"""
HOLD = """
INSERT INTO {schema}.held AS known VALUES (:credential, clock_timestamp() + make_interval(secs => :seconds))
ON CONFLICT (credential) DO UPDATE SET until = greatest(known.until, excluded.until)
"""
SAME = """(CASE WHEN known.span IS NOT NULL AND excluded.span IS NOT NULL THEN known.span = excluded.span
        ELSE abs(extract(epoch FROM known.resets_at - excluded.resets_at)) < 1 END)"""

log = structlog.get_logger()


class SharedLedger:
    """The ledger of one credential, which goes by a name that is no secret; fails to no ledger, never to no request."""

    def __init__(self, shelf: Shelf, credential: str) -> None:
        self.shelf, self.credential = shelf, credential
        self._take = text(TAKE.format(schema=shelf.schema))
        self._learn = text(LEARN.format(schema=shelf.schema, same=SAME))
        self._hold = text(HOLD.format(schema=shelf.schema))
        self._warned = float("-inf")

    def take(self, route: str, reserve: float, spare: float) -> float:
        """Take a request of each limit that it counts for; else return for how many seconds there is none."""
        told = {"credential": self.credential, "route": route, "reserve": reserve, "spare": spare}
        try:
            with self.shelf.connect() as connection:
                row = connection.execute(self._take, told | {"probing": PROBING, "unanswered": UNANSWERED}).one()
        except StoreError as error:
            self._warn(error)
            return 0.0
        # A little later than told: clocks differ.
        return 0.0 if row[0] is None else max(float(row[0]), 0.0) + random.uniform(0.01, 0.05)  # noqa: S311

    def learn(self, told: list[Told]) -> None:
        """Take over what an answer said, less what is under way."""
        try:
            with self.shelf.connect() as connection:
                for one in sorted(told):
                    connection.execute(self._learn, {"credential": self.credential} | one._asdict())
        except StoreError as error:
            self._warn(error)

    def hold(self, seconds: float) -> None:
        """Let nobody take a request for so long: the vendor refused one."""
        try:
            with self.shelf.connect() as connection:
                connection.execute(self._hold, {"credential": self.credential, "seconds": seconds})
        except StoreError as error:
            self._warn(error)

    def _warn(self, error: StoreError) -> None:
        """Say seldom that each worker goes by the vendor's headers alone for now."""
        if time.monotonic() - self._warned > QUIET:
            self._warned = time.monotonic()
            log.warning("ledger_failed", error=str(error))
