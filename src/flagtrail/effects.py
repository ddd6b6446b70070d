"""Tells what kind of change may alter what users get, and which environments users are in, by words alone."""

import re
from enum import StrEnum

from flagtrail.event import Action as A  # noqa: N817 - the table below is read more often than this line


class Effect(StrEnum):
    """What a change may do to what users get."""

    SERVED = "served"
    POSSIBLE = "possible"
    NONE = "none"


_BY_EFFECT = {
    Effect.SERVED: (
        A.TURNED_ON, A.TURNED_OFF, A.TOGGLED, A.TARGETING_CHANGED, A.ROLLOUT_CHANGED, A.VARIATION_CHANGED,
        A.VALUE_CHANGED, A.ARCHIVED, A.RESTORED, A.DELETED, A.COPIED, A.APPLIED, A.BYPASSED, A.CREDENTIAL_ROTATED,
        A.CREDENTIAL_REVOKED,
    ),
    Effect.POSSIBLE: (
        A.UPDATED, A.SETTINGS_CHANGED, A.CONNECTED, A.DISCONNECTED, A.ACTIVATED, A.DEACTIVATED, A.REMOVED, A.REORDERED,
        A.UPLOADED,
    ),
    Effect.NONE: (
        A.CREATED, A.RENAMED, A.DESCRIBED, A.TAGGED, A.DEPRECATED, A.REQUESTED, A.APPROVED, A.REJECTED, A.SCHEDULED,
        A.CLOSED, A.COMMENTED, A.INVITED, A.JOINED, A.LEFT, A.ROLE_CHANGED, A.PERMISSIONS_CHANGED, A.VIEWED,
        A.REVIEWED, A.TESTED, A.TRANSFERRED, A.DISMISSED, A.NOTIFIED, A.MEMBERS_CHANGED,
    ),
}  # fmt: skip
EFFECTS: dict[str, Effect] = {str(action): effect for effect, actions in _BY_EFFECT.items() for action in actions}
"""What each verb of the trail may do; a verb that is not here may do anything."""

OF_KIND: dict[str, dict[str, Effect]] = {
    "segment": {"updated": Effect.SERVED, "reordered": Effect.SERVED},
    "change_request": {"updated": Effect.NONE, "deleted": Effect.NONE},
    "approval_request": {"updated": Effect.NONE, "deleted": Effect.NONE},
}
"""Verbs that mean more, or less, for one kind of object."""

BYSTANDERS = frozenset({
    "account", "member", "team", "role", "invitation", "join_request", "permission_group", "organization",
    "webhook", "tag", "code_reference", "code_reference_repository", "token", "access_token",
    "integration", "integration_link", "domain", "single_sign_on", "provisioning", "sync_group", "signing_key",
    "proxy_notification", "metric", "metric_group", "view", "destination", "template", "announcement", "application",
})  # fmt: skip
"""Kinds of objects that serve nothing to anybody, whatever is done to them."""

PRODUCTION = frozenset({"production", "prod", "prd", "live"})
ELSEWHERE = frozenset({
    "test", "tests", "testing", "dev", "develop", "development", "staging", "stage", "stg", "qa", "uat", "preview",
    "demo", "sandbox", "local", "ci", "load", "training", "integration", "int", "nonproduction", "nonprod",
    "preproduction", "preprod", "pre", "non", "experimental", "playground",
})  # fmt: skip


def effect_of(action: str, object_kind: str | None) -> Effect:
    """Return what a change may do to what users get; what nobody knows may do something."""
    kind = (object_kind or "").lower()
    if kind in BYSTANDERS:
        return Effect.NONE
    return OF_KIND.get(kind, {}).get(action) or EFFECTS.get(action, Effect.POSSIBLE)


def is_production(environment: str) -> bool | None:
    """Return whether users are in an environment, by the words of its name; None when these do not tell.

    `eu-production` and `Live` are, `pre-production` and `load-test` are not, `canary` may be.
    """
    found = set(re.split(r"[\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", environment).lower()))
    if found & ELSEWHERE:
        return False
    return True if found & PRODUCTION else None
