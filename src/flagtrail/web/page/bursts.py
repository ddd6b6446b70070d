"""Folds changes that were made at once, such as 50 flags archived by a script, into one entry that names them all."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from flagtrail.sentence import Sentence, project_of, together, who_of
from flagtrail.web.page.shell import Reader

LEAST = 4  # changes that are told as one
APART = timedelta(minutes=1)  # at most, from one to the next
Row = Mapping[str, Any]


class Entry(NamedTuple):
    """A part of a list: one change, or several of one kind that are told in a sentence."""

    rows: Sequence[Row]
    sentence: Sentence | None = None

    @property
    def ends(self) -> tuple[datetime, datetime]:
        """When the first and the last of its changes were made."""
        times = [row["occurred_at"] for row in self.rows]
        return min(times), max(times)

    @property
    def projects(self) -> list[tuple[str | None, list[Row]]]:
        """The changes by their projects with the names of those; without a name when it is one project."""
        found: dict[Any, list[Row]] = {}
        for row in self.rows:
            found.setdefault(row["project"], []).append(row)
        return [(project_of(rows[0]) if len(found) > 1 else None, rows) for rows in found.values()]


def folded(rows: Sequence[Row], reader: Reader, *, before: bool = False, after: bool = False) -> list[Entry]:
    """Return the changes of a list as entries in the same order; no change is left out.

    `before` and `after` say whether the list goes on before its first and after its last change: those there may
    belong to a larger one.
    """
    groups: list[list[Row]] = []
    for row in rows:
        if groups and _belong(groups[-1][-1], row, reader):
            groups[-1].append(row)
        else:
            groups.append([row])
    found = []
    for place, group in enumerate(groups):
        is_open = (before and place == 0) or (after and place == len(groups) - 1)
        told = together(group, and_more=is_open) if len(group) >= LEAST else None
        found += [Entry(group, told)] if told else [Entry([row]) for row in group]
    return found


def _belong(one: Row, other: Row, reader: Reader) -> bool:
    near = abs(one["occurred_at"] - other["occurred_at"]) <= APART
    alike = _alike(one, reader)
    return near and alike is not None and alike == _alike(other, reader)


def _alike(row: Row, reader: Reader) -> tuple[Any, ...] | None:
    """Return what changes that are told as one have in common; None of a change of which more is to be told."""
    if row["impact"] or row["vanished_at"] or row["provisional"]:
        return None
    same = ("source", "actor_email", "action", "object_kind", "environment", "environment_name", "comment")
    return (reader.local(row["occurred_at"]).date(), who_of(row), *(row[name] for name in same))
