"""The shared schema: one change by one actor to one object, whichever vendor tells of it."""

import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, NamedTuple

import orjson
import pydantic_core
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

Record = dict[str, Any]
"""One vendor entry: the untouched JSON object."""


def to_json(value: Any, *, sort_keys: bool = False) -> bytes:
    """Return a value as compact JSON; integers of any size and half surrogate pairs are kept, which orjson refuses."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS if sort_keys else 0)
    except TypeError:
        return json.dumps(value, separators=(",", ":"), sort_keys=sort_keys).encode()


def from_json(text: str | bytes) -> Any:
    """Return what JSON says, integers of any size and half surrogate pairs included; ValueError if it is not whole."""
    try:
        return pydantic_core.from_json(text, allow_inf_nan=False)
    except ValueError:
        return json.loads(text, parse_constant=_refuse)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


class ActorKind(StrEnum):
    """Who acted: a person, an access token, an installed app (SCIM, OAuth), the vendor itself, or nobody named."""

    MEMBER = "member"
    TOKEN = "token"  # noqa: S105
    APP = "app"
    SYSTEM = "system"
    UNKNOWN = "unknown"


class Action(StrEnum):
    """The verbs of the trail. A vendor action that fits none keeps the vendor's word, and is counted in `status`."""

    CREATED = "created"
    DELETED = "deleted"
    UPDATED = "updated"
    RENAMED = "renamed"
    DESCRIBED = "described"
    TAGGED = "tagged"
    REORDERED = "reordered"
    ARCHIVED = "archived"
    RESTORED = "restored"
    DEPRECATED = "deprecated"
    TURNED_ON = "turned_on"
    TURNED_OFF = "turned_off"
    TOGGLED = "toggled"
    TARGETING_CHANGED = "targeting_changed"
    ROLLOUT_CHANGED = "rollout_changed"
    VARIATION_CHANGED = "variation_changed"
    VALUE_CHANGED = "value_changed"
    SETTINGS_CHANGED = "settings_changed"
    COPIED = "copied"
    REQUESTED = "requested"
    APPROVED = "approved"
    REJECTED = "rejected"
    APPLIED = "applied"
    SCHEDULED = "scheduled"
    CLOSED = "closed"
    COMMENTED = "commented"
    INVITED = "invited"
    JOINED = "joined"
    LEFT = "left"
    REMOVED = "removed"
    ACTIVATED = "activated"
    DEACTIVATED = "deactivated"
    ROLE_CHANGED = "role_changed"
    PERMISSIONS_CHANGED = "permissions_changed"
    CREDENTIAL_ROTATED = "credential_rotated"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    UPLOADED = "uploaded"
    VIEWED = "viewed"


class Ref(NamedTuple):
    """Another entry of the same source, named the way the vendor names it."""

    stream: str
    vendor_id: str


class Change(BaseModel):
    """One changed place inside the object: where, what it was, what it is."""

    model_config = ConfigDict(frozen=True)

    path: str
    before: Any = None
    after: Any = None


def _millisecond(instant: datetime) -> datetime:
    """Return the instant in UTC, cut to the millisecond that windows are measured in."""
    if instant.tzinfo is UTC and instant.microsecond % 1000 == 0:
        return instant
    instant = instant.astimezone(UTC)
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


class Event(BaseModel):
    """One change as a connector tells it. What the vendor does not say stays None; nothing is guessed.

    `truncated`: the vendor cut its account of the change short. `provisional`: the vendor will still change it, as it
    does while it measures an impact. The store adds the rest of the row: id, source, vendor, stream, first_seen_at,
    revision, vanished_at, vanished_reason.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    vendor_id: Annotated[str, Field(min_length=1)]
    occurred_at: Annotated[AwareDatetime, AfterValidator(_millisecond)]
    actor_kind: ActorKind = ActorKind.UNKNOWN
    actor_id: str | None = None
    actor_name: str | None = None
    actor_email: str | None = None
    action: str
    vendor_action: str
    object_kind: str | None = None
    object_key: str | None = None
    object_name: str | None = None
    project: str | None = None
    environment: str | None = None
    organization: str | None = None
    location: str | None = None
    summary: str | None = None
    comment: str | None = None
    changes: list[Change] | None = None
    impact: Record | None = None
    truncated: bool = False
    provisional: bool = False
    change_set: str | None = None
    related_event: Ref | None = None
    url: str | None = None
