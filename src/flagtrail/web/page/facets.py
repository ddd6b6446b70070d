"""Counts what the changes of an answer have in common, as links that narrow it down; and the filters that are there."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from flagtrail import query as store_query
from flagtrail.deadline import within
from flagtrail.errors import TooSlow
from flagtrail.histogram import is_tallied
from flagtrail.impact import MIDDLES, SIZES
from flagtrail.people import People
from flagtrail.question import TEXT
from flagtrail.sentence import vendor_of
from flagtrail.web.access import Trail
from flagtrail.web.page.answer import Answer, Row
from flagtrail.web.page.chart import Chart
from flagtrail.web.page.view import View, has_value, without_value

SHOWN = 8  # values of a field
QUICK = 0.05  # seconds for what the tables of counts tell besides the chart
CHEAP = 0.02  # seconds of CPU: when the chart took more, they are not asked again
FIELDS = {
    "vendor": "Vendor",
    "environment": "Environment",
    "project": "Project",
    "action": "Action",
    "actor": "Actor",
    "object_kind": "Kind of object",
    "impact": "Impact",
    "has": "Comment",
}


@dataclass(frozen=True, slots=True)
class Item:
    """A value with how many changes have it."""

    field: str
    value: str
    label: str
    number: int
    is_wanted: bool
    address: str


class Group(NamedTuple):
    """The values of a field; `more` are left out. `is_exact`: all was counted, not the newest only."""

    name: str
    title: str
    items: Sequence[Item]
    more: int
    is_exact: bool


class Chip(NamedTuple):
    """A filter that is there, in words, and the address of the view without it."""

    label: str
    is_not: bool
    address: str


def groups(view: View, found: Answer, drawn: Chart, trail: Trail) -> list[Group]:
    """Return the values of each field that the changes have, the most frequent first."""
    exact = _exact(view, found, drawn, trail)
    told = []
    for name, title in FIELDS.items():
        whole = found.sample.is_whole or name in exact
        counts = Counter(exact[name]) if name in exact else _counted(found.sample.rows, name, trail.people)
        ranked = _ranked(view, name, counts)
        if ranked:
            items = [_item(view, key, number) for key, number in ranked[:SHOWN]]
            told.append(Group(name, title, items, len(ranked) - len(items), whole))
    return told


_Key = tuple[str, str, str]  # the field that finds it, the value, how it is shown


def _ranked(view: View, name: str, counts: Mapping[_Key, int]) -> list[tuple[_Key, int]]:
    """Return the values of a field in the order in which they are shown: what is asked for, then the most frequent."""
    merged: dict[tuple[str, str], tuple[_Key, int]] = {}
    for key, number in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        same = (key[0], key[1].lower())
        first, before = merged.get(same, (key, 0))
        merged[same] = (first, before + number)
    for value in view.query.wanted.get(name, ()):  # what is asked for stays, or it could not be taken away
        merged.setdefault((name, value.lower()), ((name, value, value), 0))
    ranked = sorted(merged.values(), key=lambda each: (not has_value(view.query, *each[0][:2]), -each[1]))
    if name == "impact":
        ranked.sort(key=lambda each: list(SIZES).index(each[0][1]) if each[0][1] in SIZES else -1, reverse=True)
    return ranked


def _item(view: View, key: _Key, number: int) -> Item:
    field, value, label = key
    return Item(field, value, label, number, has_value(view.query, field, value), view.toggled(field, value))


def _exact(view: View, found: Answer, drawn: Chart, trail: Trail) -> Mapping[str, Counter[_Key]]:
    """Return the counts that cost little although they are of all that is asked for."""
    told: dict[str, Counter[_Key]] = {}
    if found.sample.is_whole:
        return told
    if drawn.counts and view.by in ("vendor", "environment", "project", "action"):
        told[view.by] = Counter({_key(view.by, value): number for value, number in drawn.counts.items()})
        if any(lane.value is None and lane.style == "lane-others" for lane in drawn.lanes):
            del told[view.by]
    for name in ("vendor", "environment"):
        if (
            name in told
            or drawn.seconds > CHEAP
            or drawn.counted_since is not None
            or not is_tallied(found.query, [name])
        ):
            continue
        try:
            with within(QUICK):
                rows = store_query.count(trail.store, found.query, [name]).rows
        except TooSlow:
            continue
        told[name] = Counter({_key(name, value): number for value, number in rows if value})
    return told


def _counted(rows: Iterable[Row], name: str, people: People) -> Counter[_Key]:
    counts: Counter[_Key] = Counter()
    for row in rows:
        key = _of(row, name, people)
        if key:
            counts[key] += 1
    return counts


def _of(row: Row, name: str, people: People) -> _Key | None:
    """Return how a change is found by a field, with the value and how that is shown; None when it has none."""
    if name == "actor":
        person = people.person(row)
        value = row["actor_email"] or row["actor_id"] or row["actor_name"]
        if not value:
            return "actor_kind", row["actor_kind"], row["actor_kind"]
        return "actor", person.key if "@" in person.key else value, person.name
    if name == "impact":
        size = size_of(row["impact"])
        return ("impact", size, size) if size else None
    if name == "has":
        return ("has", "comment", "has a comment") if row["comment"] else None
    return _key(name, row[name]) if row[name] else None


def _key(name: str, value: str) -> _Key:
    label = vendor_of(value).name if name == "vendor" else value
    return name, value, label.replace("_", " ") if name in ("action", "object_kind") else label


def size_of(impact: Mapping[str, object] | None) -> str | None:
    """Return the size of an impact as questions mean it: none, small, medium, large; None while it has no number."""
    if not impact:
        return None
    told = impact.get("percentage")
    number = told if isinstance(told, int | float) else MIDDLES.get(str(impact.get("size")).lower())
    if number is None:
        return None
    return next((name for name, span in SIZES.items() if number <= span.high), "large")


def chips(view: View) -> list[Chip]:
    """Return the filters of a question, each with the address of the view without it."""
    query = view.query
    told = []
    for wanted, said in ((True, query.wanted), (False, query.unwanted)):
        for name, values in said.items():
            for value in values:
                address = view.asks(without_value(query, name, value, wanted=wanted))
                told.append(Chip(f"{name}: {value}" if name != TEXT else value, not wanted, address))
    if query.text:
        told.append(Chip(query.text, is_not=False, address=view.asks(replace(query, text=None))))
    if query.linked:
        told.append(Chip("with linked flag events", is_not=False, address=view.asks(replace(query, linked=False))))
    if query.oldest_first:
        told.append(Chip("oldest first", is_not=False, address=view.asks(replace(query, oldest_first=False))))
    return told
