"""The command line starts quickly: it imports only what a command needs. `python -m benchmarks.startup` measures it."""

import subprocess
import sys
from pathlib import Path

import pytest

from flagtrail.store import Store

VENDORS = {"httpx", "tenacity", "flagtrail.api", "flagtrail_launchdarkly", "flagtrail_configcat"}
WORK = {
    "alembic",
    "deltalake",
    "duckdb",
    "pyarrow",
    "apscheduler",
    "psycopg",
    "structlog",
    "mcp",
    "flagtrail.sync",
    "flagtrail.testing",
}
TABLE = {"sqlalchemy", "sqlmodel", "flagtrail.store", "flagtrail.config"}
PROGRAM = """
import atexit, gc, sys
from flagtrail.cli import main
atexit.register(lambda: print("\\nimported:", gc.isenabled(), *sys.modules))
main()
"""


def imported_by(folder: Path, *words: str) -> tuple[bool, set[str]]:
    """Return whether a command collects garbage in the end, and every module that it has imported."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], cwd=folder, capture_output=True, text=True, timeout=60, check=True
    )
    collects, *names = done.stdout.rpartition("imported: ")[2].split()
    return collects == "True", set(names)


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["sync", "--help"]], ids=" ".join)
def test_help_imports_nothing_of_the_work(tmp_path: Path, words: list[str]) -> None:
    _, names = imported_by(tmp_path, *words)
    assert names & (VENDORS | WORK | TABLE) == set()


def test_asking_the_table_imports_nothing_that_reads_vendors(tmp_path: Path) -> None:
    (tmp_path / "flagtrail.toml").write_text('[[source]]\nname = "acme"\nconnector = "launchdarkly"\n')
    with Store(f"sqlite:///{tmp_path / 'flagtrail.db'}"):
        pass
    collects, names = imported_by(tmp_path, "events", "--limit", "1")
    assert "flagtrail.store" in names
    assert names & (VENDORS | WORK) == set()
    assert collects, "garbage is collected again once everything is imported"
