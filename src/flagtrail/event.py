"""The shared schema: one change by one actor to one object, whichever vendor tells of it."""

import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, NamedTuple, Self, TypeVar

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


Verb = TypeVar("Verb", bound="ActorKind | Action")


def _with_meaning(cls: type[Verb], value: str, meaning: str) -> Verb:
    """Return a member of an enumeration of texts that carries a line about what it means."""
    member = str.__new__(cls, value)
    member._value_ = value
    member.meaning = meaning
    return member


class ActorKind(StrEnum):
    """Who acted, as far as the vendor says it; nothing is concluded from a name."""

    def __new__(cls, value: str, meaning: str = "") -> Self:
        """Make a kind with its meaning."""
        return _with_meaning(cls, value, meaning)

    meaning: str

    MEMBER = "member", "a person, also one who used an access token of their own"
    TOKEN = "token", "an access token that belongs to no person"
    APP = "app", "an installed application, such as one that provisions people (SCIM), or signs in by OAuth"
    AUTOMATION = "automation", "a rule that somebody had set up: a schedule, a trigger, a workflow"
    SYSTEM = "system", "the vendor itself"
    UNKNOWN = "unknown", "the vendor does not say who, or not of what kind"


class Action(StrEnum):
    """The verbs of the trail: what was done. To what it was done, `object_kind` says.

    A vendor's word that fits none stays as it is, and is counted in `status`. Each has its `meaning`, of which
    docs/vocabulary.md is made; the connectors' `vocabulary` modules say which of the vendors' words is which verb.
    """

    def __new__(cls, value: str, meaning: str = "") -> Self:
        """Make a verb with its meaning."""
        return _with_meaning(cls, value, meaning)

    meaning: str

    # What is served.
    TURNED_ON = "turned_on", "it began to act: a flag, a webhook, an integration, a setting with a switch"
    TURNED_OFF = "turned_off", "it ceased to act"
    TOGGLED = "toggled", "turned on or off, archived or restored, deprecated or not: the vendor does not say which"
    TARGETING_CHANGED = "targeting_changed", "who gets what: rules, targets, prerequisites, the members of a segment"
    ROLLOUT_CHANGED = "rollout_changed", "how many get what: percentages, a guarded rollout, the phase of a release"
    VARIATION_CHANGED = "variation_changed", "what there is to serve: variations, their values, the one while off"
    VALUE_CHANGED = "value_changed", "what is served, by a vendor with one word for values, rules and percentages"
    COPIED = "copied", "settings of a flag were copied to or from another flag or environment, or into a new flag"
    SCHEDULED = "scheduled", "changes for later were planned, altered or called off"
    # How an object lives.
    CREATED = "created", "it was made"
    DELETED = "deleted", "it is gone for good"
    ARCHIVED = "archived", "it was put away, and can be restored"
    RESTORED = "restored", "it was taken back from the archive, or is not deprecated any more"
    DEPRECATED = "deprecated", "it is not to be used any more"
    RENAMED = "renamed", "its name, or that of a person, was changed"
    DESCRIBED = "described", "its description, or that of a part of it, was changed"
    TAGGED = "tagged", "tags were added to it or taken off: not every vendor says which"
    REORDERED = "reordered", "the order in which objects stand was changed"
    TRANSFERRED = "transferred", "somebody else owns or maintains it now"
    CONNECTED = "connected", "it was linked to something else: a ticket, a view, a pipeline, another service"
    DISCONNECTED = "disconnected", "such a link was taken away"
    UPLOADED = "uploaded", "data was sent in, such as references in code"
    TESTED = "tested", "it was tried out, such as the connection of an integration"
    SETTINGS_CHANGED = "settings_changed", "how it is set up was changed, though not what a flag serves"
    UPDATED = "updated", "it was changed, and no other verb says how"
    VIEWED = "viewed", "something that the vendor keeps account of was looked at, such as a key"
    # How changes are approved.
    REQUESTED = "requested", "somebody asked for a change, or to be let in"
    REVIEWED = "reviewed", "a request was approved, rejected or commented on: the vendor does not say which"
    APPROVED = "approved", "a request was approved"
    DISMISSED = "dismissed", "an approval was taken back"
    REJECTED = "rejected", "a request or an invitation was turned down"
    COMMENTED = "commented", "a comment was written or edited"
    APPLIED = "applied", "a requested change was carried out"
    BYPASSED = "bypassed", "a change was made without the approval that it needed"
    CLOSED = "closed", "a request was ended without being carried out"
    # Who may do what.
    INVITED = "invited", "a person was invited, or again"
    NOTIFIED = "notified", "a person was sent a message, such as a recovery code"
    JOINED = "joined", "a person became part of a team, a project or an organization"
    LEFT = "left", "a person went by themself"
    REMOVED = "removed", "a person was taken out by somebody else"
    ACTIVATED = "activated", "a person may sign in again, or a domain was proved to be one's own"
    DEACTIVATED = "deactivated", "a person may not sign in any more"
    ROLE_CHANGED = "role_changed", "a person or a team has other roles"
    PERMISSIONS_CHANGED = "permissions_changed", "a role, a team or a token may do something else"
    MEMBERS_CHANGED = "members_changed", "other people or tokens belong to a team or a role"
    CREDENTIAL_ROTATED = "credential_rotated", "a key, a token, a secret or a certificate was replaced by a new one"
    CREDENTIAL_REVOKED = "credential_revoked", "a token, a session or a second factor was made void, and not replaced"


class Term(NamedTuple):
    """A word of a vendor's, and what it is here.

    `action` is None where the word tells only of a kind of object, and `object_kind` where it tells only of a verb.
    `when` is the condition in the vendor's own fields, if there is one, as a clause in Markdown.
    """

    word: str
    action: Action | None = None
    object_kind: str | None = None
    when: str = ""


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

    `project` and `environment` are keys, which stay when a name is changed; of a vendor that tells only names, they are
    the names. `project_name` and `environment_name` are what people read there, where the record says so.
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
    project_name: str | None = None
    environment: str | None = None
    environment_name: str | None = None
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
