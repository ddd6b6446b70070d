"""What the commands do that grant access over HTTP: token create, token list, token revoke."""

import sys
from pathlib import Path

from flagtrail.cli.asking import open_store
from flagtrail.cli.options import Simple
from flagtrail.cli.showing import local, out, plain_table, print_json, say
from flagtrail.config import load, store_url
from flagtrail.errors import ConfigError
from flagtrail.store import Store
from flagtrail.tokens import Token, tokens
from flagtrail.tokens import create as make
from flagtrail.tokens import revoke as take_back
from flagtrail.when import parse_span


def create(name: str, scopes: list[str], expires: str | None, config: Path | None) -> None:
    """Make a token and print it; the database may be made for it."""
    try:
        lasts = parse_span(expires) if expires is not None else None
    except ValueError as error:
        raise ConfigError(f"--expires: {error}") from None
    with Store(store_url(load(config), config)) as store:
        text = make(store, name, scopes, lasts)
    sys.stdout.write(text + "\n")
    say("keep it now: it cannot be shown again. Send it as the header `Authorization: Bearer TOKEN`")


def show(config: Path | None, output: Simple) -> None:
    """List every token."""
    with open_store(config) as store:
        found = tokens(store)
    if output is Simple.JSON:
        print_json([token._asdict() | {"usable": token.is_usable} for token in found])
        return
    rows = [
        (token.name, ", ".join(token.scopes), local(token.created_at), _end(token), local(token.used_at) or "never")
        for token in found
    ]
    out.print(plain_table(("name", "scopes", "made", "ends", "used"), rows) if rows else "there are no tokens yet")


def revoke(name: str, config: Path | None) -> None:
    """Make a token useless."""
    with open_store(config) as store:
        take_back(store, name)
    say(f"{name} is of no use any more")


def _end(token: Token) -> str:
    """Return when a token ends or ended, for people."""
    if token.revoked_at:
        return f"revoked {local(token.revoked_at)}"
    if token.expires_at:
        return local(token.expires_at) if token.is_usable else f"expired {local(token.expires_at)}"
    return "never"
