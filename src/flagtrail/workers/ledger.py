"""Keeps one credential inside the vendor's limits across workers: what all of them take is written down in one place.

A vendor's headers tell a worker what remains, others' requests included, but not what others have under way just now.
So each worker writes down what it has under way, in the row of each limit in PostgreSQL, where `remaining` is the least
that the vendor said of this window. What both leave is to be taken. When a limit starts afresh, one request of all
workers finds out how much there is. When the vendor refuses one and says for how long, nobody asks until then.
"""

import json
import random
import time
from typing import Any
from uuid import uuid4

import structlog
from sqlalchemy import text

from flagtrail.errors import StoreError
from flagtrail.ledger import Told, UnderWay
from flagtrail.workers.shelf import Shelf

PROBING = 0.05  # seconds between looks whether the request that finds out was answered
UNANSWERED = "1 second"  # after which another request finds out
QUIET = 60.0  # seconds between two warnings that there is no ledger

EXPIRES = 10.0  # seconds after which nothing counts as under way of a worker that said no more of it: it may be dead

# What is under way stands in the rows themselves: only what is locked is read as it is now, and not as it was when the
# statement began. The row without a name is of no limit: it holds that of a route whose limits nobody knows yet.
NOW = "extract(epoch FROM clock_timestamp())::float8"
OWN = """jsonb_build_object(CAST(:worker AS text), jsonb_build_array(
        CASE WHEN {route} = '' THEN CAST(:whole AS integer) ELSE CAST(:of_route AS integer) END, {now} + :expires))"""
# Whoever takes waits for whoever takes of the same rows just then, and all rows are taken of or none.
TAKE = """
WITH mine AS MATERIALIZED (
    SELECT name, route, remaining, probing, under_way, resets_at <= clock_timestamp() AS is_over,
        extract(epoch FROM resets_at - clock_timestamp())::float8 AS resets_in,
        floor(size * :reserve) + least(floor(size * :spare), greatest(size - 1, 0)) AS kept
    FROM {schema}.budget WHERE credential = :credential AND route IN ('', :route) ORDER BY name, route FOR UPDATE
), counted AS MATERIALIZED (
    SELECT name, route, others, CASE WHEN route = '' THEN :whole ELSE :of_route END - 1 + coalesce(
        (SELECT sum((value->>0)::integer) FROM jsonb_each(others)), 0) AS under_way
    FROM (SELECT name, route, (SELECT coalesce(jsonb_object_agg(key, value), '{{}}') FROM jsonb_each(under_way)
        WHERE key <> :worker AND (value->>1)::float8 > {now}) AS others FROM mine) AS alive
), short AS (
    SELECT max(wait) AS wait FROM (
        SELECT CASE WHEN probing OR remaining - kept >= 1 THEN least(:probing, resets_in) ELSE resets_in END AS wait
        FROM mine JOIN counted USING (name, route)
        WHERE name <> '' AND NOT is_over AND (probing OR remaining - kept - counted.under_way < 1)
        UNION ALL SELECT extract(epoch FROM until - clock_timestamp())::float8
        FROM {schema}.held WHERE credential = :credential AND until > clock_timestamp()
    ) AS waits
), taken AS (
    UPDATE {schema}.budget AS budget SET
        probing = mine.is_over, under_way = counted.others || {own},
        resets_at = CASE WHEN mine.is_over THEN clock_timestamp() + :unanswered ELSE budget.resets_at END
    FROM mine JOIN counted USING (name, route), short
    WHERE budget.credential = :credential AND budget.name = mine.name AND budget.route = mine.route
        AND short.wait IS NULL
), begun AS (
    INSERT INTO {schema}.budget AS known (credential, name, route, remaining, size, resets_at, under_way)
    SELECT :credential, '', budget.route, 0, 0, 'infinity', {own}
    FROM (VALUES (''), (:route)) AS budget (route), short
    WHERE short.wait IS NULL AND NOT EXISTS (SELECT FROM mine WHERE mine.name = '' AND mine.route = budget.route)
    ON CONFLICT (credential, name, route) DO UPDATE SET under_way = known.under_way || excluded.under_way
)
SELECT wait FROM short
"""
# A limit of which the answer says nothing that can be believed has one request less.
LEARN = """
WITH mine AS MATERIALIZED (
    SELECT name, route, under_way FROM {schema}.budget
    WHERE credential = :credential AND route IN ('', :route) ORDER BY name, route FOR UPDATE
), told AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(CAST(:told AS jsonb))
        AS one (name text, route text, remaining integer, size integer, resets_in float8, "window" float8)
), silent AS (
    UPDATE {schema}.budget AS budget SET under_way = budget.under_way || {own},
        remaining = CASE WHEN budget.name = '' THEN 0 ELSE budget.remaining - 1 END
    FROM mine WHERE budget.credential = :credential AND budget.name = mine.name AND budget.route = mine.route
        AND NOT EXISTS (SELECT FROM told WHERE told.name = mine.name AND told.route = mine.route)
)
INSERT INTO {schema}.budget AS known (credential, name, route, remaining, size, resets_at, span, under_way)
SELECT :credential, name, route, remaining, size, clock_timestamp() + make_interval(secs => resets_in), "window",
    coalesce((SELECT under_way FROM mine WHERE mine.name = '' AND mine.route = budget.route), '{{}}') || {own}
FROM told AS budget ORDER BY name, route
ON CONFLICT (credential, name, route) DO UPDATE SET
    remaining = CASE WHEN {fits} THEN
            CASE WHEN NOT known.probing AND {same} THEN least(known.remaining, excluded.remaining)
                ELSE excluded.remaining END
        ELSE known.remaining - CASE WHEN excluded.span IS NULL THEN 1 ELSE 0 END END,
    resets_at = CASE WHEN {fits} THEN
            CASE WHEN NOT known.probing AND {same} THEN least(known.resets_at, excluded.resets_at)
                ELSE excluded.resets_at END
        ELSE known.resets_at END,
    size = CASE WHEN {fits} THEN excluded.size ELSE known.size END,
    span = CASE WHEN {fits} THEN excluded.span ELSE known.span END,
    probing = known.probing AND {fits} IS NOT TRUE,
    under_way = known.under_way || jsonb_build_object(
        CAST(:worker AS text), excluded.under_way -> CAST(:worker AS text))
"""
HOLD = """
INSERT INTO {schema}.held AS known VALUES (:credential, clock_timestamp() + make_interval(secs => :seconds))
ON CONFLICT (credential) DO UPDATE SET until = greatest(known.until, excluded.until)
"""
FITS = """(known.span IS NULL OR excluded.span > known.span OR (excluded.span = known.span AND NOT known.probing)
        OR (excluded.span IS NULL AND known.probing))"""
SAME = """(CASE WHEN known.span IS NOT NULL AND excluded.span IS NOT NULL THEN known.span = excluded.span
        ELSE abs(extract(epoch FROM known.resets_at - excluded.resets_at)) < 1 END)"""

log = structlog.get_logger()


class SharedLedger:
    """The ledger of one credential, which goes by a name that is no secret; fails to no ledger, never to no request."""

    def __init__(self, shelf: Shelf, credential: str) -> None:
        self.shelf, self.credential, self.worker = shelf, credential, uuid4().hex
        words = {"schema": shelf.schema, "own": OWN.format(route="budget.route", now=NOW), "now": NOW}
        self._take = text(TAKE.format(**words))
        self._learn = text(LEARN.format(same=SAME, fits=FITS, **words))
        self._hold = text(HOLD.format(schema=shelf.schema))
        self._warned = float("-inf")

    def take(self, route: str, reserve: float, spare: float, under_way: UnderWay) -> float:
        """Take a request of each limit that it counts for; else return for how many seconds there is none.

        `under_way` is without it.
        """
        told = self._told(route, UnderWay(under_way.whole + 1, under_way.route + 1))
        told |= {"reserve": reserve, "spare": spare, "probing": PROBING, "unanswered": UNANSWERED}
        try:
            with self.shelf.connect() as connection:
                wait = connection.execute(self._take, told).scalar_one()
        except StoreError as error:
            self._warn(error)
            return 0.0
        # A little later than told: clocks differ.
        return 0.0 if wait is None else max(float(wait), 0.0) + random.uniform(0.01, 0.05)  # noqa: S311

    def learn(self, told: list[Told], route: str, under_way: UnderWay) -> None:
        """Take over what an answer said of limits, as the vendor said it, and what is under way here after it."""
        said = {"told": json.dumps([one._asdict() for one in told])}
        try:
            with self.shelf.connect() as connection:
                connection.execute(self._learn, self._told(route, under_way) | said)
        except StoreError as error:
            self._warn(error)

    def hold(self, seconds: float) -> None:
        """Let nobody take a request for so long: the vendor refused one."""
        try:
            with self.shelf.connect() as connection:
                connection.execute(self._hold, {"credential": self.credential, "seconds": seconds})
        except StoreError as error:
            self._warn(error)

    def _told(self, route: str, under_way: UnderWay) -> dict[str, Any]:
        counts = {"whole": under_way.whole, "of_route": under_way.route, "expires": EXPIRES}
        return {"credential": self.credential, "worker": self.worker, "route": route} | counts

    def _warn(self, error: StoreError) -> None:
        """Say seldom that each worker goes by the vendor's headers alone for now."""
        if time.monotonic() - self._warned > QUIET:
            self._warned = time.monotonic()
            log.warning("ledger_failed", error=str(error))
