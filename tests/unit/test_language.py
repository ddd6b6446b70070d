"""The short form of a question: what it means, what it refuses, and that a question becomes text and back."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flagtrail.fields import BY_NAME, like
from flagtrail.language import NotUnderstood, fields, parse, spell
from flagtrail.question import Query, QueryError, expanded

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
DOCUMENT = (Path(__file__).parents[2] / "docs" / "query.md").read_text(encoding="utf-8")


def read(text: str) -> Query:
    return parse(text, NOW, BERLIN)


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("", Query()),
        ("  \n", Query()),
        ("environment:production", Query(environment="production")),
        ("Environment:production", Query(environment="production")),
        ("environment:production,test", Query(environment=["production", "test"])),
        ("environment:production environment:test", Query(environment=["production", "test"])),
        ('environment:"EU, prod",test', Query(environment=["EU, prod", "test"])),
        (r'object:"a\"b\\c"', Query(object='a"b\\c')),
        ("-action:viewed -action:updated", Query(without={"action": ["viewed", "updated"]})),
        ("action:turned_* -action:turned_off", Query(action="turned_*", without={"action": "turned_off"})),
        ("since:2d", Query(since=NOW - timedelta(days=2))),
        ("after:2026-03-01 before:now", Query(since=datetime(2026, 2, 28, 23, tzinfo=UTC), until=NOW)),
        ("checkout black", Query(text="checkout black")),
        ('"black friday" roll', Query(text='"black friday" roll')),
        ("checkout-v2", Query(text="checkout v2")),
        ("-checkout", Query(without={"text": "checkout"})),
        ('-"black friday"', Query(without={"text": '"black friday"'})),
        ("has:comment is:vanished", Query(has="comment", is_="vanished")),
        ("impact:>5%", Query(impact=">5%")),
        ("linked:yes sort:oldest", Query(linked=True, oldest_first=True)),
        ("linked:no sort:newest", Query()),
        ('stream:"flag_events[web/*]"', Query(stream="flag_events[web/*]")),
    ],
)
def test_a_text_is_read_as_the_question_that_it_asks(text: str, query: Query) -> None:
    assert read(text) == query


@pytest.mark.parametrize(
    ("text", "place", "told"),
    [
        ("enviroment:production", 1, "there is no field 'enviroment'; did you mean environment:?"),
        ("a http://x", 3, "there is no field 'http'; there is vendor, source"),
        ("action:", 8, "a value of action: is missing, such as action:turned_*"),
        ("action:a,,b", 10, "a value of action: is missing"),
        ("action:a, b", 10, "a value of action: is missing"),
        ('action:""', 8, "a value of action: is missing"),
        ('x "unclosed', 3, 'this " is closed nowhere'),
        ('action:"unclosed', 8, 'this " is closed nowhere'),
        ('action:"a"b', 11, "a blank is missing"),
        ("since:yesterdayish", 1, "'yesterdayish' is not a span such as 90d"),
        ("-since:2d", 1, "stands once and without a minus sign"),
        ("since:2d since:1d", 10, "stands once"),
        ("since:1d until:2d", 10, "until: is not after since:"),
        ("is:gone", 1, "is is one of vanished, provisional, truncated, and not 'gone'"),
        ("sort:up", 1, "sort is one of newest, oldest, and not 'up'"),
        ("impact:huge", 1, "'huge' is not a measured effect such as >5%"),
        ("impact:9..5", 1, "is not a measured effect"),
        ("a !!", 3, "there is no word in '!!'"),
    ],
)
def test_what_is_no_question_is_told_with_its_place_and_what_is_possible(text: str, place: int, told: str) -> None:
    with pytest.raises(NotUnderstood, match=re.escape(told)) as raised:
        read(text)
    assert raised.value.place == place - 1
    assert str(raised.value).startswith(f"query, character {place}: ")
    assert "\n" not in str(raised.value)


value = st.text(min_size=1, max_size=12).filter(lambda text: "\x00" not in text)
word = st.from_regex(r"[a-z0-9äß]{1,8}", fullmatch=True)
said = st.lists(
    word | st.lists(word, min_size=1, max_size=3).map(lambda words: f'"{" ".join(words)}"'), min_size=1
).map(" ".join)
size = st.sampled_from([">5%", "<=20", "0", "5..20.5%", "large"])
moment = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@st.composite
def queries(draw: st.DrawFn) -> Query:
    kinds: dict[str, Any] = {name: st.lists(value, min_size=1, max_size=3) for name in BY_NAME}
    kinds |= {name: st.lists(st.sampled_from(BY_NAME[name].values), min_size=1) for name in ("has", "is")}
    kinds["impact"] = st.lists(size, min_size=1, max_size=2)
    one = {name: draw(kinds[name]) for name in draw(st.lists(st.sampled_from(sorted(kinds)), max_size=3, unique=True))}
    other = {
        name: draw(kinds[name]) for name in draw(st.lists(st.sampled_from(sorted(kinds)), max_size=3, unique=True))
    }
    if draw(st.booleans()):
        other["text"] = draw(st.lists(said, max_size=2))
    since, until = draw(st.none() | moment), draw(st.none() | moment)
    if since and until and since >= until:
        since = None
    more = {"linked": draw(st.booleans()), "oldest_first": draw(st.booleans()), "text": draw(st.none() | said)}
    named = {("is_" if name == "is" else name): values for name, values in one.items()}
    return Query(since=since, until=until, without=other, **named, **more)


@settings(max_examples=60)
@given(queries())
def test_a_question_becomes_text_that_is_read_as_the_same_question(query: Query) -> None:
    assert parse(spell(query), NOW) == query


@settings(max_examples=60)
@given(st.text(alphabet='ab:,"-\\ \nis>5%*', max_size=20))
def test_any_text_is_a_question_or_is_refused_with_a_place_in_it(text: str) -> None:
    places = []
    try:
        assert parse(spell(read(text)), NOW) == read(text)
    except NotUnderstood as error:
        places.append(error.place)
    assert all(0 <= place <= len(text) for place in places)


def test_a_query_takes_one_value_or_several_and_refuses_what_cannot_be() -> None:
    assert Query(environment="a") == Query(environment=["a", "a"]) == Query(environment=("a", ""))
    assert hash(Query(without={"action": "x", "actor": "y"})) == hash(Query(without={"actor": "y", "action": ["x"]}))
    for wrong in (
        {"without": {"size": "x"}},
        {"has": "wings"},
        {"impact": "huge"},
        {"text": "!!"},
        {"actor": map(str, range(501))},
    ):
        with pytest.raises(QueryError):
            Query(**wrong)
    with pytest.raises(QueryError, match="time zone"):
        Query(since=datetime(2026, 3, 1))  # noqa: DTZ001


def test_an_actor_is_expanded_to_all_identities_of_the_person() -> None:
    people = {"ana": ("ana@example.com", "auth0|17")}
    query = Query(actor=["ana", "*bot"], without={"actor": "ana", "action": "viewed"}, limit=7)
    found = expanded(query, lambda text: people.get(text, ()))
    assert found.wanted["actor"] == ("ana", "ana@example.com", "auth0|17", "*bot")
    assert found.unwanted == {"action": ("viewed",), "actor": ("ana", "ana@example.com", "auth0|17")}
    assert found.limit == 7


def test_the_document_names_every_field_and_its_examples_are_questions() -> None:
    table = "\n".join(f"| `{field.name}` | {field.about} | `{field.example}` |" for field in fields())
    assert table in DOCUMENT, f"docs/query.md should have:\n{table}"
    for field in fields():
        assert read(field.example) != Query() or field.name in ("linked", "sort")
    examples = [
        line
        for block in re.findall(r"^```text\n(.*?)^```", DOCUMENT, re.DOTALL | re.MULTILINE)
        for line in block.splitlines()
    ]
    assert len(examples) > 8
    for line in examples:
        assert read(line).is_filtered or read(line).since, line


def test_no_pattern_takes_for_ever() -> None:
    assert not like(["*" * 40 + "!"])("demo-launchdarkly" * 40)
    assert not like(["*e" * 40 + "!"])("e" * 2000)


@given(st.text(alphabet="ab*", max_size=6), st.text(alphabet="ab", max_size=8))
def test_a_pattern_means_what_an_expression_would(pattern: str, value: str) -> None:
    wanted = re.fullmatch(re.escape(pattern).replace("\\*", ".*"), value) is not None
    assert like([pattern])(value) is (bool(value) and wanted)
