"""Knows that one person goes by several names: whom a text means, and who acted in an event.

The same e-mail address is the same person at every vendor, in whatever case it is written. What else is theirs (other
addresses, the vendors' ids, names) is said by the config, in `[[person]]`, and never concluded.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from flagtrail.event import ActorKind

HUMAN = (ActorKind.MEMBER, ActorKind.UNKNOWN)  # kinds of actors whose names may be those of persons


def _address(text: str) -> str:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", text):
        raise ValueError(f"{text!r} is no e-mail address")
    return text


Identity = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class PersonSettings(BaseModel):
    """One `[[person]]` of the config, who goes by more than one name."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    email: Annotated[Identity, AfterValidator(_address)]
    """The address that the person is known by here."""
    name: Identity | None = None
    """How the person is shown; else as the vendor says."""
    also: list[Identity] = []
    """Everything else that means the same person at any vendor: other addresses, ids, names."""

    @property
    def identities(self) -> tuple[str, ...]:
        """All that means this person, the main address first."""
        return (self.email, *self.also, *([self.name] if self.name else []))


class Person(NamedTuple):
    """Who acted: `key` is the same for the same one in every event, and `name` is for people."""

    key: str
    name: str


class People:
    """All persons that the config tells of. Case does not matter in any identity."""

    def __init__(self, known: Iterable[PersonSettings] = ()) -> None:
        """Raise ValueError, which names both, when one identity belongs to two persons."""
        self._by_identity: dict[str, PersonSettings] = {}
        for person in known:
            for identity in person.identities:
                other = self._by_identity.setdefault(_folded(identity), person)
                if other is not person and _folded(other.email) == _folded(person.email):
                    raise ValueError(f"{person.email!r} stands there twice; put the two together")
                if other is not person:
                    both = f"{other.email} and {person.email}"
                    raise ValueError(f"{identity!r} belongs to two persons, {both}; leave it with one of them")

    def identities(self, text: str) -> tuple[str, ...]:
        """Return everything that means the person whom a text names, as the config spells it; else the text alone."""
        person = self._by_identity.get(_folded(text))
        return person.identities if person else (text,)

    def person(self, row: Mapping[str, Any]) -> Person:
        """Return who acted in a row of the table `event`.

        The key is the person's main e-mail address in lower case; of one whom the config does not tell of, the address
        of the event; and without an address it is made of the vendor, the kind of actor, and its id or else its name.
        A name counts only where there is no address, and never makes a person of a token or an app.
        """
        email, id, name, kind = row["actor_email"], row["actor_id"], row["actor_name"], row["actor_kind"]
        found = self._known(email) or self._known(id)
        if found is None and not email and kind in HUMAN:
            found = self._known(name)
        if found is not None:
            return Person(_folded(found.email), found.name or name or found.email)
        if email:
            return Person(_folded(email), name or email)
        which = id or _folded(name or "")
        return Person(":".join(part for part in (row["vendor"], kind, which) if part), name or id or kind)

    def _known(self, identity: str | None) -> PersonSettings | None:
        return self._by_identity.get(_folded(identity)) if identity else None


def _folded(identity: str) -> str:
    return identity.strip().lower()
