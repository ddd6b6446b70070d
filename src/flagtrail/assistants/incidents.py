"""The questions of an incident, as assistants ask them: what changed around a moment, and what a flag was at it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from flagtrail.around import around
from flagtrail.assistants import asked as ask
from flagtrail.assistants.fitting import ROOM, event_row, fitted, kept_document, line, plain, quoted, size
from flagtrail.assistants.tools import Answer, Trail
from flagtrail.facts import Fact
from flagtrail.query import Query, QueryError, check_known
from flagtrail.state import FlagState, check_pattern, state
from flagtrail.suspects import Suspect
from flagtrail.window import MILLISECOND, iso

SLACK = timedelta(minutes=1)  # by which a clock may be ahead of ours
UNREAD = 10  # spans of unread time that are told
NAMED = 20  # events saved together, doubts, notes
FLAG = 2_000  # bytes that a flag takes at least


def changes_around(trail: Trail, asked: ask.ChangesAround) -> Answer:
    """Return what changed around a moment, the likeliest causes first."""
    middle, now = ask.moment(asked.at), datetime.now(UTC)
    if middle > now + SLACK:
        raise QueryError(f"at: {asked.at} lies in the future: nothing has happened then yet")
    back, on = ask.span("before", asked.before), ask.span("after", asked.after)
    trust = trail.trust(Query(since=middle - back, until=min(middle + on + MILLISECOND, now)))
    found = around(
        trail.store, middle, before=back, after=on,
        environment=asked.environment or None, project=asked.project or None, object=asked.object or None, limit=0,
        configured=trail.configured,
    )  # fmt: skip
    ranked = list(enumerate(found.suspects, start=1))
    shown = fitted(ranked[: asked.limit], _suspect, _suspect_line, ROOM - 4_000)
    unread = [
        {"source": one.source, "streams": len(one.streams), "since": iso(one.since), "until": iso(one.until),
         "reason": plain(kept_document(one.reason, 200))} for one in found.unread[:UNREAD]
    ]  # fmt: skip
    told = {"moment": iso(middle), "since": iso(found.since), "until": iso(found.until), "changes": found.changes}
    told |= {"suspects": shown.rows, "left_out": len(ranked) - len(shown.rows)}
    told |= {"unread": unread, "unread_in_all": len(found.unread)}
    told["completeness"] = trust
    head = f"{len(shown.rows)} of {len(ranked)} suspects around {iso(middle)}, likeliest first"
    missing = [f"{len(found.unread)} spans of that time were not read"] if found.unread else []
    return Answer(told, [head, *shown.lines, *missing])


def _suspect(ranked: tuple[int, Suspect]) -> dict[str, Any]:
    rank, one = ranked
    told: dict[str, Any] = {"rank": rank, "score": round(one.score, 2), "seconds_after": one.after.total_seconds()}
    saved = [row["id"] for row in one.saved_with]
    told |= {"why": plain(kept_document(one.why, 600)), "saved_with": saved[:NAMED], "saved_with_in_all": len(saved)}
    told["points"] = {reason.factor: reason.points for reason in one.reasons}
    return told | {"event": event_row(one.row)}


def _suspect_line(ranked: tuple[int, Suspect]) -> str:
    rank, one = ranked
    return f"{rank}. {line(one.row)}: {quoted(one.why, 200)}"


def flag_state(trail: Trail, asked: ask.FlagState) -> Answer:
    """Return what flags were at a moment, as far as the trail knows it."""
    at = ask.moment(asked.at)
    check_pattern(asked.flag)
    where = {name: getattr(asked, name) or None for name in ("environment", "project", "vendor")}
    check_known(trail.store, Query(vendor=where["vendor"]))
    trust = trail.trust(Query(vendor=where["vendor"], project=where["project"]))
    found = state(trail.store, asked.flag, at, **where)
    if not found:
        raise QueryError(f"no event is about a flag {asked.flag!r}; search_events with object:*part* finds names")
    told: list[dict[str, Any]] = []
    lines: list[str] = []
    room = ROOM
    for place, one in enumerate(found):
        share = max(FLAG, room // (len(found) - place))
        if room < FLAG:
            break
        row, said, taken = _flag(one, share)
        told.append(row)
        lines += said
        room -= taken
    left_out = len(found) - len(told)
    answer = {"at": iso(at), "flags": told, "left_out": left_out, "completeness": trust}
    head = f"{len(told)} of {len(found)} flags at {iso(at)}; what is not known stands as such"
    return Answer(answer, [head, *lines])


def _flag(one: FlagState, room: int) -> tuple[dict[str, Any], list[str], int]:
    """Return a flag with as many of its facts as fit, its lines, and how much room both take."""
    names = ("vendor", "source", "project", "place", "key", "name", "events")
    told = {name: plain(kept_document(getattr(one, name), 100)) for name in names}
    told["exists"] = _fact(one.exists) if one.exists else None
    told["notes"] = [plain(kept_document(note, 200)) for note in one.notes[:NAMED]]
    head = f"{one.vendor} {quoted(one.project or '')} {quoted(one.key)}"
    facts = fitted(one.facts, _fact, _fact_line, room - size(told) - size(head) - 100)
    told |= {"facts": facts.rows, "facts_left_out": facts.left_out}
    exists = [f"  {_fact_line(one.exists)}"] if one.exists else []
    lines = [head, *exists, *(f"  {each}" for each in facts.lines)]
    return told, lines, size(told) + size("\n".join(lines))


def _fact(fact: Fact) -> dict[str, Any]:
    told = {"environment": fact.environment, "name": fact.name, "value": fact.value, "known": fact.known}
    told |= {"how": fact.how, "event": fact.event, "event_at": fact.event_at}
    told |= {"member": fact.member} if fact.member is not None else {}
    told = {name: plain(kept_document(value, 300)) for name, value in told.items()}
    for name in ("doubts", "remarks"):
        if texts := getattr(fact, name):
            told[name] = [plain(kept_document(each, 200)) for each in texts[:3]]
            told |= {f"{name}_in_all": len(texts)} if len(texts) > 3 else {}
    return told


def _fact_line(fact: Fact) -> str:
    where = f"{quoted(fact.environment)} " if fact.environment else ""
    member = f" has {quoted(fact.member)}" if fact.member is not None else ""
    sure = "" if fact.known else "NOT KNOWN, maybe "
    return f"{where}{quoted(fact.name)}{member}: {sure}{quoted(fact.value, 120)} by event {fact.event[:12]}"
