"""The plugin contract: all that a vendor's package has to know about flagtrail.

A connector never sleeps, retries, looks at status codes, stores, schedules or asks the clock: `Api` and the core do.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.metadata import entry_points
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, SecretStr

from flagtrail.errors import ConfigError, UnexpectedResponse
from flagtrail.event import Event, Record, Term
from flagtrail.secret import fetched
from flagtrail.window import Window

if TYPE_CHECKING:  # who only asks the table needs no HTTP client
    import httpx

    from flagtrail.api import Api

GROUP = "flagtrail.connectors"
ODD = 2  # items of one answer that may be unusable whatever the others are


@dataclass(frozen=True, slots=True)
class Stream:
    """One log of a source: `audit_log`, or with a scope, `flag_events[default/production]`.

    `label` is what people call the scope, when the name holds an opaque id. `account` is the vendor's id of whose log
    it is: a store never mixes two in one stream. `page` is the number of records that one request brings in. `span` is
    the longest window that may be asked of `pages`, None for any. `scope` is for the connector's own use.

    `log` is whose entries these are, when the name also tells of a filter: events stand under it, coverage under the
    name. `credential` tells one credential from another without being secret. `edge` is how far beyond an asked window
    the vendor's counts may reach, at either end.

    `woken_by` names the log of the same source that tells of every change which this stream tells of too, by its
    `project` and `environment` as events have them: while that log has no news of them, this one is looked at seldom.
    """

    name: str
    page: int = 100
    span: timedelta | None = None
    label: str | None = None
    account: str | None = None
    scope: tuple[str, ...] = ()
    log: str = ""
    credential: str | None = None
    edge: timedelta = timedelta(milliseconds=1)
    woken_by: str = ""
    project: str | None = None
    environment: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "log", self.log or self.name)


@dataclass(frozen=True, slots=True)
class Page:
    """The records of one response, and the window whose every record is now known because of it.

    `covers` is None when the answer proves nothing by itself (an opaque cursor proves the whole window on its last
    page). `date` is the vendor's Date of the answer: the core claims nothing that is younger than the settling time.
    """

    records: Sequence[Record]
    covers: Window | None
    date: datetime | None


@dataclass(frozen=True, slots=True)
class Hole:
    """A window that the vendor's API cannot show whole: what could be read is in `records`, the rest becomes a gap.

    `expected` is the number that the vendor counts, None when it does not say.
    """

    window: Window
    reason: str
    records: Sequence[Record] = field(default=())
    expected: int | None = None


class Count(NamedTuple):
    """The vendor's own number of records in a window: it sizes work and raises doubts, and proves nothing alone."""

    window: Window
    records: int


def _base_url(url: str) -> str:
    """Return a base URL that may carry a credential: https, or plain http on loopback; ValueError otherwise."""
    if "@" in url:
        raise ValueError("a base URL is only scheme, host and path: no credential, query or fragment")
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises for a port that is no number
    except ValueError:
        raise ValueError(f"{url!r} is not a web address; write https://host") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is not a web address; write https://host")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("a base URL is only scheme, host and path: no credential, query or fragment")
    if parts.scheme == "http" and not _loopback(parts.hostname):
        raise ValueError(f"{url!r} would send the credential unencrypted; write https://{parts.netloc}{parts.path}")
    return url.rstrip("/")


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


BaseUrl = Annotated[str, AfterValidator(_base_url)]
Secret = Annotated[SecretStr, BeforeValidator(fetched)]


class Nudge(NamedTuple):
    """A webhook that the vendor signed, which is a reason to look now; `sent_at` is None where it holds no time."""

    sent_at: datetime | None


class Connector(BaseModel, ABC):
    """How to read one vendor. A subclass's fields are its settings in the config; secrets are of type `Secret`.

    `vendor` is the entry point's name. Instances are frozen and hold no state, so any thread may use one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    vendor: ClassVar[str]
    forgets_environments: ClassVar[bool] = False
    """Whether somebody who deletes an environment at this vendor can delete its log with it."""
    terms: ClassVar[tuple[Term, ...]] = ()
    """What the vendor's words mean here, for docs/vocabulary.md; `event` maps them."""

    base_url: BaseUrl

    @abstractmethod
    def connect(self, transport: "httpx.BaseTransport | None" = None) -> "Api":
        """Return the vendor's API with this credential; asks nothing yet. Tests pass another transport."""

    @abstractmethod
    def streams(self, api: "Api") -> Iterable[Stream]:
        """Yield the logs that this credential sees, the most important first.

        The vendor is asked at least once before the first, so that a bad credential shows here. What was yielded
        before an error is read all the same.
        """

    @abstractmethod
    def pages(self, api: "Api", stream: Stream, window: Window) -> Iterator[Page | Hole]:
        """Yield every record in a window no longer than the stream's span; records outside of it may come along.

        The windows that the pages cover, and the holes, add up to the whole window, or an error is raised.
        """

    @abstractmethod
    def event(self, stream: Stream, record: Record) -> Event:
        """Return what a record means; the same record always gives the same event, and no record is refused."""

    def counts(self, api: "Api", stream: Stream, window: Window, parts: int = 500) -> list[Count] | None:
        """Return the vendor's own numbers for up to so many parts of a window, oldest first; None when it tells none.

        A part that is left out holds no record.
        """
        return None

    def detailed(self, stream: Stream, event: Event) -> bool:
        """Return whether `detail` has more to tell about an event, and is wanted."""
        return False

    def detail(self, api: "Api", stream: Stream, vendor_id: str) -> Record:
        """Return a record in its full form, from which `event` makes an event with `changes`.

        Raises AccessDenied with status 404 when the vendor does not show it any more.
        """
        raise NotImplementedError

    def nudge(self, secret: bytes, headers: Mapping[str, str], body: bytes) -> Nudge | None:
        """Return the webhook that a request is when a secret signs it, else None; names of headers are in lower case.

        Nothing but the signature counts: what the body says is never believed.
        """
        raise NotImplementedError


# The text below each setting of a connector describes it. This class has none, and searching its source for them would
# make every command slower.
Connector.model_config["use_attribute_docstrings"] = True


def usable(
    items: list[Any], id_and_ms: Callable[[Any], tuple[str, int]]
) -> tuple[list[Record], list[tuple[str, int]], dict[int, str]]:
    """Return the items of an answer that have an id and a time, these, and what is wrong with the others, by position.

    Raises UnexpectedResponse when those are not odd ones out, but most of many: then the answer means something else.
    """
    good: list[Record] = []
    known: list[tuple[str, int]] = []
    odd: dict[int, str] = {}
    for position, item in enumerate(items):
        try:
            known.append(id_and_ms(item))
            good.append(item)
        except UnexpectedResponse as error:
            odd[position] = str(error)
    if len(odd) > max(len(good), ODD):
        raise UnexpectedResponse(next(iter(odd.values())))
    return good, known, odd


def installed() -> dict[str, type[Connector]]:
    """Return every installed connector by name, found through the entry points of `flagtrail.connectors`.

    Raises ConfigError when one of them cannot be loaded.
    """
    found: dict[str, type[Connector]] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            found[point.name] = point.load()
        except Exception as error:
            raise ConfigError(f"connector {point.name!r} ({point.value}) cannot be loaded: {error}") from error
    return found
