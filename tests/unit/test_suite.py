"""The conformance suite can fail: each mistake that other pollers make is caught by it."""

import inspect
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest

from flagtrail import connector as contract
from flagtrail.api import Api
from flagtrail.connector import Connector, Hole, Page, Stream
from flagtrail.errors import SourceError
from flagtrail.event import Event, Record
from flagtrail.lines import Line
from flagtrail.testing.suite import DAYS, ConnectorSuite
from flagtrail.window import Window, from_ms
from flagtrail_launchdarkly import LaunchDarkly, audit_log
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator

LOG = "/api/v2/auditlog"


def first_page(api: Api, window: Window, before: int) -> tuple[list[Record], Any]:
    answer = api.get(LOG, {"after": window.since_ms - 1, "before": before, "limit": 20})
    return answer.body["items"], answer.date


class Honest(LaunchDarkly):
    """The real connector, of which the suite has nothing to say."""


class SkipsTies(LaunchDarkly):
    """Follows `before` = the oldest date of a page, as the vendor's own link does."""

    def pages(self, api: Api, stream: Stream, window: Window) -> Iterator[Page | Hole]:
        if stream.scope:
            yield from super().pages(api, stream, window)
            return
        top = window.until_ms
        while True:
            records, date = first_page(api, window, top)
            if len(records) < 20:
                yield Page(records, Window.of_ms(window.since_ms, top), date)
                return
            oldest = records[-1]["date"]
            yield Page(records, Window.of_ms(oldest, top), date)
            top = oldest


class StopsAfterOnePage(LaunchDarkly):
    """Reads the newest page, and claims no more than it has seen."""

    def pages(self, api: Api, stream: Stream, window: Window) -> Iterator[Page | Hole]:
        yield next(iter(super().pages(api, stream, window)))


class ClaimsEverythingAtOnce(LaunchDarkly):
    """Reads everything, and claims the whole window with its first page."""

    def pages(self, api: Api, stream: Stream, window: Window) -> Iterator[Page | Hole]:
        for number, page in enumerate(super().pages(api, stream, window)):
            assert isinstance(page, Page)
            yield Page(page.records, window if number == 0 else None, page.date)


class TakesAnErrorForAnEmptyList(LaunchDarkly):
    """Takes a vendor that cannot be read for a vendor without changes."""

    def pages(self, api: Api, stream: Stream, window: Window) -> Iterator[Page | Hole]:
        try:
            yield from super().pages(api, stream, window)
        except SourceError:
            yield Page([], window, None)


class ReadsTooMuch(LaunchDarkly):
    """Claims a day more than it was asked for."""

    def pages(self, api: Api, stream: Stream, window: Window) -> Iterator[Page | Hole]:
        for page in super().pages(api, stream, window):
            assert isinstance(page, Page)
            covers = page.covers and Window(page.covers.since - timedelta(days=1), page.covers.until)
            yield Page(page.records, covers, page.date)


class ForgetsAStream(LaunchDarkly):
    """Reads the audit log, and never looks whether there is more."""

    def streams(self, api: Api) -> Iterator[Stream]:
        return islice(super().streams(api), 1)


class InventsADate(LaunchDarkly):
    """Takes our clock where the vendor's answer has no date."""

    def pages(self, api: Api, stream: Stream, window: Window) -> Iterator[Page | Hole]:
        for page in super().pages(api, stream, window):
            assert isinstance(page, Page)
            yield Page(page.records, page.covers, page.date or from_ms(0))


class RoundsTimes(LaunchDarkly):
    """Keeps seconds, as many logs do."""

    def event(self, stream: Stream, record: Record) -> Event:
        event = super().event(stream, record)
        return event.model_copy(update={"occurred_at": event.occurred_at.replace(microsecond=0)})


class ChangesTheRecord(LaunchDarkly):
    """Tidies the vendor's entry up while translating it."""

    def event(self, stream: Stream, record: Record) -> Event:
        event = super().event(stream, record)
        record.pop("_links", None)
        return event


class FutureField(Exception):
    """What `RefusesWhatItDoesNotKnow` raises; the suite lets it through, which is a failure too."""


class RefusesWhatItDoesNotKnow(LaunchDarkly):
    """Fails at a field of tomorrow."""

    def event(self, stream: Stream, record: Record) -> Event:
        if "aFieldOfTomorrow" in record:
            raise FutureField
        return super().event(stream, record)


class ShowsItsToken(LaunchDarkly):
    """Prints what it was set up with."""

    def __repr__(self) -> str:
        return f"ShowsItsToken({self.token.get_secret_value()})"


READING = ("test_reads_every_page_to_the_end", "test_honours_windows_and_covers_them_whole")
CLAIMING = ("test_claims_only_what_it_has_shown",)
FAILING = ("test_each_failure_raises_its_named_error",)
CRASHING = ("test_a_crash_between_pages_loses_nothing",)
MISTAKES: tuple[tuple[type[LaunchDarkly], tuple[str, ...]], ...] = (
    (SkipsTies, ("test_reads_every_page_to_the_end", *CLAIMING, *CRASHING)),
    (StopsAfterOnePage, READING),
    (ClaimsEverythingAtOnce, CLAIMING),
    (TakesAnErrorForAnEmptyList, FAILING),
    (ReadsTooMuch, READING),
    (ForgetsAStream, ("test_lists_every_stream_once",)),
    (InventsADate, ("test_an_answer_without_a_date_has_none",)),
    (RoundsTimes, ("test_events_carry_the_vendors_id_and_time",)),
    (ChangesTheRecord, ("test_translation_is_pure",)),
    (RefusesWhatItDoesNotKnow, ("test_translation_refuses_no_record",)),
    (ShowsItsToken, ("test_secrets_stay_hidden",)),
)
CAUGHT = [
    pytest.param(kind, test, id=f"{kind.__name__}-{test.removeprefix('test_')}")
    for kind, tests in MISTAKES
    for test in tests
]
USED = sorted({test for _, tests in MISTAKES for test in tests})


Run = Callable[..., None]
FAILED = (AssertionError, pytest.fail.Exception)  # the latter: nothing was raised that had to be


class Suite(ConnectorSuite):
    """The suite of LaunchDarkly, not collected: its tests are called one by one."""

    __test__ = False
    simulator = LaunchDarklySimulator


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a function that runs one test of the suite with a connector, as pytest would."""

    def once(kind: type[Connector], test: str, *, ties: bool = True) -> None:
        with LaunchDarklySimulator() as vendor:
            if ties:
                vendor.fill(Suite.records, DAYS, seed=11)
            else:
                for number in range(100):
                    vendor.add(vendor.clock.ms() - number * 60_000 - 1)
            connector = kind(**vendor.settings())
            with connector.connect() as api:
                api.attempts = 1
                fixtures = {"vendor": vendor, "connector": connector, "api": api, "tmp_path": tmp_path}
                fixtures |= {"failure": "503", "after": 1}
                method = getattr(Suite(), test)
                method(**{name: fixtures[name] for name in inspect.signature(method).parameters})

    return once


@pytest.mark.parametrize(("kind", "test"), CAUGHT)
def test_the_suite_catches(kind: type[Connector], test: str, run: Run) -> None:
    with pytest.raises((*FAILED, FutureField)):
        run(kind, test)


@pytest.mark.parametrize("test", USED)
def test_the_suite_is_content_with_the_real_connector(test: str, run: Run) -> None:
    run(Honest, test)


def test_the_suite_catches_a_connector_that_is_not_installed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    test = "test_is_installed_under_its_vendor_name"
    run(LaunchDarkly, test)
    with pytest.raises(FAILED):
        run(Honest, test)
    monkeypatch.setattr(contract, "GROUP", "flagtrail.none")
    with pytest.raises(KeyError):
        run(LaunchDarkly, test)


def test_the_suite_catches_a_connector_that_follows_a_link_to_another_host(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = "test_the_credential_never_leaves_its_host"
    run(LaunchDarkly, test)
    real = Line.send

    def following(line: Line, request: httpx.Request) -> httpx.Response:
        response = real(line, request)
        if not response.is_redirect:
            return response
        response.close()
        return real(line, httpx.Request("GET", response.headers["location"], headers=request.headers))

    monkeypatch.setattr(Line, "send", following)
    with pytest.raises((*FAILED, SourceError)):
        run(LaunchDarkly, test)


@pytest.mark.parametrize("test", ["test_reads_every_page_to_the_end", *CLAIMING])
def test_skipping_ties_does_no_harm_where_there_are_none(test: str, run: Run) -> None:
    """So it is the ties that the suite catches it by."""
    run(SkipsTies, test, ties=False)


def test_the_history_of_the_suite_has_ties_across_the_edge_of_a_page() -> None:
    """Without them a connector that skips ties would pass."""
    simulator = LaunchDarklySimulator()
    simulator.fill(Suite.records, DAYS, seed=11)
    times = sorted(simulator.truth()[audit_log.STREAM].values(), reverse=True)
    assert [edge for edge in range(20, len(times), 20) if times[edge - 1] == times[edge]]
