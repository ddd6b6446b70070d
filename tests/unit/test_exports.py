"""What other programs read of an event: the forms are valid by their own rules, and nothing is lost on the way."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event
from cloudevents.core.formats.json import JSONFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from flagtrail.event import Action
from flagtrail.exports import MEDIA_TYPES, Format, cloudevents, ecs, files, jsonl, lines, ocsf
from flagtrail.exports import csv as spreadsheet
from flagtrail.exports.columns import COLUMNS
from flagtrail.exports.verbs import DEEDS, Deed
from flagtrail.schema import EVENT
from tests.unit.export_rows import FULL, HUGE, odd_rows, row


def exported(form: Format, rows: Any) -> list[Any]:
    return [json.loads(line) for line in b"".join(lines(form, rows)).splitlines()]


def test_every_column_of_the_table_is_exported() -> None:
    assert set(COLUMNS) == {column.name for column in EVENT.c} - {"number"}


def test_json_lines_give_equal_rows_back() -> None:
    rows = list(odd_rows())
    written = b"".join(lines(Format.JSONL, rows))
    back = list(
        jsonl.read(written.decode().split("\n")[:-1])
    )  # a vendor's text may hold what splitlines() takes for one
    assert back == [{name: one[name] for name in COLUMNS} for one in rows]
    assert [type(one["occurred_at"]) for one in back] == [datetime] * len(rows)
    for wrong in ("[]", "{", "5"):
        with pytest.raises(ValueError):  # noqa: PT011
            list(jsonl.read([wrong]))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON_VALUES, st.text(), st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
@settings(max_examples=50)
def test_json_lines_give_any_document_text_and_millisecond_back(document: Any, text: str, at: datetime) -> None:
    at = at.replace(microsecond=at.microsecond // 1000 * 1000)
    one = row(changes=[{"path": text, "before": document, "after": None}], summary=text, occurred_at=at)
    [back] = jsonl.read(lines(Format.JSONL, [one]))
    assert back == {name: one[name] for name in COLUMNS}


@pytest.mark.parametrize("before", ["", " ", "\t ", "\n", "\u00a0", "\ufeff", "\u200b"])
@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r", "\uff1d"])
def test_no_cell_of_a_csv_runs_as_a_formula_also_behind_what_is_blank(before: str, first: str) -> None:
    text = f"{before}{first}cmd|' /C calc'!A0"
    assert spreadsheet.cell(text) == "'" + text


@pytest.mark.parametrize("value", [-5, 0, -1.5, HUGE, "", "a-b", "1-2", "x=1", "' =x", "[-1]"])
def test_numbers_and_ordinary_texts_stay_as_they_are_in_a_csv(value: Any) -> None:
    assert spreadsheet.cell(value) == value


def test_a_csv_has_a_header_and_what_is_nested_as_json() -> None:
    found = list(csv.DictReader(io.StringIO(b"".join(lines(Format.CSV, odd_rows())).decode(), newline="")))
    assert len(found) == len(list(odd_rows()))
    assert list(found[0]) == list(COLUMNS)
    full = found[-3]
    assert full["occurred_at"] == "2026-03-01T12:00:00.123Z"
    assert json.loads(full["changes"]) == FULL["changes"]
    assert (full["revision"], full["truncated"], found[-2]["comment"]) == ("3", "True", "")
    # No separator within a text begins a cell, in a program that divides by another one.
    assert b'"' in b"".join(spreadsheet.lines([{"a": "x;=1"}], ["a"])).splitlines()[1]


@pytest.fixture(scope="module")
def official() -> Draft202012Validator:
    """The official schema of OCSF's Entity Management, of the version that ours name."""
    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version=ocsf.VERSION)).get_class_schema("entity_management", [])
    return Draft202012Validator(schema)


def every_kind() -> Iterator[dict[str, Any]]:
    """Yield odd events, and one of each verb, kind of actor, and kind of object."""
    yield from odd_rows()
    for action in (*Action, "beamedUp"):
        yield FULL | {"action": str(action)}
    for kind in ("member", "token", "app", "system", "unknown", "martian"):
        yield row(actor_kind=kind)
        yield row(actor_kind=kind, actor_email="not an address", object_kind=kind)


def test_events_are_ocsf_by_its_official_schema(official: Draft202012Validator) -> None:
    events = exported(Format.OCSF, every_kind())
    assert [error.message for event in events for error in official.iter_errors(event)] == []
    for event in events:
        assert event["type_uid"] == 300400 + event["activity_id"]
        assert event["activity_name"], "a name for each, as those of Other say what it is"


def test_the_official_schema_would_tell(official: Draft202012Validator) -> None:
    event = ocsf.event_of(FULL)
    for wrong in ({"time": "now"}, {"severity_id": 55}, {"entity": {"type_id": 99}}, {"surprise": 1}, {"metadata": {}}):
        assert list(official.iter_errors(event | wrong))


def test_ocsf_tells_who_did_what_to_what_and_keeps_the_rest() -> None:
    event = ocsf.event_of(FULL)
    assert event["actor"]["user"] == {
        "uid": "57be", "name": "Ada Lovelace", "email_addr": "ada@example.com", "type_id": 1, "type": "User",
    }  # fmt: skip
    assert event["entity"] == {"uid": "checkout", "name": "Checkout", "type": "flag", "type_id": 99}
    assert (event["activity_name"], event["message"], event["comment"]) == ("Enable", "turned on the flag", "INC-2231")
    assert event["time"] == 1772366400123
    assert event["metadata"]["original_time"] == "2026-03-01T12:00:00.123Z"
    assert event["unmapped"]["changes"] == FULL["changes"]
    assert ocsf.event_of(row(action="beamedUp"))["activity_name"] == "beamedUp"
    strings = json.dumps(event)
    for name in COLUMNS:
        value = FULL[name]
        if isinstance(value, str) and name != "related_event":
            assert value in strings, f"{name} is in the export"


def test_every_verb_has_its_place_in_other_schemas() -> None:
    assert set(DEEDS) == set(Action)
    assert DEEDS["created"] is Deed.CREATE
    assert DEEDS["rollout_changed"] is Deed.CHANGE


# https://www.elastic.co/docs/reference/ecs/ecs-field-reference: the fields that ours fill, and their types.
ECS_FIELDS: dict[str, type] = {
    "@timestamp": str, "message": str, "ecs.version": str, "event.kind": str, "event.category": list,
    "event.type": list, "event.action": str, "event.code": str, "event.id": str, "event.module": str,
    "event.provider": str, "event.dataset": str, "event.reason": str, "event.created": str, "event.url": str,
    "user.id": str, "user.name": str, "user.full_name": str, "user.email": str, "related.user": list,
    "organization.id": str,
}  # fmt: skip


def flat(document: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def test_events_are_ecs_documents_whose_fields_have_one_type_each() -> None:
    types: dict[str, type] = dict(ECS_FIELDS)
    for document in exported(Format.ECS, every_kind()):
        assert document["event"]["kind"] == "event"
        assert document["event"]["category"] == ["configuration"]
        assert set(document["event"]["type"]) <= {"access", "change", "creation", "deletion", "info"}
        for name, value in flat(document):
            known = name in ECS_FIELDS or name.startswith(("labels.", "flagtrail."))
            assert known, f"{name} is no field of ECS"
            assert types.setdefault(name, type(value)) is type(value), name
            if name == "flagtrail.changes":
                assert {type(told) for change in value for told in change.values()} == {str}


def test_ecs_tells_who_did_what_to_what() -> None:
    document = ecs.document_of(FULL)
    assert set(ECS_FIELDS) <= dict(flat(document)).keys()
    assert document["event"]["action"] == "turned_on"
    assert document["related"]["user"] == ["57be", "Ada Lovelace", "ada@example.com"]
    assert document["labels"] == {"source": "acme", "project": "web", "environment": "Production"}
    assert json.loads(document["flagtrail"]["changes"][0]["after"]) == FULL["changes"][0]["after"]
    assert "comment" not in ecs.document_of(row())["event"]


def test_events_are_cloudevents_by_the_official_library() -> None:
    rows = list(every_kind())
    for one, line in zip(rows, b"".join(lines(Format.CLOUDEVENTS, rows)).splitlines(), strict=True):
        message = HTTPMessage({"content-type": "application/cloudevents+json"}, line)
        event = from_structured_event(message, JSONFormat())
        assert event.get_time() == one["occurred_at"]
        attributes = [str(value) for value in event.get_attributes().values()]
        assert not any(ord(sign) < 32 or 127 <= ord(sign) < 160 for text in attributes for sign in text)
    assert cloudevents.event_of(FULL)["type"] == "flagtrail.change.turned_on"
    assert cloudevents.event_of(FULL)["subject"] == "web/Production/flag/checkout"
    assert cloudevents.event_of(FULL)["source"] == "/flagtrail/acme/audit_log"
    assert "subject" not in cloudevents.event_of(row())


def test_other_content_is_another_cloudevent() -> None:
    assert cloudevents.event_of(FULL | {"revision": 1})["id"] != cloudevents.event_of(FULL | {"revision": 2})["id"]


@pytest.mark.parametrize("form", MEDIA_TYPES)
def test_lines_are_whole_and_come_as_rows_do(form: Format) -> None:
    taken: list[int] = []
    rows = (taken.append(number) or row(id=str(number)) for number in range(1000))
    first = [next(chunks) for chunks in [lines(form, rows)] for _ in range(3)]
    assert len(taken) <= 3, "nothing is read ahead"
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in first)
    assert list(lines(form, [])) == ([b"".join(spreadsheet.lines([]))] if form is Format.CSV else [])


def failing() -> Iterator[Any]:
    yield b"half"
    raise OSError(28, "No space left on device")


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    for before in (None, b"old"):
        if before is not None:
            path.write_bytes(before)
            path.chmod(0o640)
        with pytest.raises(OSError, match="No space"):
            files.write(path, failing())
        assert (path.read_bytes() if path.exists() else None) == before
        assert [one.name for one in tmp_path.iterdir()] == ([] if before is None else ["events.jsonl"])
    link = tmp_path / "link"
    link.symlink_to(path)
    files.write(link, [b"a", b"b"])
    assert (path.read_bytes(), path.stat().st_mode & 0o777, link.is_symlink()) == (b"ab", 0o640, True)
    files.write(Path("/dev/null"), [b"x"])
    assert Path("/dev/null").is_char_device()
