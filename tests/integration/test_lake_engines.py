"""Other engines read the lake as docs/lake.md says, and see what the database holds: `make engines` installs them."""

import importlib.util
import re
import shutil
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from flagtrail.lake.events import month_of
from flagtrail.lake.keeping import Keeper
from flagtrail.lake.opening import open_lake
from flagtrail.lake.settings import LakeSettings
from flagtrail.query import Query, events
from flagtrail.store import Store
from tests.integration.test_finding import Mess

PAGE = (Path(__file__).parents[2] / "docs" / "lake.md").read_text(encoding="utf-8")
Seen = tuple[Path, Counter[tuple[str, str]]]
VERBS = ["turned_on", "turned_off"]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """A folder with a lake that was written several times, and the counts that engines shall see."""
    folder = tmp_path_factory.mktemp("engines")
    settings = LakeSettings(vacuum=timedelta(0), compact=4)
    with Store(f"sqlite:///{folder / 'trail.db'}") as store:
        mess = Mess(store, 11)
        for _ in range(6):
            for _ in range(10):
                mess.write()
                mess.behind()
            Keeper(store, open_lake(str(folder / "lake"), settings), settings).follow()
        found = events(store, Query(action=VERBS, limit=0))
        counts = Counter((month_of(row["occurred_at"]), row["vendor"]) for row in found)
    assert len(counts) == 2
    return folder, counts


def recipe(engine: str) -> str:
    """Return the program of the page about an engine."""
    [part] = re.findall(rf"^## {engine}\n(.*?)(?=^## )", PAGE, re.DOTALL | re.MULTILINE)
    [program] = re.findall(r"^```python\n(.*?)^```", part, re.DOTALL | re.MULTILINE)
    return str(program)


@pytest.mark.parametrize(("engine", "needs"), [("DuckDB", "duckdb"), ("ClickHouse", "chdb"), ("Spark", "pyspark")])
def test_an_engine_sees_what_the_database_holds(lake: Seen, engine: str, needs: str) -> None:
    if importlib.util.find_spec(needs) is None:
        pytest.skip(f"{needs} is not installed: `make engines` does it")
    if needs == "pyspark" and shutil.which("java") is None:
        pytest.skip("Spark needs Java, which is not installed: on Debian, openjdk-17-jre-headless")
    folder, counts = lake
    done = subprocess.run(
        [sys.executable, "-c", recipe(engine)], cwd=folder, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    seen = re.findall(r"(\d{4}-\d\d)\W+([a-z]+)\W+(\d+)\b", done.stdout)
    assert {(month, vendor): int(number) for month, vendor, number in seen} == counts, done.stdout
