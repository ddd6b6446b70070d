"""The benchmark says the truth about what a contender lost; how fast it was is not tested."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import page
from benchmarks.contenders import Contender, named
from benchmarks.measure import result
from benchmarks.tables import write
from benchmarks.vendor import Vendor
from flagtrail.store import Store
from tests.serving import fill

EVENTS = 500
LOSING = """
import sqlite3, sys
sys.path.insert(0, {folder!r})
from with_ours import load
url, token, database = sys.argv[1:]
try:
    load(url, token, database)
except SystemExit:
    pass
rows = sqlite3.connect(database)
rows.execute("DELETE FROM event WHERE vendor_id IN (SELECT vendor_id FROM event LIMIT 3)")
rows.execute("UPDATE event SET vendor_id = 'nobody''s' WHERE vendor_id = (SELECT max(vendor_id) FROM event)")
rows.commit()
"""


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vendor]:
    with Vendor(EVENTS, tmp_path_factory.mktemp("vendor")) as started:
        yield started


@pytest.fixture
def ours() -> Contender:
    (found,) = named("ours")
    return found


def test_counts_what_is_stored_and_lost(vendor: Vendor, ours: Contender, tmp_path: Path) -> None:
    found = result(ours, vendor, 1, 60).medians
    assert found is not None
    assert (found.stored, found.lost, found.foreign) == (EVENTS, 0, 0)
    assert found.requests > EVENTS / 20
    loader = tmp_path / "losing.py"
    loader.write_text(LOSING.format(folder=str(ours.program.parent)), encoding="utf-8")
    found = result(replace(ours, loader=loader), vendor, 1, 60).medians
    assert found is not None
    assert (found.stored, found.lost, found.foreign) == (EVENTS - 4, 4, 1)


def test_a_contender_that_fails_is_said_to_have_failed(vendor: Vendor, ours: Contender, tmp_path: Path) -> None:
    loader = tmp_path / "failing.py"
    loader.write_text("raise SystemExit('no such door')", encoding="utf-8")
    found = result(replace(ours, loader=loader), vendor, 3, 60)
    assert found.medians is None
    assert found.failure == "did not get to the end: no such door"


def test_the_page_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path / 'trail.db'}"
    with Store(url) as store:
        fill(store)
    page.main(["--url", url, "--asked", "2"])
    told = capsys.readouterr().out
    assert [name for name in ("as it opens", "vendor", "30 days, by actor") if name not in told] == []
    (weight,) = re.findall(r"(\d+) KiB are\s+sent", told)
    assert 10 < int(weight) < 60


def test_text_around_the_tables_stays(tmp_path: Path) -> None:
    file = tmp_path / "RESULTS.md"
    file.write_text(
        "# Results\n\nBefore.\n\n<!-- a: written by the benchmark -->\nold\n<!-- /a -->\n\nAfter.\n", "utf-8"
    )
    write("a", "new", file)
    write("b", "more", file)
    text = file.read_text("utf-8")
    assert "old" not in text
    parts = ["Before.", "new", "<!-- /a -->", "After.", "more"]
    assert sorted(parts, key=text.index) == parts
