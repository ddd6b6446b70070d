"""E-mail, by SMTP."""

import smtplib
import ssl
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from hashlib import sha256
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from flagtrail.connector import Secret
from flagtrail.notices.message import PLAIN, Message, title, written
from flagtrail.notices.settings import several
from flagtrail.notices.sinks import NotSent, Sink

SECONDS = 15.0  # for each answer of the server
LOCAL = ("127.0.0.1", "::1", "localhost")


def _mailbox(text: str) -> str:
    try:
        found = Address(addr_spec=text)
    except (ValueError, IndexError):
        found = None
    if found is None or not found.domain or not text.isascii():
        raise ValueError(f"{text!r} is no e-mail address")
    return text


Mailbox = Annotated[str, AfterValidator(_mailbox)]


class Email(Sink):
    """Mailboxes, by an SMTP server."""

    host: str
    """The server."""
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    """Its port: 587 for starttls, most often 465 for tls."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    """How the connection is encrypted; none is for a server on this machine, or one that asks for no password."""
    username: str | None = None
    """The name to sign in with, if it asks for one."""
    password: Secret | None = None
    """And the password."""
    sender: Mailbox
    """The address that it comes from."""
    to: Annotated[list[Mailbox], BeforeValidator(several), Field(min_length=1)]
    """Who gets it."""

    @model_validator(mode="after")
    def _is_safe(self) -> "Email":
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together")
        if self.password is not None and self.security == "none" and self.host not in LOCAL:
            raise ValueError('the password would be sent unencrypted; write security = "starttls"')
        return self

    def send(self, message: Message) -> str | None:
        """Send a mail to all; raises NotSent when nobody gets it."""
        try:
            with self._connected() as server:
                refused = server.send_message(self._mail(message))
        except smtplib.SMTPRecipientsRefused as error:
            told = self._told(error.recipients)
            raise NotSent(f"{self.host} takes no mail for {told}") from None
        except smtplib.SMTPException as error:
            raise NotSent(f"{self.host}: {self.scrubbed(_reason(error))}") from None
        except OSError as error:
            raise NotSent(f"{self.host} cannot be reached: {self.scrubbed(error.strerror or str(error))}") from None
        return f"{self.host} takes no mail for {self._told(refused)}" if refused else None

    def _connected(self) -> smtplib.SMTP:
        safe = ssl.create_default_context()
        if self.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port, timeout=SECONDS, context=safe)
        else:
            server = smtplib.SMTP(self.host, self.port, timeout=SECONDS)
        try:
            if self.security == "starttls":
                server.starttls(context=safe)
            if self.username is not None and self.password is not None:
                server.login(self.username, self.password.get_secret_value())
        except BaseException:
            server.close()
            raise
        return server

    def _mail(self, message: Message) -> EmailMessage:
        mail = EmailMessage(policy=SMTP)
        mail["Subject"] = f"[flagtrail] {title(message)}"
        mail["From"], mail["To"] = self.sender, ", ".join(self.to)
        mail["Date"] = format_datetime(datetime.now(UTC))
        # The same each time that it is sent: mailboxes show one that comes twice once.
        mail["Message-ID"] = f"<{sha256(message.key.encode()).hexdigest()[:32]}@{self.sender.rpartition('@')[2]}>"
        mail["Idempotency-Key"] = message.key
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content("\n".join(written(message, PLAIN, self.listed)) + "\n")
        return mail

    def _told(self, refused: dict[str, tuple[int, bytes]]) -> str:
        """Return who is refused, and how."""
        return self.scrubbed(", ".join(f"{who} ({code})" for who, (code, _) in refused.items()))


def _reason(error: smtplib.SMTPException) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        text = error.smtp_error
        return f"{error.smtp_code} {text.decode('utf-8', 'replace') if isinstance(text, bytes) else text}"
    return str(error)
