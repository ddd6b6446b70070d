"""Engines and an object store that `make engines` installs: each reads the lake as docs/lake.md says."""

import importlib.util
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from flagtrail.errors import LakeError
from flagtrail.lake.asking import Asking
from flagtrail.lake.comparing import compare
from flagtrail.lake.events import month_of
from flagtrail.lake.keeping import Keeper
from flagtrail.lake.opening import open_lake
from flagtrail.lake.settings import LakeSettings
from flagtrail.query import Query, events
from flagtrail.store import Store
from tests.integration.mess import Mess, question

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


SERVER = """
import socket, sys
from moto.server import ThreadedMotoServer
import boto3
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
server.start()
url = "http://%s:%s" % server.get_host_and_port()
names = {"endpoint_url": url, "region_name": "us-east-1", "aws_access_key_id": "made", "aws_secret_access_key": "up"}
boto3.client("s3", **names).create_bucket(Bucket="trail")
print("at", url, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def s3() -> Iterator[str]:
    """The URL of a server that speaks S3's protocol; a process of its own, as the library waits with Python's lock."""
    if importlib.util.find_spec("moto") is None:
        pytest.skip("moto is not installed: `make engines` does it")
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        yield next((line.removeprefix("at ").strip() for line in server.stdout if line.startswith("at ")), "")
        server.kill()


def test_an_object_store_holds_a_lake_too(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert s3.startswith("http://"), "the server did not start"
    monkeypatch.setenv("LAKE_SECRET", "up-and-secret")
    options = {"aws_region": "us-east-1", "aws_endpoint_url": s3, "aws_allow_http": "true",
               "aws_access_key_id": "made", "aws_secret_access_key": {"env": "LAKE_SECRET"}}  # fmt: skip
    settings = LakeSettings(options=options, compact=3, vacuum=timedelta(0))
    with Store(f"sqlite:///{tmp_path / 'trail.db'}") as store:
        mess, made = Mess(store, 12), open_lake("s3://trail/flagtrail", settings)
        for _ in range(4):
            for _ in range(10):
                mess.write()
                mess.behind()
            Keeper(store, made, settings).follow()
        assert compare(Keeper(store, made, settings)).differences == []
        with Asking(made) as asking:
            for _ in range(20):
                query = question(mess.made)
                assert list(asking.events(query)) == list(events(store, query)), query
    with pytest.raises(LakeError, match="NoSuchBucket") as raised:
        open_lake("s3://other/flagtrail", settings).events.version()
    assert "up-and-secret" not in str(raised.value)
