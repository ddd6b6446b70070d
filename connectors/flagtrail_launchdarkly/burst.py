"""Reads one millisecond that holds more entries than a page: bulk changes, project clones, Terraform runs.

The list cannot page inside a millisecond. The search (POST, the same route) can be narrowed by policy statements, so
the millisecond is divided by resources, and a resource that is still too full by actions. What is the same in
millisecond, resource and action, and more than a page, cannot be had through the API: it becomes a hole.

Inside a filter, each part is the filter's own statements, narrowed by statements that deny what is not wanted: deny
overrides, and of an entry with several accesses one that is allowed and not denied is enough. An entry is therefore
found by any access that the filter allows, and divided by these.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from flagtrail.api import Api
from flagtrail.connector import Hole, Page
from flagtrail.event import Record
from flagtrail.window import Window
from flagtrail_launchdarkly.counting import count_of
from flagtrail_launchdarkly.listing import PAGE, Sheet, Statement, ask

GROUP = 16  # values asked for together: fewer than a page, so that one entry each still shows as whole
KEYS = {"resource": ("resources", "notResources"), "action": ("actions", "notActions")}
OPPOSITES = {"resources": "notResources", "notResources": "resources", "actions": "notActions", "notActions": "actions"}


def read_burst(
    api: Api, ms: int, listed: Sheet, *, inclusive: bool, filters: list[Statement] | None = None
) -> Page | Hole:
    """Return every entry of a millisecond as a page, or as a hole when some cannot be told apart.

    `listed` is the full page that the list gave; `inclusive` tells whether `before` includes its own millisecond;
    `filters` are the policy statements that select what is to be read, None for everything.
    """
    burst = _Burst(api, ms, inclusive, filters, date=listed.date)
    shown = burst.keep(listed)
    burst.doubt = listed.odd.reason if listed.odd else None
    burst.divide({}, "resource", shown)
    window = Window.of_ms(ms, ms + 1)
    expected = count_of(api, ms, filters)
    reason = burst.doubt or _lost(shown, burst.searched)
    if not reason and expected is not None and expected > len(burst.found):
        reason = "burst: the vendor counts more entries than its search shows"
    if reason:
        return Hole(window, reason, list(burst.found.values()), expected)
    return Page(list(burst.found.values()), window, burst.date)


def _lost(shown: Iterable[Record], searched: set[str]) -> str | None:
    """Return a doubt when the search does not find again what the list shows: then it means something else."""
    missing = sum(record["_id"] not in searched for record in shown)
    return f"burst: the search does not find {missing} of the listed entries" if missing else None


@dataclass(slots=True)
class _Burst:
    api: Api
    ms: int
    inclusive: bool
    filters: list[Statement] | None
    date: datetime | None
    found: dict[str, Record] = field(default_factory=dict)
    searched: set[str] = field(default_factory=set)
    doubt: str | None = None

    def keep(self, sheet: Sheet) -> list[Record]:
        """Return the page's entries of this millisecond, remembered."""
        here = [(id, r) for id, r, ms in zip(sheet.ids, sheet.records, sheet.dates, strict=True) if ms == self.ms]
        self.found.update(here)
        return [record for _, record in here]

    def search(self, statement: Statement) -> tuple[list[Record], bool]:
        """Return the entries that match a statement, and whether these are all of this millisecond."""
        sheet = ask(
            self.api,
            after=self.ms - 1,
            before=self.ms if self.inclusive else self.ms + 1,
            statements=[_complete(statement)] if self.filters is None else [*self.filters, *_denied(statement)],
        )
        if sheet.date is None or (self.date is not None and sheet.date < self.date):
            self.date = sheet.date
        records = self.keep(sheet)
        self.doubt = self.doubt or (sheet.odd.reason if sheet.odd else None)
        self.searched.update(record["_id"] for record in records)
        return records, not sheet.more or len(records) < len(sheet.records)

    def divide(self, fixed: Statement, by: str, shown: list[Record]) -> None:
        """Find everything that matches `fixed`, divided by the values of one access field ("resource", "action")."""
        _, others = KEYS[by]
        seen = _values(shown, by)
        unsure = list(seen)  # values that may have more entries than were shown
        whole = False
        while not whole:
            records, whole = self.search(fixed | ({others: list(seen)} if seen else {}))
            new = [value for value in _values(records, by) if value not in seen]
            seen += new
            if not whole:
                unsure += new
                if not new:  # entries without an access: nothing to divide them by
                    self.doubt = f"burst: more than {PAGE} entries of one millisecond name no {by}"
                    return
        for start in range(0, len(unsure), GROUP):
            self.confirm(fixed, by, unsure[start : start + GROUP])

    def confirm(self, fixed: Statement, by: str, values: list[str]) -> None:
        """Find everything that matches `fixed` and has one of the values."""
        some, _ = KEYS[by]
        narrowed = fixed | {some: values}
        records, whole = self.search(narrowed)
        if whole:
            return
        if len(values) > 1:
            middle = len(values) // 2
            self.confirm(fixed, by, values[:middle])
            self.confirm(fixed, by, values[middle:])
        elif by == "resource":
            self.divide(narrowed, "action", records)
        else:
            self.doubt = f"burst: more than {PAGE} entries share millisecond, resource and action ({values[0]})"


def _complete(statement: Statement) -> Statement:
    """Return a statement that says something about resources and about actions: each is `some` or `not some`."""
    anything: Statement = {some: ["*"] for some, others in KEYS.values() if not statement.keys() & {some, others}}
    return {"effect": "allow", **anything, **statement}


def _denied(statement: Statement) -> list[Statement]:
    """Return the statements that take away from a filter what a statement, which allows, does not speak of."""
    return [_complete({"effect": "deny", OPPOSITES[key]: values}) for key, values in statement.items()]


def _values(records: Iterable[Record], by: str) -> list[str]:
    """Return the distinct resources (without their tags) or actions that entries name, in order."""
    return list(dict.fromkeys(_named(records, by)))


def _named(records: Iterable[Record], by: str) -> Iterator[str]:
    for record in records:
        for access in record.get("accesses") or []:
            value = access.get(by) if isinstance(access, dict) else None
            if isinstance(value, str) and value:
                # `proj/x:env/y;tag:flag/z;tag`: in a filter the tags would be conditions of their own.
                yield ":".join(part.split(";")[0] for part in value.split(":")) if by == "resource" else value
