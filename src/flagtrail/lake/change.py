"""What some notes mean for the lake: which of its rows are replaced, and in which months they stand or stood."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, select

from flagtrail.bulk import among
from flagtrail.lake import events, feed
from flagtrail.lake.feed import Note
from flagtrail.schema import EVENT

RUN = 100  # numbers in a row that are named by the first and the last
MOST = 4000  # numbers named one by one in a write: the library parses them as SQL, and many more break it
CROWDED = 1000  # of these in a month, from which on all of it is written anew, if they are too many


class Change:
    """The events that some notes concern: those named, and those that tell something else because of them.

    An entry shows what its flag event tells, and a flag event is linked once its entry is there. `crowded` months are
    to be written whole, because too much of them changed; `months` are those of all other events. `numbers` are all.
    """

    def __init__(self, connection: Connection, notes: Sequence[Note]) -> None:
        self._connection = connection
        places = defaultdict[int, set[str]](set)
        for note in notes:
            places[note.number] |= {events.month_of(note.occurred_at)} if note.occurred_at else set()
        known = list(self._told(among(EVENT.c.number, list(places), connection)))
        ids = {note.id for note in notes if note.id} | {row.id for row in known}
        related = {each.related_event for each in (*notes, *known) if each.related_event}
        for column, values in ((EVENT.c.id, related), (EVENT.c.related_event, ids)):
            if values:
                known += self._told(among(column, values, connection))
        for row in known:
            places[row.number].add(events.month_of(row.occurred_at))
        for number, at in feed.places_before(connection, list(places)):
            places[number].add(events.month_of(at))
        self.numbers = sorted(places)
        self.alone, self.runs = _divided(self.numbers)
        self.crowded: set[str] = set()
        if self.is_too_much:
            self._leave_crowded(places)
        in_runs = {number for first, last in self.runs for number in range(first, last + 1)}
        self.months = {month for number in (*self.alone, *in_runs) for month in places[number]}

    @property
    def is_too_much(self) -> bool:
        """Whether more numbers stand alone than one write can name."""
        return len(self.alone) > MOST

    def which(self) -> ColumnElement[bool]:
        """Return the condition of these events in the database."""
        return events.of_numbers(self._connection, self.alone, self.runs)

    def predicate(self) -> str:
        """Return the condition of these events in the lake, wherever they stood."""
        numbers = [f"number IN ({', '.join(map(str, self.alone))})"] if self.alone else []
        numbers += [f"number BETWEEN {first} AND {last}" for first, last in self.runs]
        return f"month IN ({', '.join(map(quoted, sorted(self.months)))}) AND ({' OR '.join(numbers)})"

    def _told(self, which: ColumnElement[bool]) -> Sequence[Any]:
        columns = (EVENT.c.number, EVENT.c.id, EVENT.c.related_event, EVENT.c.occurred_at)
        return self._connection.execute(select(*columns).where(which)).all()

    def _leave_crowded(self, places: dict[int, set[str]]) -> None:
        """Leave the events to their month that are many of one; what moved is never left, or it might be seen twice."""
        counts = Counter(month for number in self.alone for month in places[number])
        self.crowded = {month for month, count in counts.items() if count > CROWDED}
        self.alone = [number for number in self.alone if len(places[number]) != 1 or not places[number] <= self.crowded]


def quoted(text: str) -> str:
    """Return a text as SQL has it."""
    return "'" + text.replace("'", "''") + "'"


def _divided(numbers: Iterable[int]) -> tuple[list[int], list[tuple[int, int]]]:
    """Return the rising numbers that stand alone, and the first and the last of those that follow each other."""
    alone, runs = list[int](), list[tuple[int, int]]()
    for run in _runs(numbers):
        if len(run) < RUN:
            alone += run
        else:
            runs.append((run[0], run[-1]))
    return alone, runs


def _runs(numbers: Iterable[int]) -> Iterator[list[int]]:
    run: list[int] = []
    for number in numbers:
        if run and number != run[-1] + 1:
            yield run
            run = []
        run.append(number)
    if run:
        yield run
