"""What several integration tests share."""

import pytest

from flagtrail import gather, search, walk


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everything that happens with many events happen with a few."""
    monkeypatch.setattr(gather, "AT_ONCE", 9)
    monkeypatch.setattr(walk, "STEPS", 2)
    monkeypatch.setattr(walk, "SPANS", (5, 20))
    monkeypatch.setattr(walk, "FEW", 2)
    monkeypatch.setattr(search, "WORTH", 4)
