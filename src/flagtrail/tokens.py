"""Makes, lists, revokes and checks the tokens by which programs and people ask over HTTP.

A token is `flagtrail_KEY_SECRET`: the key finds its row, the secret is 256 random bits, and of the whole only the
SHA-256 is kept. So much chance needs no salt and no slow hash.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from secrets import token_hex, token_urlsafe
from typing import NamedTuple

from sqlalchemy import insert, or_, select, update

from flagtrail.database import guarded, writing
from flagtrail.errors import ConfigError
from flagtrail.schema.tokens import TOKEN
from flagtrail.store import Store

PREFIX = "flagtrail"  # finders of leaked secrets look for such a beginning
READ, EXPORT, METRICS = "read", "export", "metrics"
SCOPES = {
    READ: "everything but exports", EXPORT: "exports: any number of events at once",
    METRICS: "/metrics, and why /readyz says no",
}  # fmt: skip
SECRET = 32  # random bytes
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Token(NamedTuple):
    """What is known of a token; never the token itself. `used_at` is right to a minute."""

    key: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None
    revoked_at: datetime | None

    def may(self, scope: str) -> bool:
        """Return whether it is for a scope; whoever may read may have the metrics too."""
        return scope in self.scopes or (scope == METRICS and READ in self.scopes)

    @property
    def is_usable(self) -> bool:
        """Whether it was neither revoked nor has expired."""
        return self.revoked_at is None and (self.expires_at is None or datetime.now(UTC) < self.expires_at)


def create(store: Store, name: str, scopes: Iterable[str], lasts: timedelta | None = None) -> str:
    """Make a token and return it: it cannot be had again. Raises ConfigError when the name or a scope is wrong."""
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} is no name of a token: letters, digits, dots, dashes and underscores, up to 64, first a letter "
            "or a digit"
        )
    wanted = set(scopes)
    if not wanted or wanted - SCOPES.keys():
        raise ConfigError(f"the scopes of a token are some of: {', '.join(SCOPES)}")
    try:
        expires = datetime.now(UTC) + lasts if lasts else None
    except OverflowError:
        raise ConfigError("that is longer than all time; write --expires 90d, or leave it out") from None
    key = token_hex(6)
    text = f"{PREFIX}_{key}_{token_urlsafe(SECRET)}"
    row = {
        "key": key, "name": name, "digest": _digest(text), "scopes": ",".join(sorted(wanted)),
        "created_at": datetime.now(UTC), "expires_at": expires,
    }  # fmt: skip
    with guarded(store.shown), writing(store.engine) as connection:
        if connection.execute(select(TOKEN.c.key).where(TOKEN.c.name == name)).first():
            raise ConfigError(f"there is, or was, a token called {name!r} already; choose another name")
        connection.execute(insert(TOKEN).values(row))
    return text


def tokens(store: Store) -> list[Token]:
    """Return every token that was ever made, by name."""
    query = select(*(TOKEN.c[name] for name in Token._fields)).order_by(TOKEN.c.name)
    with guarded(store.shown), store.engine.connect() as connection:
        return [_token(row) for row in connection.execute(query)]


def revoke(store: Store, name: str) -> None:
    """Make a token useless at once; raises ConfigError when there is none of that name."""
    with guarded(store.shown), writing(store.engine) as connection:
        known = connection.execute(select(TOKEN.c.revoked_at).where(TOKEN.c.name == name)).first()
        if known is None:
            raise ConfigError(f"there is no token called {name!r}; `flagtrail token list` shows them")
        if known.revoked_at is None:
            mine = update(TOKEN).where(TOKEN.c.name == name)
            connection.execute(mine.values(revoked_at=datetime.now(UTC)))


def check(store: Store, text: str) -> Token | None:
    """Return the token that a text is; None when it is none, was revoked, or has expired."""
    prefix, _, rest = text.partition("_")
    key = rest.partition("_")[0]
    if prefix != PREFIX or not key.isalnum() or not text.isascii():
        return None
    query = select(*(TOKEN.c[name] for name in Token._fields), TOKEN.c.digest).where(TOKEN.c.key == key)
    with guarded(store.shown), store.engine.connect() as connection:
        row = connection.execute(query).first()
    if row is None or not compare_digest(bytes(row.digest), _digest(text)):
        return None
    token = _token(row)
    return token if token.is_usable else None


def note_use(store: Store, key: str, at: datetime) -> None:
    """Remember when a token was used."""
    earlier = or_(TOKEN.c.used_at.is_(None), TOKEN.c.used_at < at)
    with guarded(store.shown), writing(store.engine) as connection:
        connection.execute(update(TOKEN).where(TOKEN.c.key == key, earlier).values(used_at=at))


def _digest(text: str) -> bytes:
    return sha256(text.encode()).digest()


def _token(row: object) -> Token:
    values = {name: getattr(row, name) for name in Token._fields}
    return Token(**values | {"scopes": tuple(values["scopes"].split(","))})
