"""What a config means: its values, its defaults, and where it lies."""

import ast
import inspect
import os
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from flagtrail.cli import reading
from flagtrail.cli.reloading import Reloading
from flagtrail.config import Config, SourceSettings, StoreSettings, config_path, lake_path, load, store_url
from flagtrail.errors import ConfigError
from flagtrail.example import EXAMPLE
from flagtrail.people import Person
from flagtrail.store import Store
from flagtrail.sync import Session
from tests.unit.configs import SECRET, Write, mistakes, source


@pytest.mark.parametrize(
    ("written", "start"),
    [
        ('"2025-01-01"', datetime(2025, 1, 1, tzinfo=UTC)),
        ("2025-01-01", datetime(2025, 1, 1, tzinfo=UTC)),
        ("2025-01-01T08:30:00", datetime(2025, 1, 1, 8, 30, tzinfo=UTC)),
        ("2025-01-01T08:30:00+02:00", datetime(2025, 1, 1, 6, 30, tzinfo=UTC)),
        ("2025-01-01 08:30:00Z", datetime(2025, 1, 1, 8, 30, tzinfo=UTC)),
        ('"90d"', timedelta(days=90)),
        ('"1d12h"', timedelta(hours=36)),
    ],
)
def test_a_start_is_a_date_an_instant_or_a_span_as_toml_or_as_text(
    write: Write, written: str, start: datetime | timedelta
) -> None:
    (built,) = load(write(source(f"start = {written}"))).sources()
    assert built.start == start


@pytest.mark.parametrize(("written", "share"), [("0.35", 0.35), ("0", 0.0), ('"35%"', 0.35), ('"90 %"', 0.9)])
def test_a_reserve_is_a_share_or_a_percentage_and_reaches_the_limits(
    write: Write, tmp_path: Path, written: str, share: float
) -> None:
    (built,) = load(write(source(f"reserve = {written}"))).sources()
    with Store(f"sqlite:///{tmp_path / 'trail.db'}") as store, Session(built, store) as session:
        assert session.api._limiter.reserve == pytest.approx(share)


def test_sources_with_the_same_credential_share_its_limits(write: Write, tmp_path: Path) -> None:
    (built,) = load(write(source())).sources()
    other = replace(built, name="other", reserve=0.5)
    limiters: dict[Any, Any] = {}
    with Store(f"sqlite:///{tmp_path / 'trail.db'}") as store:
        one, two = Session(built, store, limiters=limiters), Session(other, store, limiters=limiters)
        assert one.api._limiter is two.api._limiter
        assert one.api._limiter.reserve == 0.5
        elsewhere = replace(built, connector=built.connector.model_copy(update={"base_url": "https://vendor.example"}))
        assert Session(elsewhere, store, limiters=limiters).api._limiter is not one.api._limiter


def test_what_is_not_set_has_its_default(write: Write) -> None:
    (built,) = load(write(source())).sources()
    assert (built.start, built.every) == (timedelta(days=365), timedelta(minutes=1))
    assert (built.settle, built.parallel) == (timedelta(minutes=15), 16)


def test_a_relative_database_lies_beside_the_config_wherever_we_are(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    path = write(source() + '[store]\nurl = "sqlite:///data/trail.db"')
    monkeypatch.chdir(elsewhere)
    for given in (path, Path(os.path.relpath(path))):
        database = store_url(load(given), given).removeprefix("sqlite:///")
        assert Path(database).is_absolute()
        assert Path(database).resolve() == tmp_path / "data" / "trail.db"


@pytest.mark.parametrize("url", ["sqlite:////var/lib/trail.db", "postgresql://host/name"])
def test_any_other_database_is_left_as_it_is(write: Write, url: str) -> None:
    path = write(source() + f'[store]\nurl = "{url}"')
    assert store_url(load(path), path) == url


def test_the_config_is_the_one_given_then_the_one_named_in_the_environment_then_the_one_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FLAGTRAIL_CONFIG", raising=False)
    assert config_path(None) == Path("flagtrail.toml")
    monkeypatch.setenv("FLAGTRAIL_CONFIG", "/etc/flagtrail.toml")
    assert config_path(None) == Path("/etc/flagtrail.toml")
    assert config_path(tmp_path) == tmp_path


def test_the_example_is_a_config_that_only_lacks_its_secrets(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("LAUNCHDARKLY_TOKEN", "CONFIGCAT_USER", "CONFIGCAT_PASS")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    path = write(EXAMPLE)
    assert [line.rsplit(": ", 1)[1] for line in mistakes(path)] == [
        f"environment variable {name} is not set or empty" for name in names
    ]
    for name in names:
        monkeypatch.setenv(name, SECRET)
    assert [built.name for built in load(path).sources()] == ["acme-launchdarkly", "acme-configcat"]


def test_the_example_file_is_what_init_writes() -> None:
    file = Path(__file__).parents[2] / "config" / "flagtrail.example.toml"
    assert file.read_text(encoding="utf-8") == EXAMPLE


def test_every_setting_is_described() -> None:
    for model in (StoreSettings, SourceSettings):
        [kind] = ast.parse(inspect.getsource(model)).body
        assert isinstance(kind, ast.ClassDef)
        told = {ast.unparse(line.target) for line, next_ in pairwise(kind.body)
                if isinstance(line, ast.AnnAssign) and isinstance(next_, ast.Expr)}  # fmt: skip
        assert set(model.model_fields) - told == set()


def test_workers_need_postgresql_their_engine_and_procrastinate(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = '[engine]\nkind = "procrastinate"\n'
    [told] = mistakes(write(engine + source()))
    assert told.endswith('needs [store] on PostgreSQL; write url = "postgresql://host/name", or kind = "threads"')
    postgresql = '[store]\nurl = "postgresql://host/name"\n'
    config = write(engine + postgresql + source())
    assert load(config).engine.concurrency == 8
    monkeypatch.setattr("flagtrail.cli.reading.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=re.escape("pip install 'flagtrail[workers]'")):
        reading.worker(config, None, None)
    with pytest.raises(ConfigError, match="is no address"):
        reading.worker(config, None, "8422")
    with pytest.raises(ConfigError, match='a worker needs "procrastinate"; `flagtrail run` does without'):
        reading.worker(write(postgresql + source()), None, None)
    [told] = mistakes(write(engine + postgresql + source() + "[engine2]\n"))
    assert "did you mean 'engine'" in told


def test_a_worker_reads_and_leaves_the_rest_to_others(
    write: Write, monkeypatch: pytest.MonkeyPatch, logged: list[Any]
) -> None:
    head = '[store]\nurl = "postgresql://host/name"\n[engine]\nkind = "procrastinate"\n[lake]\npath = "lake"\n'
    sink = '[[sink]]\nname = "chat"\nkind = "webhook"\nurl = "https://chat.example/hook"\n'
    config = write(head + source() + sink)
    begun: list[tuple[Config, Config]] = []
    monkeypatch.setattr(reading, "_daemon", lambda settings, *_, written: begun.append((settings, written)))
    reading.worker(config, None, None)
    [(settings, written)] = begun
    assert not settings.serve.enabled
    assert settings.sink == []
    assert lake_path(settings, config) is None
    assert Reloading(written, config, None).reread()
    assert not logged, "what it leaves to others needs no restart"


def test_the_config_tells_who_is_who(write: Write) -> None:
    person = '[[person]]\nemail = "Ana@acme.example"\nname = "Ana"\nalso = ["ana@old.example"]\n'
    people = load(write(source() + person)).people()
    assert people.identities("ana@OLD.example") == ("Ana@acme.example", "ana@old.example", "Ana")
    row = {"vendor": "v", "actor_kind": "member", "actor_id": "1", "actor_name": "A", "actor_email": "ana@old.example"}
    assert people.person(row) == Person("ana@acme.example", "Ana")
    assert load(write(source())).people().identities("ana@OLD.example") == ("ana@OLD.example",)
