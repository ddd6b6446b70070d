"""The API keeps what its OpenAPI document says, whatever is asked: Schemathesis makes the questions up.

Two of its checks are left out. A question may be of the right form and still be none, such as one whose `since` is not
before its `until`; and in an address a number is a text, and a text is a list of one, which it takes for wrong.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import sampled_from
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from flagtrail.store import Store
from flagtrail.tokens import create
from tests.serving import fill, served

EXAMPLES = 12  # of each address, of what it understands, and as many of what it does not
# What the document can only give a name.
for name, values in {
    "moment": [
        "now",
        "2h",
        "400d",
        "2026-03-01",
        "2026-03-01T10:00Z",
        "2026-03-02T10:00:00.123+05:30",
        "0001-01-01",
        "9999-12-31T23:59Z",
    ],
    "span": ["1s", "15m", "1h", "1d", "36h", "7d", "366d"],
    "cursor": ["MTc3MjMyMzIwMDAwMC41", "MC4w", "LTEuMQ", "OTk5OTk5OTk5OTk5OTk5OS4x"],
    "question": [
        "",
        "environment:production",
        '-actor:ada "turned the" since:2026-03-01',
        "impact:>5% sort:oldest linked:yes",
    ],
    "impact": [">5%", "<=20%", "5%..20%", "large", "none"],
    "zone": ["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns"],
    "position": ["YWZ0ZXIgMA", "YWZ0ZXIgLTE"],
}.items():
    schemathesis.openapi.format(name, sampled_from(values))
NOT_TOLD = [positive_data_acceptance, negative_data_rejection]
PATHS = ("events", "events/{id}", "export", "histogram", "count", "streams", "around", "state", "live")
TRIED = [(path, mode) for path in PATHS for mode in GenerationMode]
TRIED.remove(("live", GenerationMode.POSITIVE))  # which has no end


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def asked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Give the schema of an API that asks for tokens, and one."""
    path: Path = tmp_path_factory.mktemp("contract") / "trail.db"
    url = f"sqlite:///{path}" if request.param == "sqlite" else request.getfixturevalue("postgres")()
    with Store(url) as store:
        fill(store)
        token = create(store, "schemathesis", ["read", "export"])
    with served(url, tokens=True) as api:
        yield schemathesis.openapi.from_url(f"{api.base_url}/api/openapi.json"), token


@pytest.mark.parametrize(("path", "mode"), TRIED)
def test_it_is_as_the_document_says(asked: Any, path: str, mode: GenerationMode) -> None:
    schema, token = asked

    @settings(
        max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(case=schema[f"/api/v1/{path}"]["GET"].as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        answer = case.call(headers={"Authorization": f"Bearer {token}"})
        if answer.status_code != 414:  # which is not among those that Schemathesis takes for a refusal
            case.validate_response(answer, excluded_checks=NOT_TOLD)

    ask()


def test_every_address_is_tried(asked: Any) -> None:
    assert set(PATHS) == {path.removeprefix("/api/v1/") for path in asked[0]}
