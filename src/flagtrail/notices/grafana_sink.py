"""Grafana: annotations on dashboards, https://grafana.com/docs/grafana/latest/developers/http_api/annotations."""

from collections.abc import Sequence
from html import escape
from typing import Annotated, Any

from pydantic import Field

from flagtrail.connector import Secret
from flagtrail.event import to_json
from flagtrail.notices.message import Markup, Message, clean, written
from flagtrail.notices.sinks import Address, Sink, json_headers, post
from flagtrail.window import to_ms

HTML = Markup(escape, lambda text: f"<b>{text}</b>", lambda address, label: f'<a href="{escape(address)}">{label}</a>')


class Grafana(Sink):
    """Annotations of Grafana: a mark at the time of the change, or over the time of several."""

    url: Address
    """The base address of Grafana, such as https://grafana.example.com."""
    token: Secret
    """A token of a service account that may write annotations."""
    tags: Sequence[str] = ("flagtrail",)
    """What each annotation is tagged with, besides the rule and the environments."""
    dashboard: str | None = None
    """The UID of the one dashboard that shows them; else every dashboard can, by their tags."""
    panel: Annotated[int, Field(ge=1)] | None = None
    """The id of the one panel of it that shows them."""

    def send(self, message: Message) -> None:
        """Make an annotation; raises NotSent."""
        moments = sorted(to_ms(row["occurred_at"]) for row in message.events) or [to_ms(message.made_at)]
        places = dict.fromkeys(clean(row["environment"]) for row in message.events if row["environment"])
        told: dict[str, Any] = {
            "time": moments[0], "tags": [*self.tags, message.rule, *places],
            "text": "<br>".join(written(message, HTML, self.listed)),
        }  # fmt: skip
        if moments[-1] > moments[0]:
            told["timeEnd"] = moments[-1]
        told |= {"dashboardUID": self.dashboard} if self.dashboard else {}
        told |= {"panelId": self.panel} if self.panel else {}
        address = self.url.get_secret_value().rstrip("/") + "/api/annotations"
        token = f"Bearer {self.token.get_secret_value()}"
        post(self, address, to_json(told), json_headers(message, authorization=token))
