"""What a message says, and how: short, readable, and safe in the language of the sink."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from flagtrail.sentence import sentence, vendor_of
from flagtrail.window import iso

LONGEST = 300  # characters of what a vendor wrote
CONTROL = dict.fromkeys([*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F])


class Finding(NamedTuple):
    """Something about the trail itself: of which kind, `key` that tells it from others, where, and a sentence."""

    about: str
    key: str
    source: str
    stream: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Message:
    """What is told to one sink at once: rows of the table `event`, `more` others that are only counted, and findings.

    `page` is the base address of flagtrail's page, if people can reach it.
    """

    rule: str
    key: str
    made_at: datetime
    events: Sequence[Mapping[str, Any]] = ()
    more: int = 0
    findings: Sequence[Finding] = ()
    page: str | None = None
    test: bool = False

    @property
    def number(self) -> int:
        """How many things it tells of."""
        return len(self.events) + self.more + len(self.findings)


class Markup(NamedTuple):
    """How a sink writes: `escape` makes any text harmless, `strong` and `link` take texts that are."""

    escape: Callable[[str], str]
    strong: Callable[[str], str]
    link: Callable[[str, str], str]


PLAIN = Markup(str, str, lambda address, label: f"{label}: {address}")


def clean(text: object, most: int = LONGEST) -> str:
    """Return a text on one line, without what steers terminals or turns the direction of writing, and not too long."""
    told = " ".join(str(text).split()).translate(CONTROL)
    return told if len(told) <= most else told[: most - 1] + "…"


def title(message: Message) -> str:
    """Return a message in a few words."""
    if message.test:
        return f"{message.rule}: a test, nothing has happened"
    if message.number == 1:
        return clean(_sentences(message)[0], 150)
    return f"{message.number:,} changes ({message.rule})" if message.events else f"{message.number:,} findings"


def written(message: Message, markup: Markup, listed: int) -> list[str]:
    """Return a message as lines, of which only so many things are told one by one."""
    if message.test:
        return [markup.escape(f"{title(message)}. flagtrail can reach this place.")]
    told = [*_findings(message, markup), *_changes(message, markup)][:listed]
    lines = [markup.strong(markup.escape(title(message)))] if message.number > 1 else []
    lines += [line for entry in told for line in entry]
    more = message.number - len(told)
    if more:
        where = f" · {markup.link(message.page, 'flagtrail')}" if message.page else ""
        lines.append(markup.escape(f"and {more:,} more") + where)
    return lines


def _sentences(message: Message) -> list[str]:
    return [finding.text for finding in message.findings] + [str(sentence(row)) for row in message.events]


def _findings(message: Message, markup: Markup) -> Iterator[list[str]]:
    for finding in message.findings:
        told = [markup.escape(clean(finding.text, 2 * LONGEST))]
        if message.page:
            told.append(markup.link(f"{message.page}/coverage", "flagtrail"))
        yield [" · ".join(told)]


def _changes(message: Message, markup: Markup) -> Iterator[list[str]]:
    """Yield two lines for each change: the sentence, and where and why it was and where it is told in full."""
    for row in message.events:
        told = [markup.escape(part) for part in _particulars(row)]
        if row["url"] and str(row["url"]).startswith("https://"):
            told.append(markup.link(clean(row["url"], 2000), markup.escape(vendor_of(row["vendor"]).name)))
        if message.page:
            told.append(markup.link(f"{message.page}/event/{row['id']}", "flagtrail"))
        yield [markup.escape(clean(sentence(row))), "    " + " · ".join(told)]


def _particulars(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is said of a change besides the sentence: when, where, its impact, and the reason that was given."""
    yield f"{row['occurred_at'].astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    place = [row["project_name"] or row["project"], row["environment_name"] or row["environment"]]
    yield clean(" / ".join([vendor_of(row["vendor"]).name, *(part for part in place if part)]))
    impact = row["impact"] or {}
    if impact.get("size") not in (None, "none"):
        share = f" ({impact['percentage']:g} %)" if isinstance(impact.get("percentage"), int | float) else ""
        yield clean(f"{impact['size']} impact{share}")
    if row["comment"]:
        yield f"“{clean(row['comment'])}”"


def as_events(message: Message) -> list[dict[str, Any]]:
    """Return a message as CloudEvents 1.0: one for each change and each finding; `rule` is an extension of ours."""
    from flagtrail.exports.cloudevents import event_of  # nobody else needs it

    told = [event_of(row) for row in message.events]
    told += [
        _event(message, finding.about, f"{finding.key} {iso(message.made_at)}", finding.source, {
            "source": finding.source, "stream": finding.stream, "text": finding.text,
        })
        for finding in message.findings
    ]  # fmt: skip
    if message.test:
        told.append(_event(message, "test", message.key, None, {"text": title(message)}))
    return [one | {"rule": message.rule} for one in told]


def _event(message: Message, about: str, key: str, source: str | None, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": key, "source": f"/flagtrail/{source}" if source else "/flagtrail",
        "type": f"flagtrail.{about}", "time": iso(message.made_at), "datacontenttype": "application/json", "data": data,
    }  # fmt: skip
