"""Each kind of sink over a real connection: what arrives, how it is signed, and that nothing in it can do harm."""

import socket
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from pydantic import SecretStr, ValidationError
from standardwebhooks import Webhook as Verifier

from flagtrail.notices.apprise_sink import Apprise
from flagtrail.notices.email_sink import Email
from flagtrail.notices.grafana_sink import Grafana
from flagtrail.notices.message import Finding, Message
from flagtrail.notices.sinks import NotSent
from flagtrail.notices.slack_sink import Slack
from flagtrail.notices.webhook_sink import Webhook
from flagtrail.schema import EVENT
from tests.sinks import Place, place

AT = datetime(2026, 3, 1, 14, 3, 7, tzinfo=UTC)
TOKEN = "xoxb-secret-0123456789"
NASTY = "<!channel> & </b><script>alert(1)</script> | *x*\r\nBcc: all@example.com\x1b[2J\u202e"


@pytest.fixture
def target() -> Iterator[Place]:
    with place() as made:
        yield made


def row(number: int = 1, **values: Any) -> dict[str, Any]:
    told = dict.fromkeys([column.name for column in EVENT.c]) | {
        "number": number, "id": f"1f0c{number}", "source": "acme", "vendor": "launchdarkly", "stream": "audit_log",
        "vendor_id": f"v{number}", "occurred_at": AT + timedelta(seconds=number), "first_seen_at": AT,
        "actor_kind": "member", "actor_name": "Ana", "action": "turned_on", "vendor_action": "updateOn",
        "object_kind": "flag", "object_key": "checkout", "project": "web", "project_name": "Web shop",
        "environment": "production", "environment_name": "Production", "summary": "turned on the flag Checkout",
        "comment": "for the launch", "impact": {"size": "large", "percentage": 60.0}, "revision": 1,
        "truncated": False, "provisional": False, "url": "https://app.launchdarkly.com/web/flag?a=1&b=2",
    }  # fmt: skip
    return told | values


def message(*rows: dict[str, Any], **values: Any) -> Message:
    told = {"more": 0, "page": "https://trail.example.com"} | values
    return Message("on-call", "on-call/1f0c1", AT, rows, **told)


ONE = message(row())
GAP = Finding("gap", "[1]", "acme", "audit_log", "acme: audit_log cannot be read whole: <b>&")
ATTACK = message(row(actor_name=NASTY, summary=NASTY, comment=NASTY, environment_name=NASTY, project_name=NASTY))
TEST = message(test=True)


def slack(target: Place) -> Slack:
    return Slack(url=SecretStr(f"{target.url}/services/T0/B0/{TOKEN}"))


def test_slack_gets_a_short_text_with_links(target: Place) -> None:
    slack(target).send(ONE)
    [got] = target.got
    assert (got.path, got.key) == (f"/services/T0/B0/{TOKEN}", "on-call/1f0c1")
    assert got.json["text"].splitlines() == [
        "Ana turned on checkout in Production",
        (
            "    2026-03-01 14:03:08 UTC · LaunchDarkly / Web shop / Production · large impact (60 %) · "
            "“for the launch” · "
            "<https://app.launchdarkly.com/web/flag?a=1&amp;b=2|LaunchDarkly> · "
            "<https://trail.example.com/event/1f0c1|flagtrail>"
        ),
    ]


def test_what_a_vendor_wrote_is_text_and_nothing_else(target: Place) -> None:
    slack(target).send(ATTACK)
    text = target.got[0].json["text"]
    assert "<!channel>" not in text
    assert "&lt;!channel&gt; &amp;" in text
    assert len(text.splitlines()) == 2
    assert not any(character in text for character in "\x1b\u202e\r")
    Grafana(url=SecretStr(target.url), token=SecretStr(TOKEN)).send(ATTACK)
    html = target.got[1].json["text"]
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    Webhook(url=SecretStr(target.url)).send(ATTACK)
    assert target.got[2].json[0]["data"]["comment"] == NASTY, "data is told as it is"


def test_many_changes_are_listed_in_part_and_findings_and_tests_have_words_too(target: Place) -> None:
    slack(target).send(message(*(row(number) for number in range(1, 11)), more=40))
    slack(target).send(Message("trail", "k", AT, findings=[GAP]))
    slack(target).send(TEST)
    first, second, third = (got.json["text"].splitlines() for got in target.got)
    assert first[0] == "*50 changes (on-call)*"
    assert first[-1] == "and 40 more · <https://trail.example.com|flagtrail>"
    assert len(first) == 22
    assert second == ["acme: audit_log cannot be read whole: &lt;b&gt;&amp;"]
    assert third == ["on-call: a test, nothing has happened. flagtrail can reach this place."]


@pytest.mark.parametrize("secret", ["whsec_" + b64encode(b"a key of thirty-two random bytes").decode(), "any text"])
def test_a_webhook_is_a_signed_batch_of_cloudevents(target: Place, secret: str) -> None:
    sink = Webhook(url=SecretStr(f"{target.url}/in?x=1"), secret=SecretStr(secret))
    sink.send(Message("on-call", "on-call/1f0c1", AT, [row(1), row(2)], findings=[GAP]))
    sink.send(TEST)
    got = target.got[0]
    assert (got.path, got.headers["content-type"]) == ("/in?x=1", "application/cloudevents-batch+json")
    assert got.headers["webhook-id"] == got.key == "on-call/1f0c1"
    key = b64encode(secret.encode()).decode() if secret == "any text" else secret
    verifier = Verifier(key)
    for each in target.got:
        verifier.verify(each.body, each.headers)
    with pytest.raises(Exception, match="No matching signature"):
        verifier.verify(got.body + b" ", got.headers)
    events = [JSONFormat().read(CloudEvent, part) for part in map(_dumped, [*got.json, *target.got[1].json])]
    assert [event.get_type() for event in events] == [
        "flagtrail.change.turned_on", "flagtrail.change.turned_on", "flagtrail.gap", "flagtrail.test",
    ]  # fmt: skip
    assert events[0].get_extension("rule") == "on-call"
    assert events[2].get_data()["text"] == GAP.text


def _dumped(value: Any) -> bytes:
    import json

    return json.dumps(value).encode()


def test_grafana_gets_an_annotation_over_the_time_of_the_changes(target: Place) -> None:
    where = {"dashboard": "abc", "panel": 3, "tags": ["flags"]}
    Grafana(url=SecretStr(f"{target.url}/grafana/"), token=SecretStr(TOKEN), **where).send(message(row(5), row(1)))
    Grafana(url=SecretStr(target.url), token=SecretStr(TOKEN)).send(Message("trail", "k", AT, findings=[GAP]))
    first, second = target.got
    assert (first.path, first.headers["authorization"]) == ("/grafana/api/annotations", f"Bearer {TOKEN}")
    ms = int(AT.timestamp() * 1000)
    assert (first.json["time"], first.json["timeEnd"]) == (ms + 1000, ms + 5000)
    assert first.json["tags"] == ["flags", "on-call", "production"]
    assert (first.json["dashboardUID"], first.json["panelId"]) == ("abc", 3)
    assert '<a href="https://trail.example.com/event/1f0c1">flagtrail</a>' in first.json["text"]
    assert (second.path, second.json["time"]) == ("/api/annotations", ms)
    assert "timeEnd" not in second.json


def test_what_is_refused_is_told_without_secrets_and_blamed_on_the_right_one(target: Place) -> None:
    for status, final in ((400, True), (413, True), (401, False), (404, False), (500, False), (301, False)):
        target.answer(status, f"no {TOKEN} at {target.url}/services/T0/B0/{TOKEN}".encode(), location="http://x/")
        with pytest.raises(NotSent) as raised:
            slack(target).send(ONE)
        assert raised.value.final is final
        assert str(raised.value).startswith(f"127.0.0.1 answers {status}: no *** at ")
        assert TOKEN not in str(raised.value)
    target.answer(200, b"x" * 100_000)
    slack(target).send(ONE)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Apprise imports what Python will do without
def test_everything_else_goes_by_apprise(target: Place) -> None:
    Apprise(url=SecretStr(target.url.replace("http://", "json://") + "/in")).send(ONE)
    assert target.got[0].json["title"] == "Ana turned on checkout in Production"
    assert "flagtrail: https://trail.example.com/event/1f0c1" in target.got[0].json["message"]
    target.answer(500)
    with pytest.raises(NotSent, match="Apprise could not send it"):
        Apprise(url=SecretStr(target.url.replace("http://", "json://"))).send(ONE)


class Mailbox:
    """A mail server that keeps what it gets, and takes nothing for `nobody`."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], bytes]] = []

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        if address.startswith("nobody"):
            return "550 there is nobody"
        envelope.rcpt_tos.append(address)
        return "250 fine"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.mails.append((envelope.rcpt_tos, bytes(envelope.content or b"")))
        return "250 fine"


def signed_in(server: SMTP, session: Session, envelope: Envelope, how: str, given: Any) -> AuthResult:
    good = isinstance(given, LoginPassword) and (given.login, given.password) == (b"me", TOKEN.encode())
    return AuthResult(success=good, handled=False)


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, dict[str, Any]]]:
    kept = Mailbox()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = Controller(kept, "127.0.0.1", port, auth_require_tls=False, authenticator=signed_in)
    server.start()
    told = {"host": "127.0.0.1", "port": port, "security": "none", "username": "me", "sender": "trail@acme.example"}
    yield kept, told | {"password": SecretStr(TOKEN)}
    server.stop()


def test_a_mail_arrives_and_the_same_one_has_the_same_id(mailbox: tuple[Mailbox, dict[str, Any]]) -> None:
    kept, settings = mailbox
    sink = Email(to=["ana@acme.example", "ops@acme.example"], **settings)
    assert sink.send(ONE) is None
    assert sink.send(ONE) is None
    assert sink.send(ATTACK) is None
    mails = [message_from_bytes(content, policy=policy.default) for _, content in kept.mails]
    assert kept.mails[0][0] == ["ana@acme.example", "ops@acme.example"]
    assert mails[0]["subject"] == "[flagtrail] Ana turned on checkout in Production"
    assert mails[0]["message-id"] == mails[1]["message-id"]
    assert mails[0]["idempotency-key"] == "on-call/1f0c1"
    text = mails[0].get_body().get_content()  # type: ignore[union-attr]
    assert "“for the launch”" in text
    assert "flagtrail: https://trail.example.com/event/1f0c1" in text
    assert mails[2]["bcc"] is None
    assert mails[2].get_content_type() == "text/plain"


def test_mail_that_is_not_taken_is_told(mailbox: tuple[Mailbox, dict[str, Any]]) -> None:
    kept, settings = mailbox
    some = Email(to=["ana@acme.example", "nobody@acme.example"], **settings)
    assert some.send(ONE) == "127.0.0.1 takes no mail for nobody@acme.example (550)"
    assert len(kept.mails) == 1
    for more, told in (
        ({}, r"127.0.0.1 takes no mail for nobody@acme.example \(550\)"),
        ({"password": SecretStr("wrong")}, "127.0.0.1: 535 "),
        ({"port": 1}, "127.0.0.1 cannot be reached: Connection refused"),
        ({"security": "starttls"}, "127.0.0.1: STARTTLS extension not supported"),
        ({"security": "tls"}, "127.0.0.1 cannot be reached: "),
    ):
        with pytest.raises(NotSent, match=told):
            Email(to="nobody@acme.example", **settings | more).send(ONE)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (Slack, {"url": "https://hooks.slack.com/a-secret"}),
        (Slack, {"url": SecretStr("http://hooks.slack.com/x")}),
        (Slack, {"url": SecretStr("https://me@hooks.slack.com/x")}),
        (Webhook, {"url": "ftp://x"}),
        (Webhook, {"url": "https://x.example", "secret": SecretStr("whsec_!")}),
        (Grafana, {"url": "https://x.example"}),
        (Apprise, {"url": SecretStr("nothing://known")}),
        (Email, {"host": "smtp.example", "sender": "a@b.example", "to": "not an address"}),
        (Email, {"host": "smtp.example", "sender": "a@b.example", "to": "a@b.example\r\nBcc: c@d.example"}),
        (Email, {"host": "smtp.example", "sender": "a@b.example", "to": []}),
        (Email, {"host": "smtp.example", "sender": "a@b.example", "to": "c@d.example", "username": "me"}),
        (Email, {"host": "smtp.example", "sender": "a@b.example", "to": "c@d.example", "username": "me",
                 "password": SecretStr("x"), "security": "none"}),
        (Slack, {"url": SecretStr("https://x.example"), "give_up": "1s"}),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_settings_that_cannot_work_or_would_tell_a_secret_are_refused(kind: Any, settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        kind(**settings)
