"""The conformance suite: what every connector must do, proven against its simulator over real HTTP.

A connector's tests inherit it:

    class TestAcme(ConnectorSuite):
        simulator = AcmeSimulator
"""

import contextlib
import copy
import json
import random
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from flagtrail.api import Api
from flagtrail.connector import Connector, Hole, Page, Stream, installed
from flagtrail.errors import AccessDenied, RateLimited, SourceError, Unavailable, UnexpectedResponse
from flagtrail.event import Record
from flagtrail.source import Source
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.testing import faults
from flagtrail.testing.reading import DAYS, history, newest, read, samples, store_some_pages
from flagtrail.testing.simulator import Fault, Simulator
from flagtrail.window import Window, to_ms

ALWAYS = 10_000  # times that a lasting fault is played

FAILURES: dict[str, tuple[Fault, type[SourceError]]] = {
    "400": (faults.status(400, {"message": "no"}), UnexpectedResponse),
    "401": (faults.status(401), AccessDenied),
    "403": (faults.status(403, {"message": "This is not for you"}), AccessDenied),
    "404": (faults.status(404), AccessDenied),
    "410": (faults.status(410), UnexpectedResponse),
    "429": (faults.status(429, None, {"retry-after": "3"}), RateLimited),
    "500": (faults.status(500, b"oops", {"content-type": "text/plain"}), Unavailable),
    "503": (faults.status(503), Unavailable),
    "a web page with status 200": (faults.html(), UnexpectedResponse),
    "an empty body with status 200": (faults.body(b""), Unavailable),
    "an empty object": (faults.body({}), UnexpectedResponse),
    "null": (faults.body(b"null"), UnexpectedResponse),
    "a list of nothing known": (faults.body([1, 2]), UnexpectedResponse),
    "lists that are null": (faults.body({"items": None, "data": None, "paging": None}), UnexpectedResponse),
    "a body cut off": (faults.cut(40), Unavailable),
    "half a JSON": (faults.shortened(40), Unavailable),
    "a reset connection": (faults.reset(), Unavailable),
    "a redirect to another host": (faults.redirect("http://127.0.0.1:1/v2/organizations"), UnexpectedResponse),
}
ODD: list[Any] = [None, "", 0, -1, True, [], {}, [None], {"a": None}, "\0", "x" * 5000]


class ConnectorSuite:
    """What a connector promises, as tests. `simulator` is its simulator; `records` is how long a history is tried."""

    simulator: ClassVar[type[Simulator]]
    records: ClassVar[int] = 600

    @pytest.fixture
    def vendor(self) -> Iterator[Simulator]:
        """The vendor with a history."""
        with self.simulator() as simulator:
            simulator.fill(self.records, DAYS, seed=11)
            yield simulator

    @pytest.fixture
    def connector(self, vendor: Simulator) -> Connector:
        """The connector, set up for the vendor."""
        return vendor.connect()

    @pytest.fixture
    def api(self, connector: Connector) -> Iterator[Api]:
        """The vendor's API; what fails is not tried again."""
        with connector.connect() as api:
            api.attempts = 1
            yield api

    def test_is_installed_under_its_vendor_name(self, connector: Connector) -> None:
        """The entry point leads to it."""
        assert installed()[connector.vendor] is type(connector)

    def test_lists_every_stream_once(self, vendor: Simulator, connector: Connector, api: Api) -> None:
        """No stream of the vendor is missing, none is named twice."""
        names = [stream.name for stream in connector.streams(api)]
        assert len(names) == len(set(names))
        assert set(names) == set(vendor.truth())

    def test_reads_every_page_to_the_end(self, vendor: Simulator, connector: Connector, api: Api) -> None:
        """Everything is read, and it took more than one page."""
        for stream in connector.streams(api):
            pages, ids = read(connector, api, stream, history(vendor))
            truth = vendor.truth()[stream.name]
            assert ids.keys() == truth.keys(), stream.name
            assert len(truth) <= stream.page or pages > 1

    def test_honours_windows_and_covers_them_whole(self, vendor: Simulator, connector: Connector, api: Api) -> None:
        """Any cutting of time gives the same entries, and each window is covered exactly, holes included."""
        rng = random.Random(5)
        whole = history(vendor)
        for stream in list(connector.streams(api))[:3]:
            cuts = sorted({rng.randint(whole.since_ms + 1, whole.until_ms - 1) for _ in range(7)})
            edges = [whole.since_ms, *cuts, whole.until_ms]
            found: set[str] = set()
            for since, until in pairwise(edges):
                found |= read(connector, api, stream, Window.of_ms(since, until))[1].keys()
            assert found == vendor.truth()[stream.name].keys()

    def test_claims_only_what_it_has_shown(self, vendor: Simulator, connector: Connector, api: Api) -> None:
        """At every moment, all entries inside what the pages cover so far were on the pages so far."""
        for stream in connector.streams(api):
            truth = vendor.truth()[stream.name]
            seen: set[str] = set()
            for window in reversed(history(vendor).pieces(stream.span or timedelta(days=1000))):
                for page in connector.pages(api, stream, window):
                    seen |= {connector.event(stream, record).vendor_id for record in page.records}
                    claimed = page.covers if isinstance(page, Page) else None
                    if claimed is not None:
                        inside = {id for id, ms in truth.items() if claimed.since_ms <= ms < claimed.until_ms}
                        assert inside <= seen, f"{stream.name}: {claimed} was claimed with {len(inside - seen)} missing"

    def test_events_carry_the_vendors_id_and_time(self, vendor: Simulator, connector: Connector, api: Api) -> None:
        """Ids are unique in a stream, and the time is the vendor's own."""
        for stream in connector.streams(api):
            _, events = read(connector, api, stream, history(vendor))
            assert {id: to_ms(event.occurred_at) for id, event in events.items()} == vendor.truth()[stream.name]

    def test_translation_is_pure(self, vendor: Simulator, connector: Connector, api: Api) -> None:
        """The same record gives the same event, and is left as it was."""
        for stream, record in samples(vendor, connector, api):
            before = copy.deepcopy(record)
            first = connector.event(stream, record)
            assert record == before
            assert connector.event(stream, json.loads(json.dumps(record))) == first

    def test_translation_refuses_no_record(self, vendor: Simulator, connector: Connector, api: Api) -> None:
        """Odd, missing and unknown fields never raise anything, but for an entry without a usable id or time."""
        for stream, record in samples(vendor, connector, api):
            assert connector.event(stream, record | {"aFieldOfTomorrow": {"deep": [1]}}).vendor_id
            for key in record:
                for odd in [*ODD, ...]:
                    mangled = {k: v for k, v in record.items() if k != key or odd is not ...}
                    if odd is not ...:
                        mangled[key] = odd
                    try:
                        connector.event(stream, mangled)
                    except UnexpectedResponse:
                        _is_its_id_or_time(connector, stream, record, key)

    @pytest.mark.parametrize("after", [0, 1, 2, 5])
    def test_a_crash_between_pages_loses_nothing(
        self, vendor: Simulator, connector: Connector, api: Api, tmp_path: Path, after: int
    ) -> None:
        """Whatever page a run dies after, the next one completes the table, each entry once."""
        source = Source("suite", connector, start=timedelta(days=DAYS + 1))
        with Store(f"sqlite:///{tmp_path / 'trail.db'}") as store:
            for stream in connector.streams(api):
                store_some_pages(store, source, api, stream, history(vendor), after)
            with Session(source, store) as session:
                assert session.fill().errors == []
                again = session.fill()
            assert again.new == 0
            assert again.requests <= 2 * len(again.streams) + 3
            _assert_holds(store, vendor)

    @pytest.mark.parametrize("failure", FAILURES)
    def test_each_failure_raises_its_named_error(
        self, vendor: Simulator, connector: Connector, api: Api, failure: str
    ) -> None:
        """A failure is never taken for an empty list, whatever it looks like."""
        fault, error = FAILURES[failure]
        one_of_each = {stream.name.partition("[")[0]: stream for stream in connector.streams(api)}
        for stream in one_of_each.values():
            vendor.inject(fault, times=ALWAYS)
            pages: list[Page | Hole] = []
            with pytest.raises(error) as raised:
                pages.extend(connector.pages(api, stream, newest(vendor, stream)))
            vendor.heal()
            assert not pages
            assert "\n" not in str(raised.value)

    def test_what_passes_is_tried_again(self, vendor: Simulator, connector: Connector) -> None:
        """Two failures in a row cost time, and nothing else."""
        with connector.connect() as api:
            stream = next(iter(connector.streams(api)))
            vendor.inject(faults.status(503), times=1)
            vendor.inject(faults.cut(30), times=1)
            _, ids = read(connector, api, stream, newest(vendor, stream))
            assert ids

    def test_an_answer_without_a_date_has_none(self, vendor: Simulator, connector: Connector, api: Api) -> None:
        """Pages carry the vendor's own time, and never another one."""
        stream = next(iter(connector.streams(api)))
        dates = [page.date for page in connector.pages(api, stream, newest(vendor, stream)) if isinstance(page, Page)]
        assert dates
        assert all(date is not None for date in dates)
        vendor.inject(faults.without_date(), times=ALWAYS)
        dates = [page.date for page in connector.pages(api, stream, newest(vendor, stream)) if isinstance(page, Page)]
        assert dates
        assert all(date is None for date in dates)

    def test_secrets_stay_hidden(self, vendor: Simulator, connector: Connector, api: Api) -> None:
        """No secret is in a connector's text, nor in an error, even when the vendor echoes it."""
        secrets = [v.get_secret_value() for v in vendor.settings().values() if isinstance(v, SecretStr)]
        assert secrets
        stream = next(iter(connector.streams(api)))
        vendor.inject(faults.status(401, {"message": "bad credential: " + " ".join(secrets)}), times=ALWAYS)
        with pytest.raises(AccessDenied) as raised:
            list(connector.pages(api, stream, newest(vendor, stream)))
        shown = [repr(connector), str(connector), connector.model_dump_json(), str(raised.value), repr(raised.value)]
        assert not [text for text in shown for secret in secrets if secret in text]

    def test_the_credential_never_leaves_its_host(self, vendor: Simulator, connector: Connector, api: Api) -> None:
        """A redirect and a link to another host are not followed."""
        stream = next(iter(connector.streams(api)))
        with self.simulator() as thief:
            vendor.inject(faults.redirect(f"{thief.url}/v2/organizations/x/auditlogs"), times=1)
            with pytest.raises(UnexpectedResponse):
                list(connector.pages(api, stream, newest(vendor, stream)))
            vendor.inject(faults.edited(lambda body: _with_links(body, thief.url)), times=ALWAYS)
            with contextlib.suppress(SourceError):
                list(connector.pages(api, stream, newest(vendor, stream)))
            assert thief.requests == []


def _is_its_id_or_time(connector: Connector, stream: Stream, record: Record, key: str) -> None:
    """Check that a refused record was refused for its id or time: its value is what the event carries."""
    event = connector.event(stream, record)
    values = {event.vendor_id, str(to_ms(event.occurred_at)), event.occurred_at.isoformat()[:19]}
    assert any(str(record[key]).startswith(value) for value in values), f"a record was refused for its {key!r}"


def _assert_holds(store: Store, vendor: Simulator) -> None:
    """Check that the table holds what the vendor shows, each entry once."""
    with store.engine.connect() as connection:
        rows = connection.execute(text("SELECT stream, vendor_id FROM event")).all()
    held = [(row.stream, row.vendor_id) for row in rows]
    assert len(held) == len(set(held)), "an entry is stored twice"
    assert set(held) == {(stream, id) for stream, ids in vendor.truth().items() for id in ids}


def _with_links(body: Any, url: str) -> Any:
    """Return an answer whose every link leads to another host."""
    if isinstance(body, dict) and isinstance(body.get("_links"), dict):
        return body | {"_links": {name: {"href": f"{url}/x?after=1&before=2"} for name in ("self", "next")}}
    return body
