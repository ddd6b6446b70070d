"""Takes messages from the database to a sink, again and again until it takes them, or until they are given up."""

import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import select

from flagtrail.database import guarded
from flagtrail.errors import FlagtrailError
from flagtrail.notices import outbox
from flagtrail.notices.message import Finding, Message
from flagtrail.notices.outbox import Notice
from flagtrail.notices.sinks import NotSent, Sink
from flagtrail.query import shown
from flagtrail.schema import EVENT
from flagtrail.store import Store

EVERY = 1.0  # seconds between two looks for what is due
LEASE = timedelta(minutes=3)  # longer than any sink takes; then others may send what somebody did who was killed
TRIES = 5  # at least, before a message is given up: there may have been nobody to send it
LONGEST = 900.0  # seconds between two tries
REST = 60.0  # seconds at most that a sink rests which could not take a message, however many wait

log = structlog.get_logger()


class Sender:
    """Sends to one sink in a thread of its own, so that none waits for another."""

    def __init__(
        self, store: Store, name: str, sink: Sink, page: str | None = None, every: float = EVERY,
        held_back: Callable[[str, datetime], datetime] | None = None, lease: timedelta = LEASE,
    ) -> None:  # fmt: skip
        """Prepare to send; `page` is the address of flagtrail's page, `held_back` says when a rule may tell again."""
        self.store, self.name, self.sink, self.page, self.every, self.lease = store, name, sink, page, every, lease
        self.held_back = held_back or (lambda rule, at: at)
        self.stop = threading.Event()

    def run(self) -> None:
        """Send until stopped."""
        while not self.stop.is_set():
            pause = self.every
            try:
                found = outbox.claim(self.store, self.name, datetime.now(UTC), self.lease)
                if found is not None:
                    pause = self.send(found)
            except FlagtrailError as error:
                log.error("notices_failed", sink=self.name, error=str(error))
            except Exception:
                log.exception("notices_crashed", sink=self.name)
            self.stop.wait(pause)

    def send(self, notice: Notice) -> float:
        """Send a message that was leased, note how it went, and return for how many seconds the sink then rests."""
        if self.stop.is_set():
            outbox.release(self.store, notice)
            return 0.0
        try:
            told = self.sink.send(self._message(notice))
        except NotSent as error:
            return self._not_sent(notice, error)
        except FlagtrailError:
            raise  # the database, and not the sink
        except Exception as error:
            log.exception("notices_crashed", sink=self.name, notice=notice.number)
            return self._not_sent(notice, NotSent(f"flagtrail failed: {type(error).__name__}"))
        outbox.sent(self.store, notice, told)
        log.info("notice_sent", rule=notice.rule, sink=self.name, notice=notice.number, tries=notice.tries, told=told)
        return 0.0

    def _not_sent(self, notice: Notice, error: NotSent) -> float:
        now = datetime.now(UTC)
        seconds = max(min(2.0 ** min(notice.tries, 20), LONGEST) * random.uniform(0.5, 1.0), error.wait or 0.0)  # noqa: S311
        again = self.held_back(notice.rule, now + timedelta(seconds=seconds))
        too_long = notice.tries >= TRIES and now - notice.made_at > self.sink.give_up
        given_up = error.final or too_long
        outbox.not_sent(self.store, notice, str(error), None if given_up else again)
        told = {"rule": notice.rule, "sink": self.name, "notice": notice.number, "tries": notice.tries}
        if given_up:
            log.warning("notice_given_up", **told, error=str(error))
        else:
            log.warning("notice_not_sent", **told, error=str(error))
        return 0.0 if error.final else max(min(seconds, REST), error.wait or 0.0)

    def _message(self, notice: Notice) -> Message:
        """Return what a message says, by the events as they are by now."""
        wanted = select(*shown()).where(EVENT.c.number.in_(notice.events or ())).order_by(EVENT.c.number)
        with guarded(self.store.shown), self.store.engine.connect() as connection:
            rows = [dict(row) for row in connection.execute(wanted).mappings()]
        if notice.events and not rows:
            raise NotSent("its events are not in the database any more", final=True)
        findings = [Finding(**one) for one in notice.findings or ()]
        return Message(notice.rule, notice.key, notice.made_at, rows, notice.more, findings, self.page)
