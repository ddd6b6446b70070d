"""What the commands do that are asked in an incident: around, state."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.text import Text

from flagtrail.around import Around
from flagtrail.around import around as look_around
from flagtrail.cli.asking import check_said, open_store, trust
from flagtrail.cli.options import Simple, moment
from flagtrail.cli.showing import dumps, local, out, plain, plain_table, print_json, say, zone
from flagtrail.completeness import Completeness, completeness
from flagtrail.config import load
from flagtrail.errors import ConfigError
from flagtrail.facts import Fact
from flagtrail.query import Query, check_known
from flagtrail.state import FlagState
from flagtrail.state import state as look_at
from flagtrail.store import Store
from flagtrail.suspects import Suspect
from flagtrail.when import parse_span, spoken
from flagtrail.window import EPOCH, MILLISECOND

END = datetime(9000, 1, 1, tzinfo=UTC)
MOST_CHANGES = 3  # of a suspect that are shown; `flagtrail show` has all
MOST_UNREAD = 5  # spans of unread time that are shown


def around(
    at: str, before: str, after: str, limit: int, output: Simple | None, config: Path | None, **where: str | None
) -> None:
    """Show what changed around a moment, the likeliest cause first."""
    check_said(where)
    middle, now = _instant(at), datetime.now(UTC)
    if middle > now + timedelta(minutes=1):
        raise ConfigError(f"{at} lies in the future: nothing has happened then yet")
    back, on = _span("--before", before), _span("--after", after)
    if back > middle - EPOCH:
        raise ConfigError(
            f"--before {before}: that is before 1970, when there was nothing to change; write a shorter one"
        )
    if on > END - middle:
        raise ConfigError(f"--after {after}: that is after the year {END.year}; write a shorter one")
    with open_store(config) as store:
        until = min(middle + on + MILLISECOND, now)
        told = _how_complete(store, Query(since=middle - back, until=until), config)
        configured = load(config).vendors()
        found = look_around(store, middle, before=back, after=on, limit=limit, configured=configured, **where)
        if _form(output) is Simple.JSON:
            print_json(found.as_dict())
        else:
            _show_around(found)
        say(trust(told))


def state(flag: str, at: str, output: Simple | None, config: Path | None, **where: str | None) -> None:
    """Show what a flag was at a moment, as far as it is known."""
    check_said(where)
    with open_store(config) as store:
        check_known(store, Query(vendor=where.get("vendor")))
        told = _how_complete(store, Query(vendor=where.get("vendor"), project=where.get("project")), config)
        found = look_at(store, flag, _instant(at), **where)
        say(trust(told))
        if not found:
            raise ConfigError(f"no event is about a flag {flag!r}; `flagtrail events --object '*part*'` finds names")
        if _form(output) is Simple.JSON:
            print_json([one.as_dict() for one in found])
        else:
            for one in found:
                _show_state(one)


def _form(output: Simple | None) -> Simple:
    """Return how to write: as asked, else a table for a terminal and JSON for a program."""
    return output or (Simple.TABLE if out.is_terminal else Simple.JSON)


def _instant(text: str) -> datetime:
    found = moment(text)
    assert found is not None
    return found


def _span(option: str, text: str) -> timedelta:
    if text.strip() == "0":
        return timedelta()
    try:
        return parse_span(text)
    except ValueError as error:
        raise ConfigError(f"{option}: {error}, or 0") from None


def _how_complete(store: Store, query: Query, config: Path | None) -> Completeness:
    """Return how far an answer that is read after this can be trusted."""
    return completeness(store, query, configured=load(config).vendors())


def _show_around(found: Around) -> None:
    when = f"{local(found.moment)} {zone(found.moment)}"
    title = f"around {when}: {len(found.suspects)} of {found.changes} changes, likeliest first"
    out.print(Text(title, style="bold"))
    if not found.suspects:
        out.print(Text("nothing is known to have changed then", style="dim"))
    rows = [_line(rank, suspect) for rank, suspect in enumerate(found.suspects, start=1)]
    if rows:
        out.print(plain_table(("", "when", "where", "what", "why"), rows, right=("",)))
        for rank, suspect in enumerate(found.suspects, start=1):
            page = suspect.row["url"] or f"flagtrail show {suspect.row['id'][:8]}"
            out.print(Text(f"{rank} {plain(page)}", style="dim"), soft_wrap=True)  # a broken link leads nowhere
    for one in found.unread[:MOST_UNREAD]:
        streams = one.streams[0] if len(one.streams) == 1 else f"{len(one.streams) or 'all'} streams"
        say(f"not read: {one.source}, {streams}, {local(one.since)} to {local(one.until)}: {one.reason}")
    if len(found.unread) > MOST_UNREAD:
        say(f"and {len(found.unread) - MOST_UNREAD} more spans that were not read: -o json tells all")


def _line(rank: int, suspect: Suspect) -> tuple[object, ...]:
    row = suspect.row
    early = suspect.after <= timedelta()
    when = f"{spoken(abs(suspect.after))} {'before' if early else 'after'}"
    who = plain(row["actor_name"] or row["actor_email"] or row["actor_id"] or row["actor_kind"])
    named = (
        row["summary"] or f"{row['action']} {row['object_kind'] or ''} {row['object_key'] or row['object_name'] or ''}"
    )
    what = Text(f"{who} {plain(named)}")
    for change in (row["changes"] or ())[:MOST_CHANGES]:
        what.append(f"\n{plain(_change(change))}", style="cyan")
    if suspect.saved_with:
        others = [plain(other["object_key"] or other["object_name"] or other["id"][:8]) for other in suspect.saved_with]
        more = f" and {len(others) - 5} more" if len(others) > 5 else ""
        what.append(f"\nsaved with {', '.join(others[:5])}{more}", style="dim")
    if row["comment"]:
        what.append(f"\n{plain(row['comment'])}", style="italic dim")
    places = (row["vendor"], row["project"], row["environment"])
    where = Text("\n".join(plain(place) for place in places if place))
    return rank, when, where, what, suspect.why


def _change(change: dict[str, Any]) -> str:
    before, after = (value if isinstance(value, str) else dumps(value) for value in (change["before"], change["after"]))
    return f"{change['path']}: {before} → {after}"


def _show_state(one: FlagState) -> None:
    where = " · ".join(plain(part) for part in (one.vendor, one.source, one.place or one.project) if part)
    out.print(Text(f"\n{plain(one.key)} at {local(one.at)} {zone(one.at)} · {where}", style="bold"))
    told = [fact for fact in (one.exists, *one.facts) if fact]
    table = plain_table(("environment", "what", "value", "how it is known"), map(_fact_line, told))
    out.print(table)
    for note in one.notes:
        say(note)


def _fact_line(fact: Fact) -> tuple[object, ...]:
    name = fact.name or "all of it"
    value = (
        {True: "yes", False: "no"}[fact.value]
        if fact.member is not None or fact.name == "exists"
        else _said(fact.value)
    )
    if fact.member is not None:
        name = f"{name} has {_said(fact.member)}"
    made = "told by the change of" if fact.name == "exists" else "since" if fact.how == "after" else "found by that of"
    how = Text(f"{made} {local(fact.event_at)} ({fact.event[:8]})")
    _add(how, fact.doubts, "yellow")
    _add(how, fact.remarks, "dim")
    shown = Text(plain(value), style="green") if fact.known else Text(f"maybe {plain(value)}", style="yellow")
    return fact.environment or "", name, shown, how


def _said(value: Any) -> str:
    return "nothing" if value is None else value if isinstance(value, str) else dumps(value)


def _add(text: Text, lines: Iterable[str], style: str) -> None:
    for line in lines:
        text.append(f"\n{plain(line)}", style=style)
