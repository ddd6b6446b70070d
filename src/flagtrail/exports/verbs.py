"""Sorts the verbs of the trail into what other schemas know: created, deleted, looked at, talked about, or changed."""

from enum import Enum

from flagtrail.event import Action


class Deed(Enum):
    """What a verb does to its object."""

    CREATE = "create"
    READ = "read"
    CHANGE = "change"
    DELETE = "delete"
    TELL = "tell"  # a step of a workflow about it, or a remark: the object stays as it is
    UNKNOWN = "unknown"  # the vendor's own word


OTHERS = {
    Deed.CREATE: {Action.CREATED, Action.COPIED, Action.UPLOADED},
    Deed.READ: {Action.VIEWED},
    Deed.DELETE: {Action.DELETED, Action.REMOVED},
    Deed.TELL: {
        Action.REQUESTED, Action.APPROVED, Action.REJECTED, Action.SCHEDULED, Action.CLOSED, Action.COMMENTED,
        Action.INVITED,
    },
}  # fmt: skip
DEEDS = {str(action): Deed.CHANGE for action in Action} | {
    str(action): deed for deed, actions in OTHERS.items() for action in actions
}


def deed_of(action: str) -> Deed:
    """Return what a verb does."""
    return DEEDS.get(action, Deed.UNKNOWN)
