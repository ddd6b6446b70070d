"""Forgets a person: what is stored, and what will be, has a pseudonym in place of all that the person went by.

First the hashes are committed: from then on whoever stores pseudonymises. Then what is stored is swept, what was made
of it (counts, indexes, dictionaries) is made anew, and what the files still hold is overwritten. All of it can be
killed anywhere, and is finished by doing it again.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from unicodedata import normalize

from sqlalchemy import Connection, Engine, and_, func, or_, select, update

from flagtrail import forgotten, hold
from flagtrail.bulk import among
from flagtrail.database import alone, guarded, writing
from flagtrail.errors import ConfigError, StoreError
from flagtrail.forgotten import Act
from flagtrail.gather import rebuild
from flagtrail.people import HUMAN
from flagtrail.pseudonyms import WORD, Pseudonyms, hashed, new_pseudonym
from flagtrail.relearn import relearn
from flagtrail.schema import DETAIL, DICTIONARY, EVENT, FACET, RECORD
from flagtrail.schema.forgetting import FORGOTTEN, IDENTITY
from flagtrail.store import Store
from flagtrail.sweep import TEXTS, Swept, sweep

PIECE = 5  # letters of a name in a dictionary that are enough for it to be learnt anew: a piece may begin anywhere
PATIENCE = 30.0  # seconds for the readers of a SQLite file to let go of its log

Moved = Callable[[int, int], None]


class Forgotten(NamedTuple):
    """What was done: the act as it is on record, what this run changed, and whether the files hold nothing of before.

    `scrubbed` is false while somebody reads a SQLite file without end: its log is overwritten later, by itself.
    """

    act: Act
    swept: Swept
    scrubbed: bool


def identities_of(store: Store, given: Iterable[str]) -> list[str]:
    """Return what is given, and what the trail shows the same person by.

    That are the ids and names of actors with one of these addresses or ids, and their other addresses. A name finds
    more only where there is no address: two people may have one.
    """
    known = list(dict.fromkeys(text.strip() for text in given))
    with guarded(store.shown), store.engine.connect() as connection:
        already = set(connection.execute(select(IDENTITY.c.pseudonym)).scalars())
        sure, names, asked = [text for text in known if text not in already], list[str](), 0
        while len(sure) > asked:
            asked = len(sure)
            for row in connection.execute(_actors_of(connection, sure, known)):
                found = [row.actor_id, row.actor_email]
                sure += [text for text in found if text and text not in already and text not in sure]
                names += [row.actor_name] if row.actor_name and row.actor_name not in already else []
    return list(dict.fromkeys([*known, *(text for text in (*sure, *names) if WORD.search(text))]))


def _actors_of(connection: Connection, sure: Sequence[str], given: Sequence[str]) -> Any:
    """Return the query for actors who are people with one of some addresses or ids, or without any and with a name."""
    lower = [text.lower() for text in sure]
    named = and_(EVENT.c.actor_email.is_(None), _is_one_of(EVENT.c.actor_name, [t.lower() for t in given], connection))
    same = or_(
        _is_one_of(EVENT.c.actor_email, lower, connection), _is_one_of(EVENT.c.actor_id, lower, connection), named
    )
    columns = (EVENT.c.actor_id, EVENT.c.actor_name, EVENT.c.actor_email)
    return select(*columns).distinct().where(EVENT.c.actor_kind.in_([str(kind) for kind in HUMAN]), same)


def _is_one_of(column: Any, values: list[str], connection: Connection) -> Any:
    lower = func.lower if connection.dialect.name == "postgresql" else func.folded
    return among(lower(column, type_=column.type), values, connection)


def look(store: Store, identities: Sequence[str], moved: Moved) -> Swept:
    """Return what would be changed, and change nothing; raises ConfigError for an identity without a letter."""
    with guarded(store.shown), store.engine.connect() as connection:
        known = forgotten.load(connection)
    pseudonym = _pseudonym_of(known, identities)
    return sweep(store, _known(identities, pseudonym), act=None, check=lambda _: None, moved=moved)


def _known(identities: Iterable[str], pseudonym: str) -> Pseudonyms:
    """Return what knows a person by hashes that are not kept."""
    key = bytes(32)
    return Pseudonyms(key, [each for text in identities for each in hashed(key, text, pseudonym)])


def forget(store: Store, identities: Sequence[str], reason: str | None, moved: Moved) -> Forgotten:
    """Pseudonymise a person everywhere, and return what was done; raises Held while a hold lasts.

    Identities of one who was forgotten before, or the pseudonym itself, go on with that pseudonym.
    """
    now = datetime.now(UTC)
    with guarded(store.shown), writing(store.engine) as connection:
        alone(connection)
        hold.check_free(connection)
        pseudonym = _pseudonym_of(forgotten.load(connection), identities)
        forgotten.remember(connection, [text for text in identities if text != pseudonym], pseudonym)
        act = forgotten.begin(connection, pseudonym, reason, _tainted(connection, identities), now)
        known = forgotten.load(connection)
    assert known is not None
    swept = sweep(store, known, act=act.number, check=hold.check_free, moved=moved)
    for number in act.dictionaries or ():
        relearn(store, number, hold.check_free)
    with guarded(store.shown):
        rebuild(store.engine)
        scrubbed = _scrub(store.engine)
        done = update(FORGOTTEN).where(FORGOTTEN.c.number == act.number)
        with writing(store.engine) as connection:
            connection.execute(done.values(finished_at=datetime.now(UTC), dictionaries=None))
            act = next(each for each in forgotten.acts(connection) if each.number == act.number)
    return Forgotten(act, swept, scrubbed)


def acts(store: Store) -> list[Act]:
    """Return every time that somebody was forgotten, the oldest first."""
    with guarded(store.shown), store.engine.connect() as connection:
        return forgotten.acts(connection)


def _pseudonym_of(known: Pseudonyms | None, identities: Iterable[str]) -> str:
    """Return the pseudonym that the first known of some identities has, or a new one."""
    try:
        found = (known.find(text) for text in identities) if known else iter(())
        for text in identities:
            hashed(b"", text, "")
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return next((each for each in found if each), None) or new_pseudonym()


def _tainted(connection: Connection, identities: Iterable[str]) -> list[int]:
    """Return the dictionaries that may hold a piece of an identity."""
    pieces = set()
    for text in identities:
        own = _plain(text).partition("@")[0]  # what stands behind it is many people's
        for word in WORD.findall(own):
            pieces |= {word[at : at + PIECE] for at in range(max(1, len(word) - PIECE + 1))}
    found = connection.execute(select(DICTIONARY.c.number, DICTIONARY.c.body)).all()
    texts = {number: _plain(bytes(body).decode("utf-8", "replace")) for number, body in found}
    return [number for number, text in texts.items() if any(piece in text for piece in pieces)]


def _plain(text: str) -> str:
    """Return a text in letters of one case and form, as names are compared."""
    return normalize("NFC", text).casefold()


def _scrub(engine: Engine) -> bool:
    """Let the database hold nothing of what its rows held before, and return whether it could.

    SQLite's file is written anew, and its log emptied, which waits for readers. PostgreSQL makes room of old versions,
    forgets what it had noted of frequent values, and makes those indexes anew that keep words of nobody any more.
    """
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for table in (EVENT, RECORD, DETAIL, DICTIONARY, FACET, *TEXTS):
                connection.exec_driver_sql(f"VACUUM (ANALYZE) {table.name}")
            _reindex(connection)
        return True
    until = time.monotonic() + PATIENCE
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        try:
            driver.execute("VACUUM")
            while (
                busy := driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            ) and time.monotonic() < until:
                time.sleep(0.1)
        except sqlite3.Error as error:
            raise StoreError(
                f"the database cannot be written anew: {error}; its rows have the pseudonym, but the file may hold the "
                "name still: mend that, and run the same again"
            ) from None
    return not busy


def _reindex(connection: Connection) -> None:
    """Make PostgreSQL's indexes of words and of values anew; whoever reads and stores goes on meanwhile.

    The former keeps each word for good, and a page of the latter may keep a value, though no row has it any more.
    """
    connection.exec_driver_sql("REINDEX TABLE facet")
    connection.exec_driver_sql("DROP INDEX IF EXISTS search_text_ccnew")  # of a run that was killed
    connection.exec_driver_sql("SET lock_timeout = 0")  # it waits for all who read by the old one
    try:
        connection.exec_driver_sql("REINDEX INDEX CONCURRENTLY search_text")
    finally:
        connection.exec_driver_sql("RESET lock_timeout")
