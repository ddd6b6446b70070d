"""SQLite finds by its indexes what stands in one of them, and reads no more of it than is asked for."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from flagtrail.query import Query, events
from flagtrail.store import Store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A store of SQLite: what it plans does not depend on what is in it."""
    folder: Path = tmp_path_factory.mktemp("planned")
    with Store(f"sqlite:///{folder / 'trail.db'}") as opened:
        yield opened


def plans(store: Store, query: Query) -> list[str]:
    """Return how SQLite goes about every statement of a question."""
    asked: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        if statement.startswith(("SELECT", "WITH")):
            asked.append((statement, parameters))

    event.listen(store.engine, "before_cursor_execute", note)
    list(events(store, query))
    event.remove(store.engine, "before_cursor_execute", note)
    with store.engine.connect() as connection:
        return [
            row[3] for told in asked for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {told[0]}", told[1])
        ]


@pytest.mark.parametrize("impact", [">5%", "<=10%", "49..50%", "large"])
def test_impacts_are_looked_up_by_their_number(store: Store, impact: str) -> None:
    told = plans(store, Query(impact=impact, limit=50))
    found = [step for step in told if "search_impact" in step]
    assert found
    assert all(step.startswith("SEARCH effect USING INDEX search_impact (<expr>") for step in found), found
