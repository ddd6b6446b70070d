"""Translates ConfigCat's audit log items to events, without asking anybody: the same item always gives the same event.

ConfigCat describes its items little (https://api.configcat.com/docs, `AuditLogItemModel`), and `where`, `actionTarget`
and `details` are texts for people. So what is read out of them is read only where it is plain; else it stays None,
and the text itself is in the event or in the kept record.
"""

import re
from datetime import UTC, datetime
from typing import Any

from flagtrail.errors import UnexpectedResponse
from flagtrail.event import Action, ActorKind, Change, Event, Record
from flagtrail.window import from_ms, to_ms
from flagtrail_configcat.vocabulary import MEANINGS, ON_SCHEDULE, SWITCHES, VALUE_CHANGED

_DATE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?", re.ASCII)
_DIGITS = re.compile(r"\d+", re.ASCII)
_SEPARATOR = re.compile(r" (/|>|→|➔) ")
_FLAG_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]*")
# Longer numbers stay text: as numbers, a database or a reader may round them.
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d{1,9})?", re.ASCII)
_LONGEST_SUMMARY = 300


def audit_event(record: Record, organization: str) -> Event:
    """Return what an audit log item means; only an unusable id or date makes it raise UnexpectedResponse."""
    vendor_id, ms = id_and_ms(record)
    vendor_action = _text(record, "auditLogTypeEnum") or _text(record, "auditLogType") or "unknown"
    meaning = MEANINGS.get(vendor_action)
    changes = _changes(record)
    action, kind = meaning or (None, None)
    if vendor_action == VALUE_CHANGED:
        action = _switch(changes) or action
    target = _text(record, "actionTarget")
    named = kind == "flag" and action is not Action.REORDERED  # what is reordered is a list of flags, not one
    project, environment = _project_and_environment(_text(record, "where"))
    email, name = _text(record, "userEmail"), _text(record, "userName")
    return Event(
        vendor_id=vendor_id,
        occurred_at=from_ms(ms),
        actor_kind=_actor_kind(vendor_action, email),
        actor_name=name,
        actor_email=email,
        action=action or vendor_action,
        vendor_action=vendor_action,
        object_kind=kind,
        object_key=target if named and target and _FLAG_KEY.fullmatch(target) else None,
        object_name=target,
        project=project,
        project_name=project,  # the only thing told: there is no key
        environment=environment,
        environment_name=environment,
        organization=organization,
        location=_text(record, "where"),
        summary=_summary(action, vendor_action, _text(record, "auditLogType"), target),
        comment=_text(record, "why"),
        changes=changes,
        truncated=record.get("truncated") is True,
        change_set=_text(record, "changeSetId"),
    )


def id_and_ms(record: Record) -> tuple[str, int]:
    """Return an item's id and its time in milliseconds since the epoch; UnexpectedResponse if either is unusable."""
    audit_log_id, date = record.get("auditLogId"), record.get("auditLogDateTime")
    if type(audit_log_id) is not int and not (isinstance(audit_log_id, str) and _DIGITS.fullmatch(audit_log_id)):
        raise UnexpectedResponse(
            f"ConfigCat sent an audit log item without a usable auditLogId: {_short(audit_log_id)}"
        )
    if isinstance(date, str) and _DATE.fullmatch(date):
        try:
            moment = datetime.fromisoformat(date)  # digits beyond microseconds are cut off
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return str(audit_log_id), to_ms(moment.astimezone(UTC))
        except (ValueError, OverflowError):
            pass  # the 31st of February, or before the year 1: reported below like any other text
    raise UnexpectedResponse(
        f"ConfigCat sent audit log item {audit_log_id} without a usable auditLogDateTime: {_short(date)}"
    )


def _text(record: Record, name: str) -> str | None:
    """Return a text of the item; None when it is missing, null, blank or no text."""
    value = record.get(name)
    return value if isinstance(value, str) and value.strip() else None


def _actor_kind(vendor_action: str, email: str | None) -> ActorKind:
    """Return whether a person acted: only they have an address. What a name without one belongs to is not told."""
    if email:
        return ActorKind.MEMBER
    return ActorKind.AUTOMATION if vendor_action == ON_SCHEDULE else ActorKind.UNKNOWN


def _short(value: Any) -> str:
    return repr(value)[:60]


def _changes(record: Record) -> list[Change] | None:
    """Return the changes that `details` lists; None unless each of its lines is plainly one, and none was left out."""
    details = _text(record, "details")
    if details is None or record.get("truncated") is True:
        return None
    found = [_change(line.strip()) for line in re.split(r"\r?\n", details) if line.strip()]
    plain = [change for change in found if change]
    return plain if len(plain) == len(found) else None


def _change(line: str) -> Change | None:
    """Return the change of a line such as `checkout_v2: false ➔ true`; None when it does not look so."""
    left, arrow, after = line.partition("➔")
    path, colon, before = left.partition(": ")
    if not (arrow and colon and path.strip()) or "➔" in after:
        return None
    return Change(path=path.strip(), before=_value(before.strip()), after=_value(after.strip()))


def _value(text: str) -> bool | int | float | str:
    """Return the boolean or number that a text is; else the text."""
    if text in ("true", "false"):
        return text == "true"
    if _NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    return text


def _switch(changes: list[Change] | None) -> Action | None:
    """Return whether the one change is a boolean that was turned on or off; None for everything else."""
    if changes is None or len(changes) != 1:
        return None
    before, after = changes[0].before, changes[0].after
    flipped = isinstance(before, bool) and isinstance(after, bool) and before is not after
    return SWITCHES[after] if flipped else None


def _project_and_environment(where: str | None) -> tuple[str | None, str | None]:
    """Return product and environment of a text such as `Web Shop / Payments / Production`.

    The vendor does not describe the text. It is understood as product, config and environment when it has two or three
    parts with one kind of separator; else nothing is.
    """
    if where is None or len(set(_SEPARATOR.findall(where))) != 1:
        return None, None
    parts = [part.strip() for part in _SEPARATOR.split(where)[::2]]
    if len(parts) > 3 or not all(parts):
        return None, None
    return parts[0], parts[2] if len(parts) == 3 else None


def _summary(action: Action | None, vendor_action: str, text: str | None, target: str | None) -> str:
    """Return a short sentence that begins with a verb, such as `turned on checkout_v2`."""
    if vendor_action == VALUE_CHANGED:
        verbs = {Action.TURNED_ON: "turned on", Action.TURNED_OFF: "turned off"}
        said, target = verbs.get(action or Action.VALUE_CHANGED, "changed the value of"), target or "a flag"
    else:
        said = text or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", vendor_action).lower()
        if not said[1:2].isupper():  # "SAML" stays, "Created" does not
            said = said[0].lower() + said[1:]
    summary = " ".join((said if target is None else f"{said} {target}").split())
    return summary if len(summary) <= _LONGEST_SUMMARY else summary[: _LONGEST_SUMMARY - 1] + "…"
