"""Everything else, by Apprise: Telegram, Teams, Discord, PagerDuty and a hundred others, https://github.com/caronc/apprise.

It tells only whether something was sent, not why it was not, and knows no key by which a message is told from another;
so what is often used has a kind of its own.
"""

import logging
from typing import Annotated, Any

from pydantic import AfterValidator, SecretStr

from flagtrail.connector import Secret
from flagtrail.errors import ConfigError
from flagtrail.notices.message import PLAIN, Message, title, written
from flagtrail.notices.sinks import NotSent, Sink


def _library() -> Any:
    try:
        import apprise
    except ImportError:
        raise ConfigError("a sink of the kind apprise takes `pip install 'flagtrail[apprise]'`") from None
    return apprise


def _known(value: SecretStr) -> SecretStr:
    if _library().Apprise.instantiate(value.get_secret_value(), suppress_exceptions=True) is None:
        raise ValueError("Apprise does not understand this address; https://github.com/caronc/apprise/wiki lists them")
    return value


class Apprise(Sink):
    """What Apprise can send to."""

    url: Annotated[Secret, AfterValidator(_known)]
    """Apprise's address of it, such as tgram://TOKEN/CHAT, which is a secret."""

    def send(self, message: Message) -> None:
        """Send a message; raises NotSent, without a reason: Apprise tells none."""
        library = _library()
        logging.getLogger("apprise").setLevel(logging.CRITICAL)  # what it says may hold what a vendor wrote
        sender = library.Apprise(asset=library.AppriseAsset(async_mode=False, app_id="flagtrail"))
        sender.add(self.url.get_secret_value())
        text = "\n".join(written(message, PLAIN, self.listed))
        if not sender.notify(body=text, title=title(message), body_format=library.NotifyFormat.TEXT):
            raise NotSent("Apprise could not send it, and says no more; `flagtrail notices test` tries again")
