"""Looks at what is stored, once for each rule, and makes messages of it.

A rule's position is the number of the last event that it has looked at, in the order of storing. It moves on in the
transaction that writes the messages, and only if no other process has moved it meanwhile: so each event is looked at
once, whoever is killed at whatever moment.
"""

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from flagtrail.errors import FlagtrailError
from flagtrail.follow import AT_ONCE, Edge, between, edge_of
from flagtrail.notices import outbox
from flagtrail.notices.findings import Findings
from flagtrail.notices.hours import Hours
from flagtrail.notices.outbox import Begun, Found, Step, To
from flagtrail.notices.settings import About
from flagtrail.query import Query
from flagtrail.report import Report
from flagtrail.store import Store

EVERY = 1.0  # seconds between two looks at what was stored
FINDINGS_EVERY = 15.0  # seconds between two looks at the trail itself
FORGET_EVERY = 3600.0  # seconds
STALE = timedelta(days=7)  # what was stored longer ago than this is not told of: a rule may have been away for a year

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Rule:
    """What is told to which sinks, and when; see `settings` for what each field means."""

    name: str
    query: Query
    to: Sequence[To]
    about: Sequence[About]
    group: timedelta
    quiet: Hours | None
    older: timedelta

    def due_at(self, now: datetime) -> datetime:
        """Return when a message that begins now is to be sent."""
        at = now + self.group
        return self.quiet.over_at(at) if self.quiet else at

    def is_too_old(self, row: Any, now: datetime) -> bool:
        """Return whether nobody wants to be told of an event any more."""
        stored: datetime = row["first_seen_at"]
        return stored - row["occurred_at"] > self.older or now - stored > STALE


class Collector:
    """Collects for all rules in a thread of its own; what fails is logged and tried again."""

    def __init__(self, store: Store, rules: Iterable[Rule], every: float = EVERY) -> None:
        self.store, self.rules, self.every = store, list(rules), every
        self.findings = Findings(store)
        self.stop = threading.Event()
        self._edge: Edge | None = None
        self._looked_at_trail = self._forgot = float("-inf")

    def heard(self, report: Report) -> None:
        """Take over how a look at a source went; from any thread."""
        self.findings.heard(report)

    def run(self) -> None:
        """Collect until stopped."""
        while not self.stop.is_set():
            try:
                self.collect()
            except FlagtrailError as error:
                log.error("notices_failed", error=str(error))
            except Exception:
                log.exception("notices_crashed")
            self.stop.wait(self.every)

    def collect(self) -> None:
        """Look once at everything that was stored since the last time, and at the trail itself when that is due."""
        self._edge = edge_of(self.store, self._edge)
        if self._edge.is_sure and self.rules:
            begun = outbox.begun(self.store)
            for rule in self.rules:
                if rule.name in begun:
                    self._collect(rule, begun[rule.name], self._edge.number)
                else:
                    known = self.findings.beginning(rule.about)
                    outbox.begin(self.store, rule.name, self._edge.number, known, datetime.now(UTC))
        now = time.monotonic()
        if now - self._looked_at_trail >= FINDINGS_EVERY:
            self._looked_at_trail = now
            self._look_at_trail()
        if now - self._forgot >= FORGET_EVERY:
            self._forgot = now
            outbox.forget(self.store, datetime.now(UTC))

    def _collect(self, rule: Rule, begun: Begun, upto: int) -> None:
        """Look for a rule at the events up to a number, in parts that each fit a message or two."""
        position, found, left_out = begun.position, list[Found](), 0
        if About.CHANGES in rule.about:
            for row in between(self.store, rule.query, position, upto) if position < upto else ():
                now = datetime.now(UTC)
                if rule.is_too_old(row, now):
                    left_out += 1
                else:
                    found.append(Found(row["number"], row["id"]))
                if len(found) + left_out < AT_ONCE:
                    continue
                if not self._advance(rule, position, row["number"], found, left_out, now):
                    return
                position, found, left_out = row["number"], [], 0
        if position < upto:
            self._advance(rule, position, upto, found, left_out, datetime.now(UTC))

    def _advance(
        self, rule: Rule, position: int, upto: int, found: Sequence[Found], left_out: int, now: datetime
    ) -> bool:
        step = Step(rule.name, position, upto, left_out)
        moved = outbox.advance(self.store, step, found, rule.to, now, rule.due_at(now))
        if moved and (found or left_out):
            log.info("notices_made", rule=rule.name, changes=len(found), too_old=left_out)
        return moved

    def _look_at_trail(self) -> None:
        for rule in self.rules:
            kinds = [about for about in rule.about if about is not About.CHANGES]
            if kinds:
                now = datetime.now(UTC)
                found, over = self.findings.now(kinds)
                for finding in outbox.tell(self.store, rule.name, found, over, rule.to, now, rule.due_at(now)):
                    log.info("notices_made", rule=rule.name, about=finding.about, source=finding.source)
