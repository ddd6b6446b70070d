"""Translates LaunchDarkly's audit entries and flag events into events: the same record always gives the same event.

Nothing but an unusable id or time is refused: every other field is optional here, whatever the documentation says, and
an unknown kind or action passes through. The translation of actions is in `vocabulary`.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from flagtrail.errors import UnexpectedResponse
from flagtrail.event import ActorKind, Event, Record, Ref
from flagtrail.window import from_ms, to_ms
from flagtrail_launchdarkly.versions import told_changes
from flagtrail_launchdarkly.vocabulary import EVENT_TYPES, kind_of, most_significant

AUDIT_LOG = "audit_log"
UNNAMED = "unknown"  # the action of an entry that names none
WAITING = "waiting"  # the reason of an impact while the ten minutes after the change are measured
LAST_MS = 253_402_300_799_999  # the end of the year 9999


def audit_id_and_ms(record: Any) -> tuple[str, int]:
    """Return the id and the time of an audit entry; raise UnexpectedResponse when one is unusable."""
    return _id_and_ms(record, "_id", "date", "an audit log entry")


def flag_event_id_and_ms(record: Any) -> tuple[str, int]:
    """Return the id and the time of a flag event; raise UnexpectedResponse when one is unusable."""
    return _id_and_ms(record, "id", "eventTime", "a flag event")


def audit_event(record: Record, base_url: str) -> Event:
    """Return what an audit entry means; its changes are told only by its full form."""
    id_, ms = audit_id_and_ms(record)
    words, resources = _accesses(record)
    target = _object(record, "target")
    place = _place((*_texts(target.get("resources")), *resources))
    actor = _actor(record)
    verb = _text(record, "titleVerb") or ""
    action = most_significant(words, verb)
    kind = kind_of(_text(record, "kind") or place.kind)
    name = _text(record, "name") or _text(target, "name")
    parent = _object(record, "parent")
    above, name_above = _place((_text(parent, "resource") or "",)), _text(parent, "name")
    named = {(above.kind, above.key): name_above, (place.kind, place.key): name}
    said = str(action or (words[0].strip() if words else "") or UNNAMED)
    return Event(
        vendor_id=id_,
        occurred_at=from_ms(ms),
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_name=actor.name,
        actor_email=actor.email,
        action=said,
        vendor_action=",".join(words),
        object_kind=kind,
        object_key=place.key,
        object_name=name,
        project=place.project,
        project_name=named.get(("proj", place.project)) if place.project else None,
        environment=place.environment,
        environment_name=named.get(("env", place.environment)) if place.environment else None,
        organization=_text(record, "_accountId"),
        summary=_sentence(verb or _verb(said, kind), name or place.key, name_above if above.kind == "env" else None),
        comment=_text(record, "comment"),
        changes=told_changes(record),
        url=_page(record, base_url),
    )


def flag_event(record: Record, base_url: str) -> Event:
    """Return what a flag event means: a change of a flag, with its impact on what was served."""
    id_, ms = flag_event_id_and_ms(record)
    actor = _actor(record)
    event_type = _text(record, "eventType") or ""
    action = EVENT_TYPES.get(event_type) or most_significant(_texts(record.get("actions")))
    audit_id = _text(record, "auditLogEntryId")
    impact = _object(record, "impact")
    return Event(
        vendor_id=id_,
        occurred_at=from_ms(ms),
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_name=actor.name,
        actor_email=actor.email,
        action=str(action or event_type or UNNAMED),
        vendor_action=event_type,
        object_kind="flag",
        object_key=_text(record, "flagKey"),
        project=_text(record, "projectKey"),
        environment=_text(record, "environmentKey"),
        summary=_text(record, "description"),
        impact=impact or None,
        provisional=impact.get("reason") == WAITING,
        related_event=Ref(AUDIT_LOG, audit_id) if audit_id else None,
        url=_page(record, base_url),
    )


class _Actor(NamedTuple):
    kind: ActorKind = ActorKind.UNKNOWN
    id: str | None = None
    name: str | None = None
    email: str | None = None


def _actor(record: Record) -> _Actor:
    """Return who acted: the member, also when it was through a token; else the app, the token, a trigger, or nobody.

    `subject` has a name and no kind. `triggerBody` is what an outside tool sent to a flag trigger ("external trigger").
    """
    if member := _object(record, "member"):
        email = _text(member, "email")
        names = (_text(member, "firstName"), _text(member, "lastName"))
        return _Actor(
            ActorKind.MEMBER,
            _text(member, "_id") or _text(member, "id"),
            " ".join(name for name in names if name) or email,
            email,
        )
    for key, kind in (("app", ActorKind.APP), ("token", ActorKind.TOKEN)):
        if named := _object(record, key):
            return _Actor(kind, _text(named, "_id"), _text(named, "name"))
    kind = ActorKind.AUTOMATION if record.get("triggerBody") else ActorKind.UNKNOWN
    return _Actor(kind, None, _text(_object(record, "subject"), "name"))


class _Place(NamedTuple):
    """Where an object is: what all of its resource specifiers agree on."""

    kind: str | None
    key: str | None
    project: str | None
    environment: str | None


@lru_cache(maxsize=4096)  # the same flags and environments again and again
def _place(resources: tuple[str, ...]) -> _Place:
    """Return what resource specifiers such as `proj/web:env/test;eu:flag/map-view;growth` tell."""
    parsed = [[_segment(part) for part in resource.split(":")] for resource in resources]
    kind, key = parsed[0][-1] if parsed else ("", "")
    return _Place(kind or None, key or None, _agreed(parsed, "proj"), _agreed(parsed, "env"))


def _segment(part: str) -> tuple[str, str]:
    type_, _, key = part.partition(";")[0].strip("/").partition("/")
    return type_, key


def _agreed(parsed: list[list[tuple[str, str]]], wanted: str) -> str | None:
    """Return the one key of a type that every specifier has; None when they differ, or one has none."""
    found = {dict(segments).get(wanted, "") for segments in parsed}
    key = found.pop() if len(found) == 1 else ""
    return key if key != "*" and key else None


def _accesses(record: Record) -> tuple[list[str], list[str]]:
    """Return the actions and the resources of an entry, each once and in order."""
    accesses = record.get("accesses")
    found = [access for access in accesses if isinstance(access, dict)] if isinstance(accesses, list) else []
    words = _texts([access.get("action") for access in found])
    resources = _texts([access.get("resource") for access in found])
    return list(dict.fromkeys(words)), list(dict.fromkeys(resources))


def _verb(action: str, kind: str | None) -> str:
    """Return a verb for an entry that comes without one."""
    return f"{action} the {kind}".replace("_", " ") if kind else action.replace("_", " ")


def _sentence(verb: str, name: str | None, environment: str | None) -> str:
    """Return a sentence without its subject, such as `turned on the flag Checkout v2 in Production`."""
    words = [verb[:1].lower() + verb[1:], *([name] if name else []), *(["in", environment] if environment else [])]
    return " ".join(" ".join(words).split())


def _page(record: Record, base_url: str) -> str | None:
    """Return the address of the vendor's page; only a path on the vendor's own host is believed."""
    href = _text(_object(_object(record, "_links"), "site"), "href")
    # Browsers take `//host` and `/\host` for another host.
    if href is None or not re.fullmatch(r"/(?:[^/\\\s][^\\\s]*)?", href):
        return None
    return base_url.rstrip("/") + href


def _id_and_ms(record: Any, id_key: str, time_key: str, what: str) -> tuple[str, int]:
    if not isinstance(record, dict):
        raise UnexpectedResponse(f"LaunchDarkly shows {what} that is no JSON object: {_quoted(record)}")
    id_ = record.get(id_key)
    if not isinstance(id_, str) or not 0 < len(id_) <= 200 or not id_.isprintable() or id_.isspace():
        raise UnexpectedResponse(f"LaunchDarkly shows {what} without a usable {id_key}: {_quoted(id_)}")
    ms = _ms(record.get(time_key))
    if ms is None or not 0 <= ms <= LAST_MS:
        raise UnexpectedResponse(
            f"LaunchDarkly shows {what} ({id_}) without a usable {time_key}: {_quoted(record.get(time_key))}"
        )
    return id_, ms


def _ms(value: Any) -> int | None:
    """Return a time in milliseconds: a number, a number as text (as in the vendor's examples), or an ISO date."""
    if isinstance(value, str) and re.fullmatch(r"\d{1,15}", value, re.ASCII):
        return int(value)
    if isinstance(value, str):
        try:
            instant = datetime.fromisoformat(value)
            return to_ms(instant if instant.tzinfo else instant.replace(tzinfo=UTC))
        except (ValueError, OverflowError):
            return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _quoted(value: Any) -> str:
    return ascii(value)[:80]


def _object(record: Record, key: str) -> Record:
    value = record.get(key)
    return value if isinstance(value, dict) else {}


def _text(record: Record, key: str) -> str | None:
    """Return a text, without what no database takes; None when it is absent, blank or no text."""
    value = record.get(key)
    return _kept(value) if isinstance(value, str) else None


def _kept(value: str) -> str | None:
    if not value or value.isspace():
        return None
    if value.isascii() and "\x00" not in value:
        return value
    return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def _texts(values: Any) -> list[str]:
    """Return the texts among the values of a list."""
    given = values if isinstance(values, list) else []
    return [text for value in given if isinstance(value, str) and (text := _kept(value))]
