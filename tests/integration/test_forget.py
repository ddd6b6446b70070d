"""A person is forgotten everywhere, for good, and what remains is still the same trail."""

import itertools
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import inspect

from flagtrail import forget as forgetting
from flagtrail import hold
from flagtrail.connector import Stream
from flagtrail.database import writing
from flagtrail.errors import ConfigError, FlagtrailError, Held
from flagtrail.event import ActorKind, Change, Event, Record, to_json
from flagtrail.forget import acts, forget, identities_of, look
from flagtrail.notices.message import Finding
from flagtrail.notices.outbox import To, begin, claim, not_sent, tell
from flagtrail.packing import SAMPLES
from flagtrail.people import People
from flagtrail.query import event as find_event
from flagtrail.query import events as find_events
from flagtrail.question import Query
from flagtrail.recount import miscounted
from flagtrail.rows import Reading, event_id
from flagtrail.schema import DETAIL, GAP
from flagtrail.store import Store
from flagtrail.sweep import BATCH
from flagtrail.verdicts import Method, Outcome, Verdict, note_verdicts
from flagtrail.window import Window
from tests.conftest import rows

DAY = datetime(2026, 3, 1, tzinfo=UTC)
LOG = "audit_log"
ADA, ID, NAME = "Ada.Lovelace@acme.example", "5f0c1e77ab12", "Ada Lovelace"
PIECES = ("lovelace", "5f0c1e77ab12")  # of whatever she goes by, in lower case


def entry(number: int, **more: Any) -> tuple[Event, Record]:
    """Return an entry of Ada's if its number is even, else of Grace's."""
    hers = number % 2 == 0
    member = {"_id": ID, "email": ADA, "firstName": "Ada", "lastName": "Lovelace"}
    if not hers:
        member = {"_id": "77", "email": "grace@acme.example", "firstName": "Grace", "lastName": "Hopper"}
    name = f"{member['firstName']} {member['lastName']}"
    record: Record = {
        "_id": str(number),
        "member": member,
        "title": f"[{name}](mailto:{member['email']}) turned on flag-{number}",
        "_links": {"by": f"/api/v2/members/{member['_id']}", "self": f"/x?who={quote(member['email'])}"},
        "comment": f"asked by {name.upper()} number {number}",
    }
    event = Event(
        vendor_id=str(number), occurred_at=DAY + timedelta(milliseconds=number), action="turned_on",
        vendor_action="updateOn", actor_kind=ActorKind.MEMBER, actor_id=member["_id"], actor_name=name,
        actor_email=member["email"], object_kind="flag", object_key=f"flag-{number}", summary=f"{name} turned it on",
        comment=record["comment"], url=f"https://app.example/{member['_id']}",
        changes=[Change(path="maintainer", before="grace@acme.example", after=member["email"])],
    )  # fmt: skip
    return event.model_copy(update=more), record


def invited(number: int) -> tuple[Event, Record]:
    """Return an entry in which Grace invited Ada, who is called by her e-mail address in other letters."""
    event, record = entry(2 * number + 1)
    told = {"vendor_id": f"i{number}", "object_kind": "member", "object_key": ID, "object_name": ADA.upper()}
    record |= {"_id": f"i{number}", "target": {"name": ADA.upper(), "resources": [f"member/{ID}"]}}
    return event.model_copy(update=told), record


def add(store: Store, *pairs: tuple[Event, Record]) -> Any:
    return store.add("acme", "launchdarkly", [Reading(LOG, pairs)])


def filled(store: Store, count: int) -> Store:
    store.register("acme", "launchdarkly", Stream(LOG), wanted_since=DAY, settled_at=DAY)
    add(store, *map(entry, range(count)), invited(1))
    with writing(store.engine) as connection:
        [body] = store.packing.pack(connection, "launchdarkly/detail", [to_json(entry(2)[1])])
        full = {"number": 3, "source": "acme", "stream": LOG, "occurred_at": DAY, "state": "done", "attempts": 0}
        connection.execute(DETAIL.insert().values(full | {"body": body}))
        told = {"source": "acme", "stream": LOG, "since": DAY, "until": DAY + timedelta(1), "stored": 0, "seen_at": DAY}
        connection.execute(GAP.insert().values(told | {"reason": f"of {NAME}", "permanent": False}))
    store.gathering.catch_up()
    return store


def nothing(done: int, total: int) -> None:
    """Show no progress."""


def forget_ada(store: Store) -> forgetting.Forgotten:
    return forget(store, identities_of(store, [ADA.lower()]), "request 1", nothing)


def everything(store: Store) -> Iterator[tuple[str, str]]:
    """Yield all that the database holds, unpacked, and all bytes of its files, in lower case, with where it stands."""
    for name in inspect(store.engine).get_table_names():
        if not name.startswith("search"):
            for row in rows(store, f'SELECT * FROM "{name}"'):
                for value in row:
                    plain = bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
                    yield name, plain.decode("utf-8", "replace").lower()
    if store.engine.dialect.name == "postgresql":
        for (row,) in rows(store, "SELECT CAST(s AS text) FROM pg_stats s WHERE schemaname = 'public'"):
            yield "pg_stats", str(row).lower()
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("CHECKPOINT")
            for name in ("search_text", "facet_pkey", "search_by_key", "search_by_name"):
                read = f"SELECT pg_read_binary_file(pg_relation_filepath('{name}'))"
                yield name, bytes(connection.exec_driver_sql(read).scalar_one()).decode("latin-1").lower()
        return
    path = Path(str(store.engine.url.database))
    for file in path.parent.glob(f"{path.name}*"):
        yield file.name, file.read_bytes().decode("latin-1").lower()


def found(store: Store) -> set[str]:
    """Return where something that Ada goes by stands."""
    return {where for where, told in everything(store) if any(piece in told for piece in PIECES)}


def test_nothing_in_the_database_holds_her_any_more_and_the_rest_stays(store: Store) -> None:
    filled(store, SAMPLES + BATCH)
    add(store, entry(SAMPLES + BATCH))
    store.gathering.catch_up()
    assert {"event", "record", "detail", "gap", "dictionary", "facet"} <= found(store)
    if store.engine.dialect.name == "postgresql":
        assert "search_text" in found(store)
    before = rows(store, "SELECT id, action, object_key FROM event WHERE object_kind = 'flag' ORDER BY number")
    graces = rows(store, "SELECT * FROM event WHERE actor_email = 'grace@acme.example' AND object_kind = 'flag'")
    hers = rows(store, f"SELECT count(*) FROM event WHERE actor_email = '{ADA}'")
    told = look(store, identities_of(store, [ADA]), nothing)
    assert told.rows["event"] == told.rows["record"]
    assert all(find_event(store, id) for id in told.examples)
    assert "event" in found(store)
    done = forget_ada(store)
    pseudonym = done.act.pseudonym
    assert found(store) == set()
    assert done.scrubbed
    assert (done.act.events, done.act.records, done.act.details, done.act.others) == (*[told.rows["event"]] * 2, 1, 1)
    assert rows(store, "SELECT id, action, object_key FROM event WHERE object_kind = 'flag' ORDER BY number") == before
    assert (
        rows(store, "SELECT * FROM event WHERE actor_email = 'grace@acme.example' AND object_kind = 'flag'") == graces
    )
    assert rows(store, f"SELECT count(*) FROM event WHERE actor_email = '{pseudonym}'") == hers
    [invitation] = find_event(store, event_id("acme", LOG, "i1"))
    assert (invitation["object_key"], invitation["object_name"]) == (pseudonym, pseudonym)
    assert invitation["actor_name"] == "Grace Hopper"
    [first] = find_event(store, event_id("acme", LOG, "0"))
    assert first["records"][0]["record"]["title"] == f"[{pseudonym}](mailto:{pseudonym}) turned on flag-0"
    assert first["records"][0]["record"]["_links"] == {
        "by": f"/api/v2/members/{pseudonym}",
        "self": f"/x?who={pseudonym}",
    }
    assert first["changes"] == [{"path": "maintainer", "before": "grace@acme.example", "after": pseudonym}]
    with store.engine.connect() as connection:
        assert not miscounted(connection)
    assert len(list(find_events(store, Query(actor=(pseudonym,), limit=0)))) == hers[0][0]
    assert len(list(find_events(store, Query(text="lovelace")))) == 0
    assert len(list(find_events(store, Query(text="hopper turned", limit=0)))) == (SAMPLES + BATCH) // 2 + 1


def test_what_is_read_again_or_comes_later_does_not_bring_her_back(store: Store) -> None:
    filled(store, 6)
    with Store(store.engine.url.render_as_string(hide_password=False)) as daemon:
        add(daemon, *map(entry, range(6, 10)))  # it remembers them, to learn a dictionary from
        pseudonym = forget_ada(store).act.pseudonym
        again = add(daemon, *map(entry, range(10)), invited(1))
        assert (again.new, again.changed) == ([], [])
        thorough = replace_thorough(Reading(LOG, list(map(entry, range(10)))))
        assert daemon.add("acme", "launchdarkly", [thorough]).changed == []
        new = add(daemon, *map(entry, range(10, SAMPLES + 300)), entry(2, summary=f"{NAME} edited it"))
        assert len(new.new) == SAMPLES + 290
        other = {"userEmail": ADA, "userName": "Ada L.", "details": "ada.lovelace@ACME.example signed in"}
        names = {"actor_kind": ActorKind.MEMBER, "actor_id": None, "actor_name": "Ada L.", "summary": other["details"]}
        daemon.add("cat", "configcat", [Reading(LOG, [(entry(0)[0].model_copy(update=names), other)])])
        daemon.gathering.catch_up()
    assert found(store) == set()
    assert rows(store, "SELECT count(*) FROM dictionary") == [(1,)]
    [signed_in] = find_event(store, event_id("cat", LOG, "0"))
    assert (signed_in["actor_name"], signed_in["summary"]) == (pseudonym, f"{pseudonym} signed in")
    assert signed_in["records"][0]["record"]["userName"] == pseudonym
    assert {People().person(row) for row in find_events(store, Query(actor=(pseudonym,), limit=0))} == {
        (pseudonym, pseudonym)
    }


def test_what_is_told_of_the_trail_later_does_not_name_her(store: Store) -> None:
    filled(store, 2)
    hold.begin(store, f"{NAME} v. Acme")
    hold.end(store, f"{NAME} agrees")
    begin(store, "rule", 0, [], DAY)
    pseudonym = forget(store, identities_of(store, [ADA]), f"asked by {NAME}", nothing).act.pseudonym
    with Store(store.engine.url.render_as_string(hide_password=False)) as daemon:
        window = Window(DAY, DAY + timedelta(1))
        verdict = Verdict(window, Outcome.DIFFERS, DAY, Method.CONTENTS, reason=f"an entry of {NAME}")
        note_verdicts(daemon, "acme", LOG, [verdict])
        refused = Finding("refused", "key", "acme", LOG, f"acme is refused: {NAME} may not")
        tell(daemon, "rule", [refused], lambda _: True, [To("chat", 10, sums_up=False)], DAY, DAY)
        taken = claim(daemon, "chat", DAY, timedelta(1))
        assert taken
        not_sent(daemon, taken, f"no mailbox {ADA}", None)
        daemon.note_source("acme", "launchdarkly", f"{NAME} is out")
        hold.begin(daemon, f"again {NAME}")
    assert found(store) == set()
    assert [each.reason for each in hold.holds(store)] == [f"{pseudonym} v. Acme", f"again {pseudonym}"]
    assert acts(store)[0].reason == f"asked by {pseudonym}"
    assert rows(store, "SELECT reason FROM verdict") == [(f"an entry of {pseudonym}",)]


def test_a_dictionary_is_learnt_anew_whatever_the_letters_of_a_name(store: Store) -> None:
    def named(number: int) -> tuple[Event, Record]:
        return entry(1, vendor_id=str(number))[0], {
            "_id": str(number),
            "by": "ÅSA ÖST",
            "text": f"it is number {number}",
        }

    add(store, *map(named, range(SAMPLES)))
    add(store, named(SAMPLES))
    [(before, body)] = rows(store, "SELECT number, body FROM dictionary")
    assert "ÅSA ÖST".encode() in bytes(body)  # type: ignore[call-overload]
    forget(store, ["Åsa Öst"], None, nothing)
    assert (before,) not in rows(store, "SELECT number FROM dictionary")


def replace_thorough(reading: Reading) -> Reading:
    return reading._replace(thorough=True, read_at=datetime.now(UTC))


def test_a_run_that_was_killed_is_finished_by_the_next_one(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(store, SAMPLES + BATCH)

    class Killed(BaseException):
        pass

    def kill_at(number: int) -> None:
        calls = itertools.count()

        def check(connection: Any) -> None:
            if next(calls) == number:
                raise Killed

        monkeypatch.setattr(hold, "check_free", check)

    for number in (2, 2, 2, 2, 3, 3):  # each of them gets further: within sweeping, and within packing anew
        kill_at(number)
        with pytest.raises(Killed):
            forget_ada(store)
    [act] = acts(store)
    assert act.finished_at is None
    monkeypatch.undo()
    done = forget(store, [act.pseudonym], None, nothing)  # the pseudonym is enough
    assert found(store) == set()
    assert (done.act.number, done.act.reason) == (act.number, "request 1")
    assert [a.finished_at is None for a in acts(store)] == [False]
    assert done.act.events == SAMPLES // 2 + BATCH // 2 + 1
    assert find_event(store, event_id("acme", LOG, "7"))[0]["records"][0]["record"]["member"]["lastName"] == "Hopper"


def test_others_store_and_gather_meanwhile(store: Store) -> None:
    filled(store, 2 * BATCH)
    ended, failed = threading.Event(), list[Exception]()

    def write() -> None:
        numbers = itertools.count(2 * BATCH)
        try:
            with Store(store.engine.url.render_as_string(hide_password=False)) as daemon:
                while not ended.is_set():
                    add(daemon, *(entry(number) for number in itertools.islice(numbers, 20)))
                    add(daemon, entry(next(numbers), vendor_id="2", comment=f"{NAME} again"))
                    daemon.gathering.catch_up()
                daemon.gathering.catch_up()
        except (FlagtrailError, AssertionError) as error:
            failed.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        pseudonym = forget_ada(store).act.pseudonym
    finally:
        ended.set()
        writer.join()
    assert failed == []
    assert {where for where in found(store) if not where.startswith("trail.db")} == set()
    with store.engine.connect() as connection:
        assert not miscounted(connection)
    [(hers,)] = rows(store, "SELECT count(*) FROM event WHERE actor_email LIKE 'person-%'")
    assert len(list(find_events(store, Query(actor=(pseudonym,), limit=0)))) == hers


def test_who_has_her_name_and_another_address_stays_who_it_is(store: Store) -> None:
    filled(store, 2)
    event, record = entry(4)
    record = json.loads(json.dumps(record).replace(ADA, "ada@other.example").replace(ID, "99"))
    other = {"actor_email": "ada@other.example", "actor_id": "99", "vendor_id": "other", "url": None, "changes": None}
    add(store, (event.model_copy(update=other), record))
    forget_ada(store)
    [stays] = find_event(store, event_id("acme", LOG, "other"))
    assert (stays["actor_name"], stays["actor_email"], stays["actor_id"]) == (NAME, "ada@other.example", "99")
    assert stays["records"][0]["record"]["member"]["lastName"] == "Lovelace"


def test_while_the_trail_is_on_hold_nobody_is_forgotten(store: Store) -> None:
    filled(store, 2)
    hold.begin(store, "case 12")
    with pytest.raises(Held, match=r"on hold since .* \(case 12\)"):
        forget_ada(store)
    assert acts(store) == []
    assert "event" in found(store)
    with pytest.raises(ConfigError, match="already"):
        hold.begin(store, "again")
    hold.end(store, "closed")
    with pytest.raises(ConfigError, match="not on hold"):
        hold.end(store, "again")
    assert [(each.reason, each.ended_reason) for each in hold.holds(store)] == [("case 12", "closed")]
    forget_ada(store)
    assert found(store) == set()


def test_another_process_that_gathers_finds_words_that_were_gone_for_a_while(store: Store) -> None:
    filled(store, 2)
    with Store(store.engine.url.render_as_string(hide_password=False)) as daemon:
        add(daemon, entry(2))
        daemon.gathering.catch_up()  # it knows by now that `lovelace` is a word
        forget_ada(store)
        add(daemon, entry(3, summary="the lovelace engine", vendor_id="engine"))
        daemon.gathering.catch_up()
        assert [row["vendor_id"] for row in find_events(daemon, Query(text="lovelace"))] == ["engine"]
