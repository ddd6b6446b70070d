"""What reaches a terminal, a spreadsheet or a program: never a control character, markup, or a formula."""

import csv
import io
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from unicodedata import bidirectional

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from flagtrail.cli import showing
from flagtrail.cli.options import Form
from flagtrail.cli.showing import bar, dumps, events_table, plain, plain_table, write_events
from flagtrail.exports.columns import COLUMNS
from flagtrail.exports.csv import FORMULA

TURNED = "\u202eevil\u202c \u2066x\u2069\u200f\u061c"
EVIL = TURNED + "\x1b[31mred\x1b[0m\x07\x9b2J\r\n[bold red]x[/] \x00"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


TURNS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def row(**values: Any) -> dict[str, Any]:
    ordinary = {"id": "0123456789abcdef", "occurred_at": NOON, "vendor": "launchdarkly", "actor_kind": "member"}
    ordinary |= {"action": "updated", "source": "acme", "first_seen_at": NOON, "revision": 1}
    return dict.fromkeys(COLUMNS) | ordinary | values


def printed(shown: Any, width: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what a terminal without colours of so many columns gets."""
    file = io.StringIO()
    console = Console(width=width, file=file, highlight=False)
    monkeypatch.setattr(showing, "out", console)
    console.print(shown() if callable(shown) else shown)
    return file.getvalue()


def written(form: Form, rows: Iterable[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> str:
    write_events(rows, form)
    return capsys.readouterr().out


def cell(value: Any, capsys: pytest.CaptureFixture[str]) -> str:
    """Return how the summary of an event comes out of a CSV."""
    (_, values) = csv.reader(io.StringIO(written(Form.CSV, [row(summary=value)], capsys), newline=""))
    return values[COLUMNS.index("summary")]


def is_harmless(text: str) -> bool:
    controls = any(ord(sign) < 32 or 127 <= ord(sign) < 160 for sign in text)
    return not controls and not any(bidirectional(sign) in TURNS or sign in "\u061c\u200e\u200f" for sign in text)


@given(st.text(max_size=40))
def test_plain_text_is_one_line_without_any_control_character(text: str) -> None:
    assert is_harmless(plain(text))


def test_a_stream_is_called_by_what_people_call_its_scope_on_one_line() -> None:
    assert showing.titled("audit_log", None) == "audit_log"
    assert showing.titled("flag_events[5f/7a]", "Web / Production") == "flag_events Web / Production"
    assert is_harmless(showing.titled("flag_events[5f]", EVIL))
    assert is_harmless(showing.titled(f"flag_events[{EVIL}]", None))


def test_plain_text_keeps_everything_that_can_be_seen() -> None:
    assert plain(EVIL) == "evil x[31mred[0m2J [bold red]x[/] "
    assert plain("  Grüße,\n\t世界  ") == "Grüße, 世界"


@pytest.mark.parametrize("width", [80, 140])
@pytest.mark.parametrize(
    "column",
    ["vendor", "environment", "actor_name", "actor_email", "actor_id", "summary", "comment", "object_key", "action"],
)
def test_no_control_character_of_a_vendor_reaches_the_terminal(
    width: int, column: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = printed(lambda: events_table([row(**{column: EVIL})]), width, monkeypatch)
    assert all(is_harmless(line) for line in shown.split("\n"))


@pytest.mark.parametrize("size", [EVIL, "[red]huge[/red]", 5, ["x"], {"a": 1}])
def test_an_impact_of_any_form_is_shown_as_it_is(size: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = printed(lambda: events_table([row(summary="on", impact={"size": size})]), 200, monkeypatch)
    assert f"· {plain(size)} impact" in shown
    assert all(is_harmless(line) for line in shown.split("\n"))


@pytest.mark.parametrize("width", [80, 140])
@pytest.mark.parametrize("text", ["[red]x[/red]", "[/]", "[link=http://x]y", "\\[a]", ":smile:"])
def test_markup_of_a_vendor_is_shown_literally(width: int, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    values = dict.fromkeys(["vendor", "environment", "actor_name", "summary", "comment"], text)
    shown = printed(lambda: events_table([row(**values)]), width, monkeypatch)
    assert shown.count(text) >= 3


def test_cells_of_a_plain_table_are_shown_literally(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = printed(plain_table(["a", "b"], [["[red]x[/red]", EVIL], [None, 5]]), 100, monkeypatch)
    assert "[red]x[/red]" in shown
    assert all(is_harmless(line) for line in shown.split("\n"))
    assert "None" not in shown


def test_messages_and_errors_are_shown_literally(capsys: pytest.CaptureFixture[str]) -> None:
    showing.say("[red]x[/red]\u202e\x1b")
    showing.say_errors("[red]y[/red]\nsecond \x1b[2J")
    assert capsys.readouterr().err.splitlines() == ["[red]x[/red]", "error: [red]y[/red]", "error: second [2J"]


def test_json_on_a_terminal_holds_as_escapes_what_would_steer_it(monkeypatch: pytest.MonkeyPatch) -> None:
    value = {"summary": EVIL, "who": "Grüße"}
    file = io.StringIO()
    monkeypatch.setattr(showing, "out", Console(width=200, file=file, highlight=False))
    showing.print_json(value)
    shown = file.getvalue()
    assert all(is_harmless(line) for line in shown.split("\n"))
    assert json.loads(shown) == value


@pytest.mark.parametrize("first", FORMULA)
def test_a_cell_that_a_spreadsheet_would_run_begins_with_an_apostrophe(
    first: str, capsys: pytest.CaptureFixture[str]
) -> None:
    value = first + "HYPERLINK(1)"
    assert cell(value, capsys) == "'" + value


def test_what_a_spreadsheet_would_run_includes_the_list_of_owasp() -> None:
    assert set("=+-@\t\r") <= set(FORMULA)


@pytest.mark.parametrize("value", ["", "plain", "a=b", "5", 'say "hi", twice\nthen', "'=quoted", "ä"])
def test_an_ordinary_cell_is_left_as_it_is(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cell(value, capsys) == value


def test_json_lines_and_csv_hold_the_same_columns_in_the_same_order(capsys: pytest.CaptureFixture[str]) -> None:
    line = json.loads(written(Form.JSONL, [row()], capsys))
    heads = next(csv.reader(io.StringIO(written(Form.CSV, [row()], capsys))))
    assert list(line) == heads == list(COLUMNS)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_json_is_one_list_however_many_events_there_are(count: int, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row(id=str(number)) for number in range(count)]
    assert [item["id"] for item in json.loads(written(Form.JSON, rows, capsys))] == [str(n) for n in range(count)]


@pytest.mark.parametrize("form", list(Form))
def test_writing_tells_how_many_events_there_were(form: Form, capsys: pytest.CaptureFixture[str]) -> None:
    assert write_events([], form) == 0
    assert write_events(iter([row(), row()]), form) == 2
    capsys.readouterr()


def test_no_events_are_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(showing, "out", Console(width=80, file=io.StringIO()))
    write_events([], Form.TABLE)
    assert showing.out.file.getvalue() == "no events match\n"  # type: ignore[attr-defined]


def test_instants_in_json_are_utc_however_deep_they_lie() -> None:
    eastern = NOON.astimezone(timezone(timedelta(hours=-5)))
    assert json.loads(dumps({"a": [eastern, {"b": (eastern,)}]})) == {
        "a": ["2026-03-01T12:00:00.000Z", {"b": ["2026-03-01T12:00:00.000Z"]}]
    }


def test_instants_in_csv_and_json_lines_are_utc(capsys: pytest.CaptureFixture[str]) -> None:
    eastern = NOON.astimezone(timezone(timedelta(hours=-5)))
    for form in (Form.CSV, Form.JSONL):
        assert "2026-03-01T12:00:00.000Z" in written(form, [row(occurred_at=eastern)], capsys)


def test_json_keeps_numbers_larger_than_64_bits() -> None:
    assert json.loads(dumps({"n": 2**70})) == {"n": 2**70}


@pytest.mark.usefixtures("machine_in_new_york")
def test_a_table_shows_the_readers_time_under_the_readers_day(monkeypatch: pytest.MonkeyPatch) -> None:
    early = NOON.replace(hour=3)
    shown = printed(lambda: events_table([row(), row(occurred_at=early)]), 80, monkeypatch).splitlines()
    assert [line.split(",")[0] for line in shown if "2026" in line] == ["Sun 01 Mar 2026", "Sat 28 Feb 2026"]
    assert [line[:8] for line in shown if "launchdarkly" in line] == ["07:00:00", "22:00:00"]


@pytest.mark.parametrize("width", [20, 80, 140])
@pytest.mark.parametrize("dates", [True, False])
def test_events_of_every_kind_fit_into_a_terminal(width: int, dates: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    long = "x" * 300
    rows = [
        row(),
        row(actor_kind="unknown", object_kind="flag", object_key="checkout", environment="production"),
        row(actor_name=long, environment=long, summary=long, comment=long, vendor="another"),
        row(actor_email="ada@example.com", summary="updated the flag", action="turned_on", impact={"size": "large"}),
        row(summary="世界" * 60, comment="🚀" * 90, vanished_at=NOON, occurred_at=NOON - timedelta(days=1)),
    ]
    lines = printed(lambda: events_table(rows, dates=dates), width, monkeypatch).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert any("2026" in line for line in lines) is dates


def test_a_line_says_when_who_and_what_and_what_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    told = row(actor_name="Ada", summary="updated the flag", action="turned_on", environment="production")
    told |= {"impact": {"size": "large"}, "comment": "launch", "vanished_at": NOON}
    shown = printed(lambda: events_table([told], dates=False), 300, monkeypatch)
    for part in ("launchdarkly", "production", "Ada", "updated the flag (turned on)", "large impact", "launch", "0123"):
        assert part in shown
    assert "vanished at the vendor" in shown


@pytest.mark.parametrize(
    ("shares", "drawn"),
    [([1.0, 0.5, 0.0], "█▒·"), ([1 - 1e-12, 1e-12], "█▒"), ([0.999], "▒"), ([], "")],
)
def test_a_bar_is_full_only_where_everything_is_covered(shares: list[float], drawn: str) -> None:
    assert bar(shares).plain == drawn
