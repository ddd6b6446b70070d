"""Plays a vendor's recorded answers, and records them anew from a simulator when asked to.

The cassettes in this repository come from the simulators, not from the vendors: none of them could be reached. They
hold the answers still, so that a change in what a connector asks or understands shows. With `FLAGTRAIL_RECORD=1` they
are recorded anew.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import vcr

from flagtrail.connector import Connector
from flagtrail.testing.simulator import Simulator
from flagtrail.window import to_ms

VARIABLE = "FLAGTRAIL_RECORD"
HIDDEN = {"authorization": "hidden", "cookie": "hidden", "host": None}  # None: left out


@contextmanager
def played(path: Path, connector: Connector, simulator: Simulator, now: datetime, records: int) -> Iterator[Connector]:
    """Yield a connector whose requests are answered from a cassette; one that was never recorded is an error.

    `connector` is set up for the real vendor with made-up credentials. `simulator`, with `records` entries before
    `now`, is what a recording is made from.
    """
    recording = os.environ.get(VARIABLE) == "1"
    host = urlsplit(connector.base_url)
    if recording:
        path.unlink(missing_ok=True)
        simulator.clock.advance((to_ms(now) - simulator.clock.ms()) / 1000)
        simulator.fill(records, 30.0, seed=42)
        simulator.start()

    def at_the_vendor(request: Any) -> Any:
        asked = urlsplit(request.uri)
        request.uri = asked._replace(scheme=host.scheme, netloc=host.netloc).geturl()
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
