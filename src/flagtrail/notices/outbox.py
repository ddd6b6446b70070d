"""The messages that are to be sent, in the database: written with how far a rule has come, leased by who sends them.

Each function is one transaction. Any number of processes may do any of this at the same time.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from hashlib import sha256
from secrets import token_hex
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, or_, select, update

from flagtrail.bulk import insert_new
from flagtrail.database import enter, guarded, writing
from flagtrail.notices.message import Finding
from flagtrail.schema.notices import FINDING, NOTICE, RULE
from flagtrail.store import Store
from flagtrail.window import to_ms

WAITING, SENT, DEAD = "waiting", "sent", "dead"
FINDINGS = 100  # in one message at most
KEPT = timedelta(days=7)  # that a message is remembered which was sent


class To(NamedTuple):
    """A sink, as far as it matters here: how many things one message lists, and whether the others are only counted."""

    sink: str
    listed: int
    sums_up: bool


class Found(NamedTuple):
    """An event that a rule tells of."""

    number: int
    id: str


class Entry(NamedTuple):
    """What stands in a message for an event or a finding, and what its key is made of."""

    id: str
    value: Any


class Step(NamedTuple):
    """A rule's way from one position to another, on which it has left out so many events because they were too old."""

    rule: str
    position: int
    upto: int
    left_out: int


class Notice(NamedTuple):
    """A message."""

    number: int
    rule: str
    sink: str
    key: str
    events: list[int] | None
    more: int
    findings: list[dict[str, Any]] | None
    state: str
    made_at: datetime
    due_at: datetime
    tries: int
    tried_at: datetime | None
    error: str | None
    leased_until: datetime | None
    lease: str | None


class Begun(NamedTuple):
    """How far a rule has come, and how many events it has left out because they were too old."""

    position: int
    began_at: datetime
    left_out: int


COLUMNS = [NOTICE.c[name] for name in Notice._fields]


def begun(store: Store) -> dict[str, Begun]:
    """Return how far each rule has come that was ever looked at, by its name."""
    columns = (RULE.c[name] for name in Begun._fields)
    with guarded(store.shown), store.engine.connect() as connection:
        return {row[0]: Begun(*row[1:]) for row in connection.execute(select(RULE.c.rule, *columns))}


def begin(store: Store, rule: str, position: int, known: Iterable[str], now: datetime) -> None:
    """Let a rule begin after an event, with findings that it does not tell of; nothing if it has begun already."""
    row = {"rule": rule, "position": position, "began_at": now, "left_out": 0}
    with guarded(store.shown), writing(store.engine) as connection:
        if insert_new(connection, RULE, row):
            connection.execute(delete(FINDING).where(FINDING.c.rule == rule))
            _remember(connection, rule, known, now)


def advance(
    store: Store, step: Step, found: Iterable[Found], to: Iterable[To], now: datetime, due_at: datetime
) -> bool:
    """Put into messages what a rule found on its way, and move it on; return whether no other process has done so.

    Messages that are not due yet take up what comes.
    """
    with guarded(store.shown), writing(store.engine) as connection:
        mine = and_(RULE.c.rule == step.rule, RULE.c.position == step.position)
        moved = update(RULE).where(mine).values(position=step.upto, left_out=RULE.c.left_out + step.left_out)
        if not connection.execute(moved).rowcount:
            return False
        entries = [Entry(one.id, one.number) for one in found]
        for each in to:
            _put(connection, step.rule, each, "events", entries, now, due_at)
    return True


def tell(
    store: Store, rule: str, findings: Iterable[Finding], over: Callable[[str], bool], to: Iterable[To], now: datetime,
    due_at: datetime,
) -> list[Finding]:  # fmt: skip
    """Put into messages the findings that a rule has not told of, and return them; forget those that are `over`.

    `over` says of a key whether what it stands for would be among the findings if it still were so.
    """
    present = {finding.key: finding for finding in findings}
    with guarded(store.shown), writing(store.engine) as connection:
        enter(connection)  # before any row is locked
        persons = store.forgotten(connection)
        connection.execute(select(RULE.c.rule).where(RULE.c.rule == rule).with_for_update())
        mine = select(FINDING.c.key).where(FINDING.c.rule == rule)
        known = set(connection.execute(mine).scalars())
        gone = [key for key in known - present.keys() if over(key)]
        if gone:
            connection.execute(delete(FINDING).where(FINDING.c.rule == rule, FINDING.c.key.in_(gone)))
        new = [finding for key, finding in present.items() if key not in known]
        _remember(connection, rule, (finding.key for finding in new), now)
        told = [one._replace(text=persons.text(one.text)) if persons else one for one in new]
        entries = [Entry(_id(one, now), one._asdict()) for one in told]
        for each in to:
            _put(connection, rule, each._replace(sums_up=False, listed=FINDINGS), "findings", entries, now, due_at)
    return new


def _id(finding: Finding, now: datetime) -> str:
    """Return what tells a finding from others, and from itself when it comes again, in letters for any header."""
    return sha256(f"{finding.key} {to_ms(now)}".encode()).hexdigest()[:24]


def _remember(connection: Connection, rule: str, keys: Iterable[str], now: datetime) -> None:
    rows = [{"rule": rule, "key": key, "seen_at": now} for key in keys]
    if rows:
        connection.execute(insert(FINDING), rows)


def _put(
    connection: Connection, rule: str, to: To, column: str, entries: list[Entry], now: datetime, due_at: datetime
) -> None:
    """Add to the message that waits for others, as long as it has room, and put the rest into new ones."""
    still_open = and_(
        NOTICE.c.rule == rule, NOTICE.c.sink == to.sink, NOTICE.c.state == WAITING, NOTICE.c.due_at > now,
        NOTICE.c.tries == 0, NOTICE.c[column].is_not(None),
    )  # fmt: skip
    query = select(*COLUMNS).where(still_open).order_by(NOTICE.c.number.desc()).limit(1).with_for_update()
    row = connection.execute(query).first() if entries else None
    if row is not None:
        listed = list(getattr(row, column))
        room, more = to.listed - len(listed), row.more
        listed += [entry.value for entry in entries[:room]]
        entries = entries[room:]
        if to.sums_up:
            entries, more = [], more + len(entries)
        connection.execute(update(NOTICE).where(NOTICE.c.number == row.number).values({column: listed, "more": more}))
    while entries:
        part, entries = entries[: to.listed], entries[to.listed :]
        values = {"rule": rule, "sink": to.sink, "key": f"{rule}/{part[0].id}", "state": WAITING, "made_at": now}
        values |= {"due_at": due_at, column: [entry.value for entry in part]}
        if to.sums_up:
            values, entries = values | {"more": len(entries)}, []
        connection.execute(insert(NOTICE).values(values))


def claim(store: Store, sink: str, now: datetime, lease: timedelta) -> Notice | None:
    """Return the next message for a sink that is due, which is then leased to the caller; None when none is."""
    free = or_(NOTICE.c.leased_until.is_(None), NOTICE.c.leased_until <= now)
    due = and_(NOTICE.c.sink == sink, NOTICE.c.state == WAITING, NOTICE.c.due_at <= now, free)
    query = select(*COLUMNS).where(due).order_by(NOTICE.c.due_at, NOTICE.c.number).limit(1)
    with guarded(store.shown):
        with store.engine.connect() as connection:
            if connection.execute(query).first() is None:
                return None  # which is most often so, and keeps nobody waiting who writes
        with writing(store.engine) as connection:
            row = connection.execute(query.with_for_update(skip_locked=True)).first()
            if row is None:
                return None
            values = {"tries": row.tries + 1, "tried_at": now, "leased_until": now + lease, "lease": token_hex(8)}
            connection.execute(update(NOTICE).where(NOTICE.c.number == row.number).values(values))
    return Notice(*row)._replace(**values)


def sent(store: Store, notice: Notice, told: str | None) -> None:
    """Note that a message was sent, whoever holds the lease by now; `told` is what a person should know of it."""
    mine = and_(NOTICE.c.number == notice.number, NOTICE.c.state != SENT)
    _note(store, mine, state=SENT, error=told, leased_until=None, lease=None)


def not_sent(store: Store, notice: Notice, error: str, again_at: datetime | None) -> None:
    """Note that a message could not be sent, and when that is tried again: None when it is given up."""
    mine = and_(NOTICE.c.number == notice.number, NOTICE.c.lease == notice.lease, NOTICE.c.state == WAITING)
    told = {"state": DEAD} if again_at is None else {"due_at": again_at}
    _note(store, mine, **told, error=error, leased_until=None, lease=None)


def release(store: Store, notice: Notice) -> None:
    """Let others send a message that was leased and not tried."""
    mine = and_(NOTICE.c.number == notice.number, NOTICE.c.lease == notice.lease)
    _note(store, mine, leased_until=None, lease=None, tries=notice.tries - 1)


def _note(store: Store, mine: ColumnElement[bool], **values: Any) -> None:
    with guarded(store.shown), writing(store.engine) as connection:
        if values.get("error"):
            values["error"] = store.unnamed(connection, values["error"])
        connection.execute(update(NOTICE).where(mine).values(values))


def notices(store: Store, *states: str) -> list[Notice]:
    """Return the messages in some states, the oldest first."""
    query = select(*COLUMNS).where(NOTICE.c.state.in_(states)).order_by(NOTICE.c.number)
    with guarded(store.shown), store.engine.connect() as connection:
        return [Notice(*row) for row in connection.execute(query)]


def retry(store: Store, number: int | None, now: datetime) -> int:
    """Let a message that waits or was given up be sent now, or all that were given up; return how many."""
    mine = NOTICE.c.state == DEAD if number is None else and_(NOTICE.c.number == number, NOTICE.c.state != SENT)
    again = {"state": WAITING, "due_at": now, "tries": 0, "leased_until": None, "lease": None}
    with guarded(store.shown), writing(store.engine) as connection:
        return connection.execute(update(NOTICE).where(mine).values(again)).rowcount


def drop(store: Store, number: int | None) -> int:
    """Delete a message that waits or was given up, or all that were given up; return how many."""
    mine = NOTICE.c.state == DEAD if number is None else and_(NOTICE.c.number == number, NOTICE.c.state != SENT)
    with guarded(store.shown), writing(store.engine) as connection:
        return connection.execute(delete(NOTICE).where(mine)).rowcount


def forget(store: Store, now: datetime) -> None:
    """Delete the messages that were sent long ago."""
    old = and_(NOTICE.c.state == SENT, NOTICE.c.tried_at < now - KEPT)
    with guarded(store.shown), writing(store.engine) as connection:
        connection.execute(delete(NOTICE).where(old))
