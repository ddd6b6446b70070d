"""Plays a vendor's recorded answers, and records them anew from a simulator when asked to.

The cassettes in this repository come from the simulators, not from the vendors: none of them could be reached. They
hold the answers still, so that a change in what a connector asks or understands shows. With `FLAGTRAIL_RECORD=1` they
are recorded anew.

    class TestAcmeOnTape(CassetteSuite):
        simulator = AcmeSimulator
        connector = Acme(token=SecretStr("made-up"))
        tape = Path(__file__).parent / "cassettes" / "a_month.yaml"
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import vcr
import yaml
from sqlalchemy import func, select

from flagtrail.connector import Connector
from flagtrail.schema import EVENT
from flagtrail.source import Source
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.testing.simulator import Simulator
from flagtrail.window import Window, to_ms

VARIABLE = "FLAGTRAIL_RECORD"
HIDDEN = {"authorization": "hidden", "cookie": "hidden", "host": None}  # None: left out
NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)  # the vendor's time on tape
MONTH = Window(NOW - timedelta(days=31), NOW)


class CassetteSuite:
    """A month of a vendor's answers on tape is still read whole. `connector` has made-up credentials."""

    simulator: ClassVar[type[Simulator]]
    connector: ClassVar[Connector]
    tape: ClassVar[Path]
    records: ClassVar[int] = 150

    def test_a_month_on_tape_is_read_whole(self, tmp_path: Path) -> None:
        """Every record of the main log is in the table, and the month is covered up to what had settled."""
        with (
            played(self.tape, self.connector, self.simulator(), self.records) as reader,
            Store(f"sqlite:///{tmp_path / 'trail.db'}") as store,
            Session(Source("tape", reader, parallel=1), store) as session,
        ):
            report = session.fill(MONTH)
            assert report.errors == []
            with store.engine.connect() as connection:
                main = EVENT.c.stream.like("audit_log%")
                stored = connection.execute(select(func.count()).where(main)).scalar()
                newest = connection.execute(select(func.max(EVENT.c.occurred_at))).scalar()
            coverage = [store.coverage("tape", stream) for stream in report.streams]
        assert stored == self.records
        assert newest is not None
        assert MONTH.since < newest < NOW
        settled = NOW - timedelta(minutes=15)
        assert all(len(windows) == 1 and windows[0].since == MONTH.since for windows in coverage)
        assert all(settled - timedelta(minutes=1) < windows[0].until <= NOW for windows in coverage)

    def test_the_tape_holds_several_pages_and_no_credential(self) -> None:
        """It is worth playing, names the vendor's real address, and can be published."""
        asked = [interaction["request"] for interaction in _load(self.tape)["interactions"]]
        assert len([request for request in asked if "auditlog" in request["uri"]]) > 3
        assert all(request["headers"]["authorization"] == ["hidden"] for request in asked)
        assert all(request["uri"].startswith(self.connector.base_url + "/") for request in asked)


@contextmanager
def played(path: Path, connector: Connector, simulator: Simulator, records: int) -> Iterator[Connector]:
    """Yield a connector whose requests are answered from a cassette; one that was never recorded is an error."""
    recording = os.environ.get(VARIABLE) == "1"
    vendor = urlsplit(connector.base_url)
    if recording:
        path.unlink(missing_ok=True)
        simulator.clock.advance((to_ms(NOW) - simulator.clock.ms()) / 1000)
        simulator.fill(records, 30.0, seed=42)
        simulator.start()

    def at_the_vendor(request: Any) -> Any:
        request.uri = urlsplit(request.uri)._replace(scheme=vendor.scheme, netloc=vendor.netloc).geturl()
        return request

    recorder = vcr.VCR(
        record_mode="once" if recording else "none",
        match_on=["method", "path", "query", "body"],
        filter_headers=list(HIDDEN.items()),
        before_record_request=at_the_vendor,
    )
    with recorder.use_cassette(str(path)):
        try:
            yield simulator.connect() if recording else connector
        finally:
            simulator.stop()


def _load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))
