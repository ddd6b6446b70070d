"""Whatever letters, digits and signs a text is made of, of any script: each beginning of a word of it finds it."""

import random
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from flagtrail.connector import Stream
from flagtrail.database import writing
from flagtrail.event import Event
from flagtrail.gather import Gathering
from flagtrail.query import Query, events
from flagtrail.rows import Reading
from flagtrail.store import Store
from flagtrail.window import from_ms
from flagtrail.words import asked, has_words, words

COLUMNS = ("summary", "comment", "object_key", "object_name", "location", "actor_name")
PARTS = ["checkout", "Check", "x", "v", "rate", "ÜBER", "über", "naïve", "straße", "STRASSE", "поиск", "検索", "بحث",
         "ΟΔΟΣ", "οδος", "2", "22", "2e5", "0", "007", "1f", "½", "²", "٣", "३", "①", "cafe\u0301s", "\u0130stanbul",
         "k\u0130", "istanbul", "\u0131d", "ID", "\ufb01x", "\uff23\uff48\uff45", "\uff43\uff48\uff45\uff12",
         "Stra\u1e9ee", "\u212aelvin", "kelvin", "\u03f4", "หน้า", "हिन्दी", "Ⅷ", "ǅ", "ɐb", "x" * 70]  # fmt: skip
SIGNS = [*["", " "] * 3, *"-_/.:'—€™→🚀\u200d\u0308\u00ad\""]
SIGMAS = set("σςΣ")  # PostgreSQL takes a capital one for either small one


def text_of(made: random.Random) -> str:
    return "".join(made.choice(PARTS) + made.choice(SIGNS) for _ in range(made.randrange(1, 6)))


def fill(store: Store, texts: list[str], made: random.Random, *, gathered: bool = True) -> dict[str, str]:
    """Store an event of each text, and return what people read of each, by its id."""
    store.register("acme", "launchdarkly", Stream("audit_log"))
    read: dict[str, str] = {}
    pairs: list[tuple[Event, dict[str, Any]]] = []
    for n, told in enumerate(texts):
        column: Any = {made.choice(COLUMNS): told}
        one = Event(vendor_id=str(n), occurred_at=from_ms(n), action="created", vendor_action="x", **column)
        pairs.append((one, {"id": n}))
        read[str(n)] = told
    store.add("acme", "launchdarkly", [Reading("audit_log", pairs)])
    if gathered:
        Gathering(store.engine).catch_up()
    return read


def found(store: Store, wanted: str) -> set[str]:
    return {row["vendor_id"] for row in events(store, Query(text=wanted, limit=0))}


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("gathered", [True, False])
@pytest.mark.parametrize("seed", range(2))
def test_each_word_and_each_beginning_of_one_finds_its_event(store: Store, seed: int, gathered: bool) -> None:
    made = random.Random(seed)
    read = fill(store, [text_of(made) for _ in range(150)], made, gathered=gathered)
    there = sorted({word for told in read.values() for word in words(told)})
    said = [words(told) for told in read.values()]
    for _ in range(150):
        wanted = " ".join(
            word[: made.randrange(1, len(word) + 1)] for word in made.sample(there, made.choice([1, 1, 2]))
        )
        if made.random() < 0.3:
            group = made.choice(said)
            at = made.randrange(len(group))
            wanted = f'"{" ".join(group[at : at + made.randrange(1, 4)])}"'
        meant = {id for id, told in read.items() if has_words(told, wanted)}
        got = found(store, wanted)
        assert got >= meant, (wanted, asked(wanted))
        if store.engine.dialect.name == "sqlite" or not SIGMAS & set(wanted):
            assert got == meant, (wanted, asked(wanted))
            unwanted = events(store, Query(without={"text": wanted}, limit=0))
            assert {row["vendor_id"] for row in unwanted} == read.keys() - meant, wanted


def test_words_with_digits_of_an_older_database_are_found_after_its_upgrade(store: Store) -> None:
    """Before step 0013, SQLite's index had `checkout2` as a whole word alone, and no list had it."""
    fill(store, ["checkout2 off", "checkout"], random.Random(0))
    with writing(store.engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0012'"))
        if connection.dialect.name == "sqlite":
            connection.execute(text("INSERT INTO search (search) VALUES ('delete-all')"))
            connection.execute(text("INSERT INTO search (rowid, marks) VALUES (0, 'checkout2 off'), (1, 'checkout')"))
    with Store(store.engine.url.render_as_string(hide_password=False)) as upgraded:
        assert found(upgraded, "check") == {"0", "1"}
        upgraded.gather()
        assert found(upgraded, "check") == {"0", "1"}
        assert not upgraded.recount()


@pytest.mark.usefixtures("tiny")
def test_nothing_is_missing_where_the_server_knows_the_cases_of_ascii_only(postgres: Any) -> None:
    url = postgres()
    name = make_url(url).database
    postgres.execute(f"DROP DATABASE {name}", f"CREATE DATABASE {name} TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    made = random.Random(5)
    with Store(url) as store:
        read = fill(store, [text_of(made) for _ in range(150)], made)
        for wanted in sorted({word[:end] for told in read.values() for word in words(told) for end in (2, 9)}):
            assert found(store, wanted) >= {id for id, told in read.items() if has_words(told, wanted)}, wanted
