"""What can be asked about events, the same from Python, the command line and HTTP; and the places in the answer."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from flagtrail.errors import FlagtrailError
from flagtrail.fields import BY_NAME
from flagtrail.impact import parse_range
from flagtrail.window import from_ms, to_ms
from flagtrail.words import spelled

MOST = 500  # values of one field
SHOWN = 100  # characters of what was written wrongly that an error repeats
LARGEST = 2**63  # no database has a larger number
LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # so late that what comes after it may have no time
TEXT = "text"
Values = str | Iterable[str] | None


class QueryError(FlagtrailError, ValueError):
    """A question that cannot be asked; the message says what can."""


@dataclass(frozen=True, slots=True)
class Query:
    """Which events are wanted, newest first; every condition that is set must hold. Raises QueryError.

    The values of a condition are a str or several, of which one is enough; case does not matter, and `*` stands for any
    characters. Most are whole values. `object` is a key or a name. `actor` is a name, an e-mail or an id, or a part of
    one when no `*` is in it. `impact` is the measured effect in percent, such as >5%. `has` names what an event has,
    `is_` what is known of it: see `fields`. Of `text`, every word must be a word or the beginning of one in the
    summary, the comment, the object's key or name, the place, or the actor's name; words in quotes are whole words that
    stand together. `without` maps the name of a condition to values of which an event may have none.

    `linked` also shows the flag events whose audit entry is in the table: their impact stands on that entry anyway.
    `limit` 0 means all. `after` is the cursor of an event, of which only what comes after it is wanted, as on the next
    page; with `oldest_first`, after the cursor of the first event of a page, it is the page before.
    """

    since: datetime | None = None
    until: datetime | None = None
    vendor: Values = ()
    source: Values = ()
    stream: Values = ()
    project: Values = ()
    environment: Values = ()
    object_kind: Values = ()
    object: Values = ()
    actor_kind: Values = ()
    actor: Values = ()
    action: Values = ()
    impact: Values = ()
    has: Values = ()
    is_: Values = ()
    text: str | None = None
    without: Mapping[str, Values] | Iterable[tuple[str, Values]] = ()
    linked: bool = False
    oldest_first: bool = False
    limit: int = 50
    after: str | None = None
    _any_number: bool = field(default=False, repr=False, compare=False)  # of values: they were not asked for one by one
    _wanted: Mapping[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)
    _unwanted: Mapping[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        wanted: dict[str, tuple[str, ...]] = {}
        for name in BY_NAME:
            values = _checked(name, getattr(self, _attribute(name)), any_number=self._any_number)
            object.__setattr__(self, _attribute(name), values)
            if values:
                wanted[name] = values
        text = None if self.text is None or not self.text else _text(self.text)
        object.__setattr__(self, "text", text)
        for name in ("since", "until"):
            moment = getattr(self, name)
            if moment is not None and moment.tzinfo is None:
                raise QueryError(f"{name} needs a time zone")
            object.__setattr__(self, name, moment and moment.astimezone(UTC))
        unwanted: dict[str, tuple[str, ...]] = {}
        told = self.without.items() if isinstance(self.without, Mapping) else self.without
        for name, given in told:
            if name != TEXT and name not in BY_NAME:
                raise QueryError(f"there is no condition {name!r}; there is: {', '.join([*BY_NAME, TEXT])}")
            many = self._any_number
            values = tuple(map(_text, _several(given))) if name == TEXT else _checked(name, given, any_number=many)
            if values:
                unwanted[name] = values
        object.__setattr__(self, "without", tuple(sorted(unwanted.items())))
        object.__setattr__(self, "_wanted", wanted)
        object.__setattr__(self, "_unwanted", unwanted)

    @property
    def wanted(self) -> Mapping[str, tuple[str, ...]]:
        """The values of each field of which an event must have one, by the field's name; `text` is apart."""
        return self._wanted

    @property
    def unwanted(self) -> Mapping[str, tuple[str, ...]]:
        """The values of each field, and texts, of which an event may have none."""
        return self._unwanted

    @property
    def is_filtered(self) -> bool:
        """Whether anything but a time is asked for."""
        return bool(self._wanted or self._unwanted or self.text)


def _attribute(name: str) -> str:
    """Return the name of a field in `Query`: one of them is a word of Python."""
    return "is_" if name == "is" else name


def keywords(values: Mapping[str, Values]) -> dict[str, Any]:
    """Return the values of fields, by the fields' names, as `Query` takes them as keywords."""
    return {_attribute(name): value for name, value in values.items()}


def _several(values: Values) -> tuple[str, ...]:
    if values is None:
        return ()
    return (values,) if isinstance(values, str) else tuple(dict.fromkeys(values))


def _checked(name: str, given: Values, *, any_number: bool) -> tuple[str, ...]:
    values = tuple(value for value in _several(given) if value)
    if len(values) > MOST and not any_number:
        raise QueryError(f"{name} may have {MOST} values at most, and not {len(values)}")
    known = BY_NAME[name].values
    if known:
        values = tuple(value.lower() for value in values)
        for value in values:
            if value not in known:
                raise QueryError(f"{name} is one of {', '.join(known)}, and not {value!r}")
    if name == "impact":
        for value in values:
            try:
                parse_range(value)
            except ValueError as error:
                raise QueryError(str(error)) from None
    return values


def _text(text: str) -> str:
    found = spelled(text)
    if not found:
        raise QueryError(f"there is no word in {text!r}; a text is words of letters and digits")
    return found


def expanded(query: Query, identities: Callable[[str], Iterable[str]]) -> Query:
    """Return a question in which each actor stands with all identities of the person that it names.

    `identities` returns those of a text; none when it knows no such person. A text with a `*` stays as it is.
    """

    def all_of(values: Iterable[str]) -> tuple[str, ...]:
        found = [one for value in values for one in (value, *(() if "*" in value else identities(value)))]
        return tuple(dict.fromkeys(found))

    wanted, unwanted = (
        {name: all_of(values) if name == "actor" else values for name, values in told.items()}
        for told in (query.wanted, query.unwanted)
    )
    return widened(query, wanted, unwanted)


def widened(query: Query, wanted: Mapping[str, Values], unwanted: Mapping[str, Values]) -> Query:
    """Return a question with other values, of which there may be more than can be asked for."""
    return replace(query, **keywords(wanted), without=unwanted, _any_number=True)


def cursor_of(row: Mapping[str, Any]) -> str:
    """Return the cursor of an event: opaque, and good for as long as the event stands at its time."""
    return urlsafe_b64encode(f"{to_ms(row['occurred_at'])}.{row['number']}".encode()).decode().rstrip("=")


def place_of(cursor: str) -> tuple[datetime, int]:
    """Return the time and the number that a cursor stands for; raises ValueError when it is none."""
    try:
        ms, number = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii").split(".")
        at, place = from_ms(int(ms)), int(number)
        is_one = 0 <= place < LARGEST and at < LAST
    except (ValueError, OverflowError):
        is_one = False
    if not is_one:
        raise ValueError(f"{shortened(cursor)} is no cursor of an event")
    return at, place


def shortened(text: str) -> str:
    """Return in quotes what somebody wrote, or its beginning: a line holds no more."""
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}...")
