"""What several unit tests share: events, a config that is written, and another zone."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from flagtrail.event import Event
from tests.unit.configs import SECRET, Write

# The same examples in every run, and no clock that decides: a failure here is never chance.
settings.register_profile("unit", derandomize=True, deadline=None, database=None)
settings.load_profile("unit")

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def change() -> Callable[..., Event]:
    """Return a maker of events: what matters is named, the rest is ordinary."""

    def made(vendor_id: str, at: datetime = NOON, **values: Any) -> Event:
        return Event(vendor_id=vendor_id, occurred_at=at, **{"action": "updated", "vendor_action": "update", **values})

    return made


@pytest.fixture
def machine_in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Return a writer of the config; the environment holds a token."""
    monkeypatch.setenv("TOKEN", SECRET)
    monkeypatch.delenv("NOTHING", raising=False)

    def written(text: str) -> Path:
        path = tmp_path / "flagtrail.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return written
