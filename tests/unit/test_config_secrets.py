"""Where a config says that secrets are: they are fetched from there, and from nowhere else, and told to nobody."""

import json
import sys
from pathlib import Path

import pytest

from flagtrail.config import load, store_url
from flagtrail.errors import ConfigError
from tests.unit.configs import SECRET, Write, mistakes, source


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


def test_only_the_secrets_of_the_sources_asked_for_are_needed(write: Write) -> None:
    other = source(token='{ env = "NOTHING" }').replace("acme", "other")
    assert [built.name for built in load(write(source() + other)).sources(["acme"])] == ["acme"]


def test_the_table_can_be_asked_without_any_secret(write: Write) -> None:
    assert store_url(load(write(source(token='{ env = "NOTHING" }')))).endswith("flagtrail.db")


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
