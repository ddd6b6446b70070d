"""The settings of what is served over HTTP: where, to whom, and within which limits."""

import re
from datetime import timedelta
from ipaddress import ip_address
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from flagtrail.when import parse_span

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")  # as a Host header names it
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")


class Address(NamedTuple):
    """Where somebody listens; port 0 is any that is free."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return self.host == "localhost" or (_is_ip(self.host) and ip_address(self.host).is_loopback)

    @property
    def named(self) -> str:
        """The host as a URL and a Host header write it."""
        return f"[{self.host}]" if ":" in self.host else self.host

    def __str__(self) -> str:
        return f"{self.named}:{self.port}"


def parse_address(text: str) -> Address:
    """Return the address that a text such as 127.0.0.1:8421 or [::1]:8421 names; ValueError says the right form."""
    host, colon, port = text.strip().rpartition(":")
    bare = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    good = colon and port.isascii() and port.isdigit() and int(port) < 65536 and _NAME.fullmatch(host)
    if not good or (bare != host and not _is_ip(bare)):
        raise ValueError(f"{text!r} is no address; write host:port, such as 127.0.0.1:8421 or [::1]:8421")
    return Address(bare, int(port))


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _address(value: Any) -> Any:
    return parse_address(value) if isinstance(value, str) else value


def _host(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(f"{value!r} is no name of a host; write it without scheme and port, such as trail.example.com")
    return value.lower()


def _origin(value: str) -> str:
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and parts.hostname and value == f"{parts.scheme}://{parts.netloc}"
    except ValueError:
        good = False
    if not good or "@" in value or "*" in value:
        raise ValueError(
            f"{value!r} is no origin; write scheme://host or scheme://host:port, such as https://example.com"
        )
    return value.lower()


def _public_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or "@" in value:
        raise ValueError(f"{value!r} is no address of a page; write it such as https://trail.example.com")
    return value.rstrip("/")


def _span(value: Any) -> Any:
    return parse_span(value) if isinstance(value, str) else value


class ServeSettings(BaseModel):
    """The table `[serve]`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    enabled: bool = True
    """Whether `flagtrail run` serves too; `flagtrail serve` does in any case."""
    listen: Annotated[Address, BeforeValidator(_address)] = Address("127.0.0.1", 8421)
    """Where: host:port. Any address but a loopback one asks for a token."""
    hosts: list[Annotated[str, AfterValidator(_host)]] = []
    """Names that it is called by besides its address, such as a reverse proxy's; with any, tokens are asked for."""
    tokens: bool = False
    """Whether a token is asked for on a loopback address too."""
    origins: list[Annotated[str, AfterValidator(_origin)]] = []
    """Web pages of other origins that may read answers."""
    timeout: Annotated[timedelta, BeforeValidator(_span), Field(ge=timedelta(seconds=1), le=timedelta(hours=1))] = (
        timedelta(seconds=30)
    )
    """For how long the database may work on one question; exports and live connections are not limited by it."""
    live: Annotated[int, Field(ge=0, le=1000)] = 20
    """How many live connections there may be at the same time."""

    public_url: Annotated[str, AfterValidator(_public_url)] | None = None
    """The address of the page as people reach it, such as https://trail.example.com, for links in notices."""

    @property
    def asks_for_tokens(self) -> bool:
        """Whether nobody is answered without a token."""
        return self.tokens or bool(set(self.hosts) - set(LOOPBACK)) or not self.listen.is_loopback

    @property
    def names(self) -> frozenset[str]:
        """What a Host header may say, without a port, in lower case."""
        return frozenset([*LOOPBACK, *self.hosts, self.listen.named.lower()])
