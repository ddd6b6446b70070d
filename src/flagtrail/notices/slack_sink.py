"""Slack, by an incoming webhook: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks."""

from html import escape

from flagtrail.event import to_json
from flagtrail.notices.message import Markup, Message, written
from flagtrail.notices.sinks import SecretAddress, Sink, json_headers, post


def _link(address: str, label: str) -> str:
    """Return a link; what ends one in mrkdwn is encoded."""
    safe = address.replace("|", "%7C").replace("<", "%3C").replace(">", "%3E").replace(" ", "%20")
    return f"<{escape(safe, quote=False)}|{label}>"


# Only these three characters mean something by themselves: so nobody is called by what a vendor wrote, such as <!here>.
MRKDWN = Markup(lambda text: escape(text, quote=False), lambda text: f"*{text}*", _link)


class Slack(Sink):
    """A channel of Slack, or of what understands the same webhooks, such as Mattermost."""

    url: SecretAddress
    """The address of the incoming webhook, which is a secret."""

    def send(self, message: Message) -> None:
        """Post a message; raises NotSent."""
        told = {"text": "\n".join(written(message, MRKDWN, self.listed)), "unfurl_links": False, "unfurl_media": False}
        post(self, self.url.get_secret_value(), to_json(told), json_headers(message))
