"""Every mistake in a config is one line that names the file, the place and the right form."""

from pathlib import Path

import pytest

from flagtrail.config import load
from flagtrail.errors import ConfigError
from tests.unit.configs import SECRET, SOURCE, Write, mistakes, source


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
