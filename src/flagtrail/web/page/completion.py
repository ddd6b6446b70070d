"""The address of what can stand at a place of a question while it is typed: fields with their meaning, known values."""

import re
from collections.abc import Iterable, Iterator
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Query, Response
from sqlalchemy import Connection, select

from flagtrail.deadline import within
from flagtrail.errors import TooSlow
from flagtrail.event import Action, ActorKind
from flagtrail.facets import BETWEEN, facet_of, values_with
from flagtrail.fields import BY_NAME
from flagtrail.language import ALIASES, SINGLE, fields, written
from flagtrail.query import reading
from flagtrail.schema import EVENT
from flagtrail.sentence import NAMES
from flagtrail.walk import ungathered
from flagtrail.web.access import Asked, Trail, reads
from flagtrail.web.answers import answered
from flagtrail.web.page.shell import LONGEST

MOST = 12  # what is offered at once
QUICK = 0.2  # seconds
FRESH = 1000  # values of events that were stored just now
TIMES = (("1h", "an hour ago"), ("24h", "a day ago"), ("7d", "a week ago"), ("30d", "30 days ago"))
MEANINGS = {verb.value: verb.meaning for kind in (Action, ActorKind) for verb in kind}
SAYS = {
    "comment": "the actor gave a reason", "impact": "its effect was measured", "none": "0 %", "small": "up to 20 %",
    "medium": "up to 80 %", "large": "more than 80 %", ">5%": "more than that many of the evaluations changed",
    "vanished": "the vendor does not show it any more", "provisional": "the vendor will still change it",
    "truncated": "the vendor cut its account short", "yes": "show them beside their audit entries", "no": "",
    "newest": "the newest first", "oldest": "the oldest first", "now": "",
}  # fmt: skip
_WORD = re.compile(r'(?:[^\s"]|"(?:[^"\\]|\\.)*(?:"|\Z))+')  # a part of a question, up to a blank outside of quotes
router = APIRouter(include_in_schema=False)


class Option(NamedTuple):
    """What can stand somewhere: `text` is what is written, `label` what is shown, `about` what it means."""

    text: str
    label: str
    about: str


class Place(NamedTuple):
    """A part of a question that is being typed: from where to where, in a field or in none, and what of it is there."""

    since: int
    until: int
    field: str | None
    part: str


@router.get("/complete", dependencies=[reads])
def complete(
    trail: Asked,
    q: Annotated[str, Query(max_length=LONGEST)] = "",
    at: Annotated[int | None, Query(ge=0, le=LONGEST)] = None,
) -> Response:
    """Return what can stand at a place of a question, as JSON: `from` and `to` say what it stands instead of."""
    place = place_of(q, len(q) if at is None else min(at, len(q)))
    found = list(_fields(place.part) if place.field is None else _values(trail, place.field, place.part))
    return answered({"from": place.since, "to": place.until, "options": [each._asdict() for each in found[:MOST]]})


def place_of(text: str, at: int) -> Place:
    """Return the part of a question that stands at a place, counted from 0."""
    for word in _WORD.finditer(text):
        if not word.start() <= at <= word.end():
            continue
        start = word.start() + text.startswith("-", word.start())
        name, colon, _ = text[start : word.end()].partition(":")
        begin = start + len(name) + 1
        if not colon or '"' in name or at < begin:
            return Place(start, max(at, start + len(name) + len(colon)), None, text[start : max(at, start)])
        begin = _last_comma(text, begin, at)
        commas = (place for place in range(at, word.end()) if text[place] == "," and not _in_quotes(text, begin, place))
        end = next(commas, word.end())
        part = text[begin:at]
        return Place(begin, end, ALIASES.get(name.lower(), name.lower()), part.removeprefix('"').removesuffix('"'))
    return Place(at, at, None, "")


def _last_comma(text: str, begin: int, at: int) -> int:
    """Return where the value begins that stands at a place: behind the last comma that is outside of quotes."""
    found = begin
    for place in range(begin, at):
        if text[place] == "," and not _in_quotes(text, found, place):
            found = place + 1
    return found


def _in_quotes(text: str, begin: int, at: int) -> bool:
    return len(re.findall(r'(?<!\\)"', text[begin:at])) % 2 == 1


def _fields(part: str) -> Iterator[Option]:
    """Yield the fields whose names begin with a text, then those that have it."""
    wanted = part.lower()
    known = [field for field in fields() if wanted in field.name]
    for field in sorted(known, key=lambda field: not field.name.startswith(wanted)):
        yield Option(f"{field.name}:", f"{field.name}:", field.about.replace("`", ""))


def _values(trail: Trail, name: str, part: str) -> Iterator[Option]:
    """Yield the known values of a field that begin with a text or have it, the former first."""
    wanted = part.lower()
    told: list[tuple[str, str, str]]  # the value, how it is shown, what it means
    if name in ("since", "until"):
        told = [(value, value, about) for value, about in (*TIMES, *([("now", "")] if name == "until" else []))]
    elif name == "impact":
        told = [(value, value, SAYS[value]) for value in (">5%", "large", "medium", "small", "none")]
    elif name in SINGLE or (name in BY_NAME and BY_NAME[name].values):
        known = (SINGLE.get(name) or BY_NAME[name]).values
        told = [(value, value, SAYS.get(value, "")) for value in known]
    elif name in BY_NAME:
        told = list(_seen(trail, name, part))
    else:
        return
    named = 3 if name in ("actor", "object") else 2  # of these, what stands beside a value is a name of it
    fitting = [each for each in told if any(wanted in text.lower() for text in each[:named])]
    for value, label, about in sorted(fitting, key=lambda each: not each[0].lower().startswith(wanted)):
        yield Option(f"{written(value)} ", label, about)


def _seen(trail: Trail, name: str, part: str) -> Iterable[tuple[str, str, str]]:
    """Yield the values of a field that some change has, as far as they can be found quickly."""
    try:
        with within(QUICK), reading(trail.store) as connection:
            found = [*values_with(connection, name, part), *_fresh(connection, name)]
    except TooSlow:
        return []
    told: dict[str, tuple[str, str, str]] = {}
    for value in found:
        parts = value.split(BETWEEN)
        if name == "actor":
            person, email, id = [*parts, "", ""][:3]
            which = email or id or person
            told.setdefault(which.lower(), (which, which, person if person != which else ""))
        elif name == "object":
            key, called = [*parts, ""][:2]
            told.setdefault((key or called).lower(), (key or called, key or called, called if key else ""))
        else:
            told.setdefault(value.lower(), (value, value, _meaning(name, value)))
    return [each for key, each in told.items() if key]


def _fresh(connection: Connection, name: str) -> list[str]:
    """Return values of events that were not gathered yet, as facets."""
    columns = [EVENT.c[column] for column in BY_NAME[name].columns]
    rows = connection.execute(select(*columns).where(EVENT.c.number.in_(ungathered())).distinct().limit(FRESH))
    return [facet_of(row) for row in rows]


def _meaning(name: str, value: str) -> str:
    known = {"vendor": NAMES, "action": MEANINGS, "actor_kind": MEANINGS}
    return known.get(name, {}).get(value, "")
