"""The settings of notices: mistakes are told in a line, and quiet hours end when clocks say so."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flagtrail.config import load
from flagtrail.errors import ConfigError
from flagtrail.notices.hours import parse_hours
from flagtrail.notices.running import rules_of, sinks_of

SECRET = "xoxb-secret-0123456789"
Write = Callable[[str], Path]
SINK = '[[sink]]\nname = "ops"\nkind = "slack"\nurl = { env = "SLACK" }\n'


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    monkeypatch.setenv("SLACK", f"https://hooks.slack.com/services/T0/B0/{SECRET}")
    monkeypatch.setenv("HTTP", f"http://hooks.slack.com/services/T0/B0/{SECRET}")

    def written(text: str) -> Path:
        path = tmp_path / "flagtrail.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return written


def notice(*lines: str, to: str = '"ops"') -> str:
    return "\n".join([f'{SINK}[[notice]]\nname = "prod"\nto = {to}', *lines, ""])


def test_rules_and_sinks_are_what_the_config_says(write: Write) -> None:
    person = '[[person]]\nemail = "ada@example.com"\nalso = ["the countess"]\n'
    config = load(
        write(notice('when = "actor:ada@example.com"', 'quiet = "22:00-07:00"', 'zone = "Asia/Tokyo"') + person)
    )
    sinks = sinks_of(config)
    [rule] = rules_of(config, sinks)
    assert rule.query.wanted == {"actor": ("ada@example.com", "the countess")}
    assert [to.sink for to in rule.to] == ["ops"]
    assert rule.quiet is not None
    assert SECRET not in repr(config) + repr(sinks) + repr(rule)
    assert SECRET not in "".join(sinks["ops"].scrubbed(text) for text in (SECRET, f"no /services/T0/B0/{SECRET} here"))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (notice(to='"opps"'), "notice 'prod': to: there is no sink 'opps'; there is: ops"),
        (notice(to="[]"), "notice 'prod': to: must not be empty"),
        (notice("wen = ''"), "notice 'prod': unknown setting 'wen'; did you mean 'when'?"),
        (notice('when = "enviroment:x"'), "notice 'prod': when: query, character 1: there is no field 'enviroment'"),
        (notice('when = "since:2d"'), "notice 'prod': when: a rule is about what is stored from now on"),
        (notice('when = "impact:>5%"'), "notice 'prod': when: impact and is:vanished are not known yet"),
        (notice('when = "-has:impact"'), "notice 'prod': when: impact and is:vanished are not known yet"),
        (
            notice('when = "x"', 'about = "gap"'),
            "notice 'prod': it: when asks for changes, and about does not name them",
        ),
        (notice('about = ["gaps"]'), "notice 'prod': about.1: must be 'changes', 'gap', 'refused' or 'retention'"),
        (notice('quiet = "22-7"'), "notice 'prod': it: '22-7' is not two times of the day such as \"22:00-07:00\""),
        (notice('quiet = "07:00-07:00"'), "notice 'prod': it: '07:00-07:00' is not two times"),
        (notice('zone = "Berlin"'), "notice 'prod': it: there is no zone 'Berlin'"),
        (notice('group = "0s"'), "notice 'prod': group: '0s' is no time at all"),
        (notice('group = "2d"'), "notice 'prod': group: must be at most 1d"),
        (notice() + SINK, "two sinks are called 'ops'; give each a name of its own"),
        (SINK.replace("slack", "slak"), "sink 'ops': kind: 'slak' is none of slack, webhook, grafana, email, apprise"),
        ('[serve]\npublic_url = "trail.example.com"', "serve.public_url: 'trail.example.com' is no address of a page"),
    ],
)
def test_a_mistake_is_one_line_when_the_config_is_read(write: Write, text: str, line: str) -> None:
    path = write(text)
    with pytest.raises(ConfigError) as raised:
        load(path)
    [said] = str(raised.value).splitlines()
    assert said.removeprefix(f"config {path}: ").startswith(line)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (SINK.replace("url", "ulr"), ["sink 'ops': the setting 'url' is missing",
                                      "sink 'ops': unknown setting 'ulr'; did you mean 'url'?"]),
        (SINK.replace('{ env = "SLACK" }', f'"https://x/{SECRET}"'), ["sink 'ops': url: a secret does not stand in"]),
        (SINK.replace("SLACK", "HTTP"), ["sink 'ops': url: it would be sent unencrypted; write https://"]),
        (SINK.replace("SLACK", "NOTHING"), ["sink 'ops': url: environment variable NOTHING is not set or empty"]),
        (SINK + 'give_up = "1s"', ["sink 'ops': give_up: must be at least 1m"]),
        ('[[sink]]\nname = "ops"\nkind = "email"\nhost = "x"\nsender = "a@x.test"\nto = "b@x.test"\nusername = "me"',
         ["sink 'ops': it: username and password go together"]),
    ],
)  # fmt: skip
def test_a_mistake_in_a_sink_is_told_when_it_is_used_and_its_secret_is_not(
    write: Write, text: str, lines: list[str]
) -> None:
    config = load(write(text))
    with pytest.raises(ConfigError) as raised:
        sinks_of(config)
    said = str(raised.value).splitlines()
    assert len(said) == len(lines)
    assert all(one.startswith(line) for one, line in zip(said, lines, strict=True))
    assert SECRET not in str(raised.value) + repr(config)


def test_secrets_of_webhooks_are_fetched_when_the_source_is_built(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "api-1")
    start = '[[source]]\nname = "acme"\nconnector = "launchdarkly"\ntoken = { env = "TOKEN" }\nwebhook_secret = '
    [source] = load(write(start + '[{ env = "SLACK" }, { env = "HTTP" }]')).sources()
    assert [secret.get_secret_value()[:5] for secret in source.webhook_secrets] == ["https", "http:"]
    for wrong in (f'"{SECRET}"', f'[{{ env = "SLACK" }}, "{SECRET}"]'):
        config = load(write(start + wrong))
        with pytest.raises(ConfigError) as raised:
            config.sources()
        assert "source 'acme': webhook_secret" in str(raised.value)
        assert "a secret does not stand in the config" in str(raised.value)
        assert SECRET not in str(raised.value) + repr(config)


@pytest.mark.parametrize(
    ("hours", "zone", "at", "over_at"),
    [
        ("22:00-07:00", "UTC", "2026-03-01T21:59:59Z", None),
        ("22:00-07:00", "UTC", "2026-03-01T22:00:00Z", "2026-03-02T07:00:00Z"),
        ("22:00-07:00", "UTC", "2026-03-01T06:59:59Z", "2026-03-01T07:00:00Z"),
        ("22:00-07:00", "UTC", "2026-03-01T07:00:00Z", None),
        ("12:00-13:30", "UTC", "2026-03-01T13:29:00Z", "2026-03-01T13:30:00Z"),
        ("12:00-13:30", "UTC", "2026-03-01T11:59:00Z", None),
        ("22:00-07:00", "Asia/Kathmandu", "2026-03-01T16:15:00Z", "2026-03-02T01:15:00Z"),
        # Clocks are put forward in the night, from 2:00 to 3:00, and back in autumn, from 3:00 to 2:00.
        ("22:00-07:00", "Europe/Berlin", "2026-03-28T21:00:00Z", "2026-03-29T05:00:00Z"),
        ("01:00-02:30", "Europe/Berlin", "2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"),
        ("22:00-07:00", "Europe/Berlin", "2026-10-24T21:00:00Z", "2026-10-25T06:00:00Z"),
        ("01:00-02:30", "Europe/Berlin", "2026-10-25T00:15:00Z", "2026-10-25T00:30:00Z"),
        ("01:00-02:30", "Europe/Berlin", "2026-10-25T01:15:00Z", "2026-10-25T01:30:00Z"),
    ],
)
def test_quiet_hours_end_by_the_clocks_of_their_zone(hours: str, zone: str, at: str, over_at: str | None) -> None:
    moment = datetime.fromisoformat(at).astimezone(UTC)
    assert parse_hours(hours, zone).over_at(moment) == (datetime.fromisoformat(over_at) if over_at else moment)
