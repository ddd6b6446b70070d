"""Notices: each change is collected once and sent at least once, whoever else does so, and whatever fails."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from flagtrail.connector import Stream
from flagtrail.errors import AccessDenied
from flagtrail.notices import outbox
from flagtrail.notices.hours import parse_hours
from flagtrail.notices.outbox import DEAD, SENT, WAITING, Notice, To
from flagtrail.notices.sending import Sender
from flagtrail.notices.settings import About
from flagtrail.notices.sinks import Sink
from flagtrail.notices.slack_sink import Slack
from flagtrail.notices.webhook_sink import Webhook
from flagtrail.question import Query
from flagtrail.report import Report, StreamReport
from flagtrail.rows import Reading
from flagtrail.store import Store
from flagtrail.window import Window
from tests.sinks import SOON, Place, add, collector, place, rule

EVERY_ONE = [To("ops", 100, sums_up=False)]
DAY = timedelta(days=1)


@pytest.fixture
def target() -> Iterator[Place]:
    with place() as made:
        yield made


class Clock(datetime):
    """The present, as a test sets it."""

    at: datetime

    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        return cls.at


def webhook(target: Place, **values: Any) -> Webhook:
    return Webhook(url=SecretStr(f"{target.url}/hook"), **values)


def sender(store: Store, sink: Sink, **values: Any) -> Sender:
    return Sender(store, "ops", sink, every=SOON, **values)


def send_all(sending: Sender, at: datetime | None = None) -> int:
    """Send everything that is due now, or at a moment, and return how many tries that took."""
    tries = 0
    while found := outbox.claim(sending.store, "ops", at or datetime.now(UTC), sending.lease):
        sending.send(found)
        tries += 1
    return tries


def made(store: Store, *states: str) -> list[Notice]:
    return outbox.notices(store, *(states or (WAITING,)))


def test_a_rule_begins_at_now_and_tells_of_each_change_that_it_asks_for_once(store: Store, target: Place) -> None:
    add(store, "before")
    rules = rule("prod", Query(environment="production"), to=EVERY_ONE), rule("all", to=EVERY_ONE)
    collecting = collector(store, *rules)
    add(store, "a")
    add(store, "b", environment="test")
    collecting.collect()
    add(store, "a", comment="changed since")
    collecting.collect()
    again = collector(store, *rules)  # as after a restart
    again.collect()
    send_all(sender(store, webhook(target)))
    assert sorted((got.key.partition("/")[0], *got.ids) for got in target.got) == [("all", "a", "b"), ("prod", "a")]
    assert target.got[0].json[0]["data"]["comment"] == "changed since", "what is known when it is sent"
    add(store, "c")
    again.collect()
    send_all(sender(store, webhook(target)))
    assert [got.ids for got in target.got[2:]] == [["c"], ["c"]]
    assert made(store) == []


def test_what_is_old_when_it_is_stored_is_only_counted(store: Store) -> None:
    collecting = collector(store, rule("fresh"), rule("week", older=7 * DAY))
    add(store, "years", ago=700 * DAY)
    add(store, "days", ago=3 * DAY)
    add(store, "new")
    collecting.collect()
    numbers = {notice.rule: len(notice.events or ()) for notice in made(store)}
    assert numbers == {"fresh": 1, "week": 2}
    assert {name: rule.left_out for name, rule in outbox.begun(store).items()} == {"fresh": 2, "week": 1}


def test_a_rule_that_comes_back_tells_of_nothing_that_was_stored_long_ago(store: Store, monkeypatch: Any) -> None:
    collector(store, rule())
    add(store, "meanwhile")
    monkeypatch.setattr("flagtrail.notices.collecting.STALE", timedelta(microseconds=1))
    collector(store, rule()).collect()
    assert (made(store), outbox.begun(store)["prod"].left_out) == ([], 1)


def test_a_burst_is_one_message_and_what_it_does_not_list_it_counts(
    store: Store, target: Place, monkeypatch: Any
) -> None:
    slow = replace(rule(group=timedelta(seconds=30)), to=[To("ops", 10, sums_up=True), To("log", 20, sums_up=False)])
    collecting = collector(store, slow)
    started = datetime.now(UTC)
    for module in ("collecting", "sending"):
        monkeypatch.setattr(f"flagtrail.notices.{module}.datetime", Clock)
    for part in range(5):
        Clock.at = started + timedelta(seconds=part)
        add(store, *(f"{part}-{number}" for number in range(10)))
        collecting.collect()
    found = {name: [one for one in made(store) if one.sink == name] for name in ("ops", "log")}
    assert [(len(one.events or ()), one.more) for one in found["ops"]] == [(10, 40)]
    assert [(len(one.events or ()), one.more) for one in found["log"]] == [(20, 0), (20, 0), (10, 0)]
    assert len({one.key for one in made(store)}) == 3, "the same for both sinks as long as the first change is"
    sending = sender(store, Slack(url=SecretStr(f"{target.url}/services/T0/B0/secret")))
    assert send_all(sending, Clock.at) == 0, "it waits for others"
    Clock.at = started + timedelta(seconds=31)
    add(store, "later")
    collecting.collect()
    assert send_all(sending, Clock.at) == 1
    text = target.got[0].json["text"].splitlines()
    assert text[0] == "*50 changes (prod)*"
    assert len([line for line in text if "turned on checkout" in line]) == 10
    assert text[-1] == "and 40 more"


def test_in_quiet_hours_nothing_is_sent_and_then_all_of_it_together(store: Store, monkeypatch: Any) -> None:
    quiet = parse_hours("22:00-07:00", "Europe/Berlin")
    collecting = collector(store, rule(quiet=quiet, older=700 * DAY))
    monkeypatch.setattr("flagtrail.notices.collecting.datetime", Clock)
    monkeypatch.setattr("flagtrail.notices.collecting.STALE", 9999 * DAY)
    for hour in (21, 23):  # UTC; it is winter, and an hour more in Berlin
        Clock.at = datetime(2026, 3, 1, hour, tzinfo=UTC)
        add(store, f"at {hour}")
        collecting.collect()
    [notice] = made(store)
    assert (len(notice.events or ()), notice.due_at) == (2, datetime(2026, 3, 2, 6, tzinfo=UTC))


def test_what_is_not_taken_is_tried_again_with_the_same_key_until_it_is_also_after_a_restart(
    store: Store, target: Place, logged: list[Any]
) -> None:
    collecting = collector(store, rule(to=EVERY_ONE))
    add(store, "a")
    collecting.collect()
    for status in (500, 429, 302):
        target.answer(status, b"not now", retry_after="0", location="http://127.0.0.1:1/elsewhere")
    ends = time.monotonic() + 30
    while made(store):
        assert time.monotonic() < ends
        before = time.monotonic()
        if send_all(sender(store, webhook(target))):  # a new one each time
            [*_, last] = outbox.notices(store, WAITING, SENT)
            assert before
            if last.state == WAITING:
                assert last.due_at > datetime.now(UTC)
                assert last.error == f"127.0.0.1 answers {(500, 429, 302)[last.tries - 1]}: not now"
                outbox.retry(store, None, datetime.now(UTC))  # those that were given up only: there is none
                with store.engine.begin() as connection:  # nobody wants to wait for it here
                    connection.execute(outbox.NOTICE.update().values(due_at=datetime.now(UTC)))
    assert [got.ids for got in target.got] == [["a"]] * 4
    assert len({got.key for got in target.got}) == 1
    assert [line["event"] for line in logged if line["event"].startswith("notice_")] == [
        *["notice_not_sent"] * 3, "notice_sent",
    ]  # fmt: skip


def test_a_sink_that_wants_to_be_left_alone_is(store: Store, target: Place) -> None:
    collecting = collector(store, rule(to=EVERY_ONE))
    add(store, "a")
    collecting.collect()
    target.answer(503, retry_after="600")
    found = outbox.claim(store, "ops", datetime.now(UTC), timedelta(minutes=1))
    assert found
    assert sender(store, webhook(target)).send(found) == 600
    assert made(store)[0].due_at - datetime.now(UTC) > timedelta(seconds=590)


def test_what_the_sink_never_takes_is_given_up_and_can_be_sent_again_or_dropped(store: Store, target: Place) -> None:
    collecting = collector(store, rule(to=EVERY_ONE))
    for id in ("a", "b"):
        add(store, id)
        collecting.collect()
    target.answer(400, b"invalid_payload")
    target.answer(400)
    sending = sender(store, webhook(target))
    assert send_all(sending) == 2
    dead = made(store, DEAD)
    assert [notice.error for notice in dead] == ["127.0.0.1 answers 400: invalid_payload", "127.0.0.1 answers 400"]
    assert outbox.drop(store, dead[0].number) == 1
    assert outbox.retry(store, None, datetime.now(UTC)) == 1
    assert send_all(sending) == 1
    assert [notice.key for notice in made(store, WAITING, SENT, DEAD)] == [dead[1].key]
    assert outbox.drop(store, dead[1].number) == 0, "it was sent"
    outbox.forget(store, datetime.now(UTC))
    outbox.forget(store, datetime.now(UTC) + 8 * DAY)
    assert made(store, SENT) == []


def test_a_sink_that_is_away_for_too_long_loses_nothing_but_patience(store: Store) -> None:
    collecting = collector(store, rule(to=EVERY_ONE))
    add(store, "a")
    collecting.collect()
    away = Webhook(url=SecretStr("http://127.0.0.1:1/a-secret-part?token=another"), give_up=timedelta(minutes=1))
    sending = sender(store, away)
    for tries in range(1, 7):
        [notice] = made(store)
        found = outbox.claim(store, "ops", notice.due_at, timedelta(minutes=1))
        assert found
        sending.send(found._replace(made_at=datetime.now(UTC) - timedelta(hours=1)))
        if tries < 5:
            [notice] = made(store)
            assert notice.tries == tries
            assert "cannot be reached" in str(notice.error)
            assert "secret" not in str(notice.error)
        elif made(store, DEAD):
            break
    assert [notice.tries for notice in made(store, DEAD)] == [5]


class Workers:
    """Threads that work with a store of their own each, as processes would have."""

    def __init__(self, url: str) -> None:
        self.url, self.stop = url, threading.Event()
        self.threads: list[threading.Thread] = []
        self.errors: list[BaseException] = []

    def begin(self, work: Callable[[Store], Any], *, ends: bool = False) -> threading.Thread:
        """Do something until the end, or once."""

        def run() -> None:
            try:
                with Store(self.url) as own:
                    work(own)
                    while not (ends or self.stop.wait(SOON)):
                        work(own)
            except BaseException as error:  # noqa: BLE001 - told below, in the test's own thread
                self.errors.append(error)

        self.threads.append(threading.Thread(target=run))
        self.threads[-1].start()
        return self.threads[-1]

    def end(self) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join(20)
        assert self.errors == []


def write(store: Store, writer: int) -> None:
    for number in range(6):
        add(store, *(f"{writer} {number} {each}" for each in range(writer + 1)), source=f"s{writer}")


def test_two_daemons_on_one_database_tell_of_everything_and_of_nothing_twice(store_url: str, target: Place) -> None:
    told, workers = rule(to=EVERY_ONE, group=timedelta(seconds=0.05)), Workers(store_url)
    with Store(store_url) as store:
        collector(store, told)
        for _ in range(2):
            workers.begin(lambda own: collector(own, told).collect())
            workers.begin(lambda own: send_all(sender(own, webhook(target))))
        for thread in [workers.begin(lambda own, w=w: write(own, w), ends=True) for w in range(3)]:  # type: ignore[misc]
            thread.join()
        wanted = sorted(f"{w} {n} {each}" for w in range(3) for n in range(6) for each in range(w + 1))
        deadline = time.monotonic() + 30
        while len([id for got in target.got for id in got.ids]) < len(wanted) and time.monotonic() < deadline:
            time.sleep(0.02)
        workers.end()
        assert sorted(id for got in target.got for id in got.ids) == wanted
        assert len({got.key for got in target.got}) == len(target.got)
        assert made(store) == []


def test_a_message_of_somebody_who_was_killed_while_sending_is_sent_by_others_when_the_lease_is_over(
    store: Store, target: Place
) -> None:
    collecting = collector(store, rule(to=EVERY_ONE))
    add(store, "a")
    collecting.collect()
    now = datetime.now(UTC)
    killed = outbox.claim(store, "ops", now, timedelta(seconds=60))
    assert killed
    assert outbox.claim(store, "ops", now + timedelta(seconds=59), timedelta(seconds=60)) is None
    found = outbox.claim(store, "ops", now + timedelta(seconds=61), timedelta(seconds=60))
    assert found
    assert (found.key, found.tries) == (killed.key, 2)
    outbox.not_sent(store, killed, "too late to say so", None)
    assert [notice.state for notice in made(store)] == [WAITING], "the lease is somebody else's by now"
    outbox.sent(store, killed, None)
    assert made(store) == [], "but sent is sent"


def test_gaps_refusals_and_what_ages_out_are_told_once_for_as_long_as_they_last(store: Store, target: Place) -> None:
    now = datetime.now(UTC)
    hour = Window(now - timedelta(hours=2), now - timedelta(hours=1))

    def note(reason: str, window: Window = hour) -> None:
        store.add("acme", "launchdarkly", [Reading("audit_log", [], gap=(window, reason, 12))])

    store.register("acme", "launchdarkly", Stream("audit_log"), wanted_since=now - 40 * DAY)
    note("known before")
    told = rule(about=list(About), to=EVERY_ONE)
    collecting = collector(store, told)

    def texts() -> list[str]:
        collecting._look_at_trail()
        send_all(sender(store, webhook(target)))
        found = [one["data"]["text"] for got in target.got for one in got.json]
        target.got.clear()
        return found

    assert texts() == []
    other = Window(now - timedelta(hours=5), now - timedelta(hours=4))
    note("a burst <of> entries", other)
    [text] = texts()
    assert text.startswith("acme: audit_log cannot be read whole from ")
    assert text.endswith(": a burst <of> entries")
    note("still there", other)
    assert texts() == []
    store.add("acme", "launchdarkly", [Reading("audit_log", [], covers=other)])
    assert texts() == []

    stream = StreamReport(Stream("audit_log"))
    broken = Report("acme", {"audit_log": StreamReport(Stream("audit_log"), error="no")}, error="no")
    refused = Report("acme", refused={None: AccessDenied("the token is none any more", 401)}, error="refused")
    for report, expected in (
        (refused, ["acme is refused: the token is none any more"]),
        (refused, []),
        (broken, []),
        (Report("acme", {"audit_log": stream}), []),
        (refused, ["acme is refused: the token is none any more"]),
    ):
        collecting.heard(report)
        assert texts() == expected
    after = collector(store, told)  # a restart: nothing was heard yet
    after._look_at_trail()
    assert made(store) == []

    store.register("acme", "launchdarkly", Stream("audit_log"), retention=7 * DAY)
    store.note("acme", "audit_log", settled_at=now, wanted_since=now - 6 * DAY)
    [text] = texts()
    assert text.startswith("acme: entries of audit_log that were not read are dropped by the vendor on ")
    assert texts() == []
