"""Where messages go: what every kind of sink has, and how they talk HTTP."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any, ClassVar
from urllib.parse import quote, unquote, urlsplit

import httpx
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from flagtrail.connector import Secret
from flagtrail.lines import Lines
from flagtrail.notices.message import Message
from flagtrail.notices.settings import Span
from flagtrail.retries import retry_after

LISTED = 10  # changes of a message that people read; of the others only the number is told
REMEMBERED = 1024  # bytes of an answer that are looked at
SHOWN = 200  # characters of it that are kept
SECRET_PART = 8  # characters from which on a part of an address counts as secret
CONTENT = (400, 413, 422)  # statuses that blame what was sent: trying again cannot help


class NotSent(Exception):
    """A message that the sink did not take, in one line without secrets.

    `final` when trying again cannot help; `wait` is how many seconds the sink wants to be left alone.
    """

    def __init__(self, reason: str, *, final: bool = False, wait: float | None = None) -> None:
        super().__init__(reason)
        self.final, self.wait = final, wait


def _address(value: SecretStr) -> SecretStr:
    """Return an address to which a message may be sent: https, or plain http on this machine."""
    text = value.get_secret_value()
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - raises for a port that is no number
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or not text.isprintable():
        raise ValueError("it is not a web address; write https://host/path")
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise ValueError("it would be sent unencrypted; write https://")
    return value


SecretAddress = Annotated[Secret, AfterValidator(_address)]
"""An address that is a secret itself, as those of Slack are."""
Address = Annotated[SecretAddress, BeforeValidator(lambda value: SecretStr(value) if isinstance(value, str) else value)]
"""An address that may stand in the config, or is a secret too."""


class Sink(BaseModel, ABC):
    """One place to which messages go. A subclass's fields are its settings in the config."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)

    listed: ClassVar[int] = LISTED
    """How many changes one message tells of."""
    sums_up: ClassVar[bool] = True
    """Whether the others are only counted; else they are told in more messages."""

    give_up: Annotated[Span, Field(ge=timedelta(minutes=1))] = timedelta(days=3)
    """For how long a message is tried again that cannot be sent."""

    @abstractmethod
    def send(self, message: Message) -> str | None:
        """Send a message, and return what a person should know all the same; raises NotSent."""

    def secrets(self) -> Iterator[str]:
        """Yield every text that must not be told: secrets, and the parts of addresses that may be."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, SecretStr):
                text = value.get_secret_value()
                yield text
                parts = urlsplit(text) if "://" in text else None
                for part in (*parts.path.split("/"), *parts.query.split("&"), parts.netloc) if parts else ():
                    if len(part) >= SECRET_PART and part != (parts and parts.hostname):
                        yield part

    def scrubbed(self, text: str) -> str:
        """Return a text on one line, without secrets, and not too long."""
        for secret in sorted(self.secrets(), key=len, reverse=True):
            for form in (secret, quote(secret, safe=""), unquote(secret)):
                text = text.replace(form, "***")
        return " ".join(text.split())[:SHOWN]


_lines = Lines(None)


def post(sink: Sink, url: str, body: bytes, headers: dict[str, str]) -> None:
    """Send a body, and see that it is taken; redirects are not followed. Raises NotSent."""
    asked = {"user-agent": "flagtrail", "accept": "*/*", "accept-encoding": "identity", **headers}
    with _lines.lend() as line:
        try:
            answer = line.send(httpx.Request("POST", url, headers=asked, content=body))
            try:
                text = _beginning(answer)
            finally:
                answer.close()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = sink.scrubbed(str(error)) or type(error).__name__
            raise NotSent(f"{urlsplit(url).hostname} cannot be reached: {reason}") from None
    if not answer.is_success:
        told = sink.scrubbed(text)
        reason = f"{urlsplit(url).hostname} answers {answer.status_code}" + (f": {told}" if told else "")
        wait = retry_after(answer.headers.get_list("retry-after"), None)
        raise NotSent(reason, final=answer.status_code in CONTENT, wait=wait)


def _beginning(answer: httpx.Response) -> str:
    """Return the beginning of an answer: nobody needs the rest."""
    found = b""
    for chunk in answer.iter_raw():
        found += chunk
        if len(found) >= REMEMBERED:
            break
    return found[:REMEMBERED].decode("utf-8", "replace")


def stamp() -> int:
    """Return the present in Unix seconds."""
    return int(time.time())


def json_headers(message: Message, **more: str) -> dict[str, Any]:
    """Return the headers of a message that is JSON."""
    return {"content-type": "application/json", "idempotency-key": message.key, **more}
