"""The config: every mistake is one line that names the file, the place and the right form."""

import ast
import inspect
import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from flagtrail.cli import reading
from flagtrail.config import SourceSettings, StoreSettings, config_path, load, store_url
from flagtrail.errors import ConfigError
from flagtrail.example import EXAMPLE
from flagtrail.people import Person
from flagtrail.store import Store
from flagtrail.sync import Session

SECRET = "api-s3cret-0123456789"
SOURCE = '[[source]]\nname = "acme"\nconnector = "launchdarkly"\n'
Write = Callable[[str], Path]


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


def source(*lines: str, token: str = '{ env = "TOKEN" }') -> str:
    return "\n".join([SOURCE.rstrip(), f"token = {token}", *lines, ""])


def mistakes(path: Path) -> list[str]:
    """Return the lines of the error that a config gives, when it is read or when its sources are built."""
    with pytest.raises(ConfigError) as raised:
        load(path).sources()
    assert SECRET not in str(raised.value)
    assert SECRET not in repr(raised.value)
    return str(raised.value).splitlines()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (source("starts = '90d'"), "source 'acme': unknown setting 'starts'; did you mean 'start'?"),
        (source("paralell = 4"), "source 'acme': unknown setting 'paralell'; did you mean 'parallel'?"),
        (source("flag_event = true"), "source 'acme': unknown setting 'flag_event'; did you mean 'flag_events'?"),
        (
            source("colour = 1"),
            (
                "source 'acme': unknown setting 'colour'; known: name, connector, start, every, settle, parallel, "
                "retention, keep, verify, reserve, webhook_secret, base_url, token, flag_events, only, details"
            ),
        ),
        (SOURCE, "source 'acme': the setting 'token' is missing"),
        (
            source(token='{ env = "NOTHING" }'),
            "source 'acme': token: environment variable NOTHING is not set or empty",
        ),
        (
            source(token='{ file = "/no/such/file" }'),
            "source 'acme': token: file /no/such/file cannot be read: No such file or directory",
        ),
        (
            source('base_url = "http://app.launchdarkly.com/x"'),
            (
                "source 'acme': base_url: 'http://app.launchdarkly.com/x' would send the credential unencrypted; "
                "write https://app.launchdarkly.com/x"
            ),
        ),
        (
            source('base_url = "app.launchdarkly.com"'),
            "source 'acme': base_url: 'app.launchdarkly.com' is not a web address; write https://host",
        ),
        (
            source('connector = "x"').replace('connector = "launchdarkly"\n', ""),
            "source 'acme': there is no connector 'x'; installed: configcat, launchdarkly",
        ),
    ],
)
def test_a_mistake_in_a_source_names_the_source_the_setting_and_the_right_form(
    write: Write, text: str, line: str
) -> None:
    assert mistakes(write(text)) == [line]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("stroe = 1", "unknown setting 'stroe'; did you mean 'store'?"),
        ("[[sources]]", "unknown setting 'sources'; did you mean 'source'?"),
        ("[[person]]\nname = 'Ana'", "person 1: the setting 'email' is missing"),
        ("[[person]]\nemail = 'ana'", "person 'ana': email: 'ana' is no e-mail address"),
        (
            "[[person]]\nemail = 'a@x.example'\nalsso = []",
            "person 'a@x.example': unknown setting 'alsso'; did you mean 'also'?",
        ),
        ("[[person]]\nemail = 'a@x.example'\nalso = 'b'", "person 'a@x.example': also: must be a valid list"),
        (
            "[[person]]\nemail = 'a@x.example'\nalso = ['b', ' ']",
            "person 'a@x.example': also.2: must not be empty",
        ),
        ("[person]\nemail = 'a@x.example'", "person: write [[person]] with two brackets before each person"),
        (
            "[[person]]\nemail = 'a@x.example'\nalso = ['B']\n[[person]]\nemail = 'c@x.example'\nname = 'b'",
            "person: 'b' belongs to two persons, a@x.example and c@x.example; leave it with one of them",
        ),
        ("[store]\nurls = 'x'", "unknown setting 'store.urls'; did you mean 'url'?"),
        ("[[source]]\nname = 'a'", "source 'a': the setting 'connector' is missing"),
        (SOURCE + "[[source]]\nconnector = 'configcat'", "source 2: the setting 'name' is missing"),
        (SOURCE + SOURCE, "two sources are called 'acme'; give each a name of its own"),
        (
            source("every = '5 minuets'"),
            "source 'acme': every: '5 minuets' is not a span such as 90d",
        ),
        (source("settle = 15"), "source 'acme': settle: '15' is not a span such as 90d, 12h, 30m or 1d12h"),
        (source("settle = '0s'"), "source 'acme': settle: '0s' is no time at all; write a span such as 90d"),
        (
            source("start = 'yesterday'"),
            (
                "source 'acme': start: 'yesterday' is not a span such as 90d, 12h, 30m or 1d12h (ago), a date such as "
                "2026-03-01, or an instant such as 2026-03-01T14:03Z"
            ),
        ),
        (source("start = 90"), "source 'acme': start: 90 is not a span such as 90d"),
        (source("start = true"), "source 'acme': start: True is not a span such as 90d"),
        (source("start = 12:00:00"), "source 'acme': start: "),
        (source("start = '2999-01-01'"), "source 'acme': start: 2999-01-01 00:00:00+00:00 lies in the future"),
        (source("start = 2999-01-01"), "source 'acme': start: 2999-01-01 lies in the future"),
        (source("start = 2999-01-01T00:00:00Z"), "source 'acme': start: 2999-01-01 00:00:00+00:00 lies in the future"),
        (source("start = '999999d'"), "source 'acme': start: "),  # before the year 1
        (source("start = 0001-01-01T00:00:00+14:00"), "source 'acme': start: "),
        (source("every = '0.5s'"), "source 'acme': every: '0.5s' is not a span"),
        (source("settle = '2d'"), "source 'acme': settle: "),
        (source("every = '1s'", "retention = '1h'"), "source 'acme': retention: must be at least 1d"),
        (source("parallel = 0"), "source 'acme': parallel: must be at least 1"),
        (source("parallel = 33"), "source 'acme': parallel: must be at most 32"),
        (
            source("reserve = 20"),
            "source 'acme': reserve: 20 is not a share from 0 to 0.9, or one in percent such as \"20%\"",
        ),
        (
            source('reserve = "most"'),
            "source 'acme': reserve: 'most' is not a share from 0 to 0.9, or one in percent such as \"20%\"",
        ),
        (SOURCE.replace("acme", "../acme"), "source '../acme': name: may hold letters"),
        (
            "[store]\nurl = 'postgresql://me:" + SECRET + "@host/db'",
            'store.url: it holds a password, which does not stand in the config; write url = { env = "NAME" }',
        ),
        ('[store]\nurl = { env = "NOTHING" }', "store.url: environment variable NOTHING is not set or empty"),
        ("[store]\nurl = 5", 'store.url: a secret does not stand in the config; write { env = "NAME" }'),
        ("source = 'acme'", "source: write [[source]] with two brackets"),
    ],
)
def test_a_mistake_in_the_file_names_the_file_the_place_and_the_right_form(write: Write, text: str, line: str) -> None:
    path = write(text)
    (said,) = mistakes(path)
    assert said.startswith(f"config {path}: {line}")
    assert "datetime." not in said, "a person does not read Python"


def test_a_secret_that_stands_in_the_config_is_refused_and_not_repeated(write: Write) -> None:
    (line,) = mistakes(write(source(token=f'"{SECRET}"')))
    assert line.startswith("source 'acme': token: a secret does not stand in the config; write { env = ")


@pytest.mark.parametrize(
    "token",
    [
        f'{{ env = "TOKEN", value = "{SECRET}" }}',
        f'{{ value = "{SECRET}" }}',
        f'["{SECRET}"]',
        "{ env = 5 }",
        "{ file = 5 }",
        "{ env = ['TOKEN'] }",
        "5",
    ],
)
def test_a_secret_in_any_other_form_is_refused_in_one_line(write: Write, token: str) -> None:
    (line,) = mistakes(write(source(token=token)))
    assert line.startswith("source 'acme': token")


@pytest.mark.parametrize("content", ["", " \n", "two\nlines", "tab\there", "\x00", "api-é"])
def test_a_secret_file_without_a_one_line_secret_is_refused(write: Write, tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_text(content, encoding="utf-8")
    (line,) = mistakes(write(source(token=f'{{ file = "{tmp_path / "token"}" }}')))
    assert line.startswith(f"source 'acme': token: file {tmp_path / 'token'} ")


def printing(program: str) -> str:
    """Return the form of a secret that a program of Python's prints."""
    return f"{{ command = {json.dumps([sys.executable, '-c', program])} }}"


def test_a_program_may_print_the_secret_and_no_shell_reads_its_words(write: Write) -> None:
    program = f"import sys; assert not sys.stdin.read(); print('  {SECRET}\\n'); sys.stderr.write('noise')"
    (built,) = load(write(source(token=printing(program)))).sources()
    assert built.connector.token.get_secret_value() == SECRET  # type: ignore[attr-defined]
    (built,) = load(write(source(token='{ command = ["echo", "$HOME;`id`"] }'))).sources()
    assert built.connector.token.get_secret_value() == "$HOME;`id`"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("token", "said"),
    [
        (printing(f"print('{SECRET}'); raise SystemExit(3)"), "ends with 3; run it by hand to see why"),
        (printing("pass"), "is not set or empty"),
        (printing(f"print('{SECRET}'); print('{SECRET}')"), "holds more than one line"),
        (printing("import sys; sys.stdout.buffer.write(bytes([255, 254]))"), "prints what is not text"),
        (printing("import time; time.sleep(60)"), "takes longer than 1 s"),
        (printing("import os, time; os.fork() or time.sleep(60)"), "takes longer than 1 s"),
        ('{ command = ["/nowhere/vault"] }', "the command '/nowhere/vault' cannot be run: No such file or directory"),
        ('{ command = "vault read" }', "a secret does not stand in the config; write { env = "),
        ("{ command = [] }", "a secret does not stand in the config; write { env = "),
        ('{ command = ["vault"], env = "TOKEN" }', "a secret does not stand in the config; write { env = "),
    ],
)
def test_a_program_that_prints_no_secret_is_told_and_what_it_prints_is_not(
    write: Write, monkeypatch: pytest.MonkeyPatch, token: str, said: str
) -> None:
    if "sleep" in token:
        monkeypatch.setattr("flagtrail.secret.COMMAND_SECONDS", 1.0)
    (line,) = mistakes(write(source(token=token)))
    assert line.startswith("source 'acme': token: ")
    assert said in line


def test_a_source_fetches_its_secrets_anew_when_asked(write: Write, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("old", encoding="utf-8")
    path = write(source(token=f'{{ file = "{tmp_path / "token"}" }}'))
    (built,) = load(path).sources()
    (again,) = load(path).sources()
    assert built == again, "a reload tells by this that nothing has changed"
    assert built.renewal is not None
    assert built.renewal() == built.connector
    (tmp_path / "token").write_text("new", encoding="utf-8")
    assert built.renewal() != built.connector
    (tmp_path / "token").unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        built.renewal()


@pytest.mark.parametrize(
    "url",
    [
        f"https://me:{SECRET}@app.launchdarkly.com",
        f"https://{SECRET}@app.launchdarkly.com",
        f"https://app.launchdarkly.com?token={SECRET}",
        f"https://app.launchdarkly.com#{SECRET}",
        f"http://me:{SECRET}@app.launchdarkly.com",
    ],
)
def test_a_base_url_with_a_credential_is_refused_and_not_repeated(write: Write, url: str) -> None:
    (line,) = mistakes(write(source(f'base_url = "{url}"')))
    assert line.startswith("source 'acme': base_url: a base URL is only scheme, host and path")


@pytest.mark.parametrize(
    "url",
    [
        *("https://host:notaport", "https://[::1", "https://", "ftp://host", ""),
        *(f"ftp://me:{SECRET}@host", f"me:{SECRET}@host", f"https://me:{SECRET}@host:notaport", f"//{SECRET}@host"),
    ],
)
def test_a_base_url_that_is_none_is_refused_in_one_line_without_a_credential_in_it(write: Write, url: str) -> None:
    (line,) = mistakes(write(source(f'base_url = "{url}"')))
    assert line.startswith("source 'acme': base_url: ")


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:8080", "[::1]:8080"])
def test_plain_http_is_allowed_on_loopback(write: Write, host: str) -> None:
    (built,) = load(write(source(f'base_url = "http://{host}/"'))).sources()
    assert built.connector.base_url == f"http://{host}"


def test_every_mistake_has_a_line_of_its_own(write: Write) -> None:
    path = write(source("start = 'soon'", "every = 'often'", "parallel = 99"))
    assert [line.split(": ")[2] for line in mistakes(path)] == ["start", "every", "parallel"]


def test_the_mistakes_of_every_source_are_told_at_once(write: Write) -> None:
    path = write(source("colour = 1", token='"x"') + source().replace("acme", "other").replace("TOKEN", "NOTHING"))
    lines = mistakes(path)
    assert sorted(line.split(":")[0] for line in lines) == ["source 'acme'", "source 'acme'", "source 'other'"]


def test_there_has_to_be_a_source(write: Write) -> None:
    assert mistakes(write("")) == ["the config has no [[source]]; `flagtrail init example.toml` writes an example"]


def test_a_source_that_is_asked_for_has_to_be_in_the_config(write: Write) -> None:
    config = load(write(source()))
    with pytest.raises(ConfigError) as raised:
        config.sources(["acmee"])
    assert str(raised.value) == "there is no source 'acmee' in the config; there is: acme"


def test_only_the_secrets_of_the_sources_asked_for_are_needed(write: Write) -> None:
    other = source(token='{ env = "NOTHING" }').replace("acme", "other")
    assert [built.name for built in load(write(source() + other)).sources(["acme"])] == ["acme"]


def test_the_table_can_be_asked_without_any_secret(write: Write) -> None:
    assert store_url(load(write(source(token='{ env = "NOTHING" }')))).endswith("flagtrail.db")


def test_a_missing_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "none.toml"
    wanted = f"there is no config {path}; `flagtrail init` writes one, or name another with --config"
    assert mistakes(path) == [wanted]


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    assert mistakes(tmp_path) == [f"config {tmp_path} cannot be read: Is a directory"]


def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "flagtrail.toml"
    path.write_bytes('[[source]]\nname = "Käse"'.encode("latin-1"))
    assert mistakes(path) == [f"config {path} is not UTF-8 text"]


@pytest.mark.parametrize("half", ["[[source", '[[source]]\nname = "ac', "name =", "a = 1\na = 2", "= 1"])
def test_half_written_toml_is_named_with_the_place(write: Write, half: str) -> None:
    path = write(half)
    (line,) = mistakes(path)
    assert line.startswith(f"config {path} is not whole TOML: ")


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


def test_a_secret_comes_from_the_environment_or_a_file_without_the_white_space_around_it(
    write: Write, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(f"  {SECRET}\n", encoding="utf-8")
    for token in ('{ env = "TOKEN" }', f'{{ file = "{tmp_path / "token"}" }}'):
        (built,) = load(write(source(token=token))).sources()
        assert built.connector.model_dump()["token"].get_secret_value() == SECRET


def test_no_secret_is_in_the_text_of_a_config_or_a_source(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE", f"postgresql://me:{SECRET}@host/db")
    config = load(write(source() + '[store]\nurl = { env = "STORE" }'))
    shown = [repr(config), str(config), config.model_dump_json(), repr(config.sources()), str(config.sources())]
    assert [text for text in shown if SECRET in text] == []
    assert SECRET in store_url(config)


def test_a_literal_secret_is_not_in_the_text_of_a_config_either(write: Write) -> None:
    config = load(write(source(token=f'"{SECRET}"')))
    assert SECRET not in repr(config)


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


def test_the_config_tells_who_is_who(write: Write) -> None:
    person = '[[person]]\nemail = "Ana@acme.example"\nname = "Ana"\nalso = ["ana@old.example"]\n'
    people = load(write(source() + person)).people()
    assert people.identities("ana@OLD.example") == ("Ana@acme.example", "ana@old.example", "Ana")
    row = {"vendor": "v", "actor_kind": "member", "actor_id": "1", "actor_name": "A", "actor_email": "ana@old.example"}
    assert people.person(row) == Person("ana@acme.example", "Ana")
    assert load(write(source())).people().identities("ana@OLD.example") == ("ana@OLD.example",)
