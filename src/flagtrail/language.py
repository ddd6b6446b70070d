"""The short form of a question, for people: `environment:production action:turned_* -actor:bot "checkout" since:2d`.

`field:value` narrows down, `field:a,b` is any of them, a minus sign before it means not, and what is no field is text.
A small tokenizer reads it: there is no nesting, no precedence and no operator, so a parser generator would say more
than the language does. A question becomes text again by `spell`, which reads as the same question.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime, tzinfo
from difflib import get_close_matches
from typing import Any, NamedTuple

from flagtrail.fields import BY_NAME, FILTERS, Field
from flagtrail.question import TEXT, Query, QueryError, keywords
from flagtrail.when import parse_moment
from flagtrail.window import iso
from flagtrail.words import spelled

TIMES = (
    Field("since", "from when on: 2h or 7d (ago), a date, an instant; `after:` is the same", "since:2d"),
    Field("until", "up to when, not included; `before:` is the same", "until:2026-03-01T14:03Z"),
)
MANNERS = (
    Field(
        "linked",
        "`yes`: also the flag events whose impact stands on their audit entry",
        "linked:yes",
        (),
        ("yes", "no"),
    ),
    Field("sort", "which come first", "sort:oldest", (), ("newest", "oldest")),
)
SAID = Field(
    TEXT, "words, or their beginnings, of what is told about a change; bare words are the same", "text:checkout"
)
ALIASES = {"after": "since", "before": "until"}
SINGLE = {field.name: field for field in (*TIMES, *MANNERS)}
NAMES = (*BY_NAME, TEXT, *SINGLE, *ALIASES)
UNCLOSED = 'this " is closed nowhere'
_BLANK = re.compile(r"\s+")
_FIELD = re.compile(r"([^\s\":,]+):")
_QUOTED = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_WORD = re.compile(r'[^\s"]+')
_PLAIN = re.compile(r'[^\s,"]+')


class NotUnderstood(QueryError):
    """A text that is no question; `place` is where in it, counted from 0."""

    def __init__(self, message: str, place: int) -> None:
        super().__init__(f"query, character {place + 1}: {message}")
        self.place = place


class Term(NamedTuple):
    """One part of a question: a field with its values, whether they are wanted, and where it stands."""

    field: str
    values: tuple[str, ...]
    wanted: bool
    place: int


def fields() -> tuple[Field, ...]:
    """Return every field that a question may have, with what it means, in the order for people."""
    return (*FILTERS, SAID, *TIMES, *MANNERS)


def parse(text: str, now: datetime, zone: tzinfo | None = None) -> Query:
    """Return the question that a text asks; times without a zone are in `zone`, None is the zone of this machine.

    Raises NotUnderstood, which names the place and what is possible there.
    """
    wanted: dict[str, list[str]] = {}
    unwanted: dict[str, list[str]] = {}
    single: dict[str, Any] = {}
    words: list[str] = []
    for term in terms(text):
        if term.field in SINGLE:
            if not term.wanted or len(term.values) != 1 or term.field in single:
                raise NotUnderstood(f"{term.field}: has one value, stands once and without a minus sign", term.place)
            single[term.field] = _single(term.field, term.values[0], now, zone, term.place)
            if "since" in single and "until" in single and single["since"] >= single["until"]:
                raise NotUnderstood("until: is not after since:", term.place)
            continue
        try:  # what is wrong is told with its place
            Query(without={term.field: term.values})
        except QueryError as error:
            raise NotUnderstood(str(error), term.place) from None
        if term.field == TEXT and term.wanted:
            words.extend(map(spelled, term.values))
        else:
            (wanted if term.wanted else unwanted).setdefault(term.field, []).extend(term.values)
    return Query(
        **keywords(wanted),
        text=" ".join(words),
        without=unwanted,
        since=single.get("since"),
        until=single.get("until"),
        linked=single.get("linked") == "yes",
        oldest_first=single.get("sort") == "oldest",
    )


def terms(text: str) -> Iterator[Term]:
    """Yield the parts of a question in their order; raises NotUnderstood."""
    at = 0
    while at < len(text):
        if blank := _BLANK.match(text, at):
            at = blank.end()
            continue
        place, wanted = at, True
        if text[at] == "-" and at + 1 < len(text) and not text[at + 1].isspace():
            at, wanted = at + 1, False
        if named := _FIELD.match(text, at):
            values, at = _values(text, named.end(), named[1])
            yield Term(_field(named[1], place), values, wanted, place)
        elif quoted := _QUOTED.match(text, at):
            at = quoted.end()
            yield Term(TEXT, (f'"{_unescaped(quoted[1])}"',), wanted, place)
        elif word := _WORD.match(text, at):
            at = word.end()
            yield Term(TEXT, (word[0],), wanted, place)
        else:
            raise NotUnderstood(UNCLOSED, at)


def _values(text: str, at: int, field: str) -> tuple[tuple[str, ...], int]:
    """Return the values that stand at a place, which commas divide, and where they end."""
    values: list[str] = []
    while True:
        if found := _QUOTED.match(text, at):
            value = _unescaped(found[1])
        elif found := _PLAIN.match(text, at):
            value = found[0]
        elif text.startswith('"', at):
            raise NotUnderstood(UNCLOSED, at)
        else:
            value = ""
        if not value or not found:
            known = SINGLE.get(field) or BY_NAME.get(field)
            example = f", such as {known.example}" if known else ""
            raise NotUnderstood(f"a value of {field}: is missing{example}", at)
        values.append(value)
        at = found.end()
        if not text.startswith(",", at):
            break
        at += 1
    if at < len(text) and not text[at].isspace():
        raise NotUnderstood("a blank is missing", at)
    return tuple(values), at


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def _field(name: str, place: int) -> str:
    name = ALIASES.get(name.lower(), name.lower())
    if name in BY_NAME or name in SINGLE or name == TEXT:
        return name
    near = get_close_matches(name, NAMES, n=1)
    told = f"did you mean {near[0]}:?" if near else f"there is {', '.join(NAMES)}"
    raise NotUnderstood(f'there is no field {name!r}; {told} (what is meant as text stands in "quotes")', place)


def _single(name: str, value: str, now: datetime, zone: tzinfo | None, place: int) -> Any:
    known = SINGLE[name].values
    if not known:
        try:
            return parse_moment(value, now, zone)
        except ValueError as error:
            raise NotUnderstood(str(error), place) from None
    if value.lower() not in known:
        raise NotUnderstood(f"{name} is one of {', '.join(known)}, and not {value!r}", place)
    return value.lower()


def spell(query: Query) -> str:
    """Return a question as text, which reads as the same question, apart from its `limit` and `after`."""
    parts = [f"{name}:{_listed(values)}" for name, values in query.wanted.items()]
    parts += [f"-{name}:{_listed(values)}" for name, values in query.unwanted.items() if name != TEXT]
    parts += [f"-{text}" if _is_one(text) else f"-{TEXT}:{_quoted(text)}" for text in query.unwanted.get(TEXT, ())]
    parts += [query.text] if query.text else []
    parts += [f"{name}:{_moment(at)}" for name, at in (("since", query.since), ("until", query.until)) if at]
    parts += ["linked:yes"] if query.linked else []
    parts += ["sort:oldest"] if query.oldest_first else []
    return " ".join(parts)


def _is_one(text: str) -> bool:
    """Return whether a text is one word, or words in one pair of quotes."""
    return bool(_WORD.fullmatch(text) or _QUOTED.fullmatch(text))


def _moment(at: datetime) -> str:
    return at.isoformat() if at.microsecond % 1000 else iso(at)


def _listed(values: Iterable[str]) -> str:
    return ",".join(map(written, values))


def written(value: str) -> str:
    """Return a value as it stands in a question: in quotes where it has to."""
    return value if _PLAIN.fullmatch(value) else _quoted(value)


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
