"""Writes a change as text that is put elsewhere: Markdown for a ticket or a chat, JSON for a program."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any

from flagtrail.exports.columns import as_json
from flagtrail.sentence import sentence, tidy
from flagtrail.web.page.difference import Difference, pretty
from flagtrail.window import iso

MOST = 10  # changed places in Markdown
LONGEST = 300  # characters of one value there
_SIGNS = re.compile(r"([\\`*_\[\](){}<>#|~!])")


def as_markdown(row: Mapping[str, Any], told: Sequence[Difference], address: str) -> str:
    """Return a change as Markdown, in which nothing of the vendor's is markup."""
    places = [row["project_name"] or row["project"], row["environment_name"] or row["environment"], row["source"]]
    lines = [f"**{_plain(str(sentence(row)))}**", ""]
    lines.append(f"- When: {iso(row['occurred_at'].astimezone(UTC))}")
    who = [row["actor_name"], row["actor_email"], row["actor_kind"]]
    lines.append(f"- Who: {', '.join(_plain(one) for one in dict.fromkeys(who) if one)}")
    lines.append(f"- Where: {', '.join(_plain(place) for place in places if place)}")
    lines += [f"- {_plain(' / '.join(one.place))}: {_difference(one)}" for one in told[:MOST]]
    lines += [f"- and {len(told) - MOST} more changed places"] if len(told) > MOST else []
    lines += [f"- Comment: {_plain(row['comment'])}"] if row["comment"] else []
    return "\n".join([*lines, "", f"<{address}>"])


def as_text(row: Mapping[str, Any]) -> str:
    """Return a change as JSON, with the columns of an exported event."""
    return pretty(as_json(row))


def _plain(text: object) -> str:
    """Return a text on one line in which no sign is markup."""
    return _SIGNS.sub(r"\\\1", tidy(str(text), LONGEST))


def _difference(one: Difference) -> str:
    if one.form == "members":
        parts = [f"added {', '.join(one.added)}"] if one.added else []
        return _plain("; ".join([*parts, *([f"removed {', '.join(one.removed)}"] if one.removed else [])]))
    if one.form == "rollout":
        return _plain(", ".join(f"{s.name}: {_percent(s.before)} → {_percent(s.after)}" for s in one.shares))
    if one.form in ("text", "lines"):
        return " ".join(_marked(part.how, part.text) for part in one.parts if part.text.strip())[: 4 * LONGEST]
    if one.form == "note":
        return _plain(one.after)
    return (
        f"{_plain(one.before if one.before is not None else '—')} → {_plain('—' if one.after is None else one.after)}"
    )


def _marked(how: str, text: str) -> str:
    signs = {"removed": "~~", "added": "**"}.get(how, "")
    return f"{signs}{_plain(text)}{signs}"


def _percent(share: float | None) -> str:
    return "—" if share is None else f"{share:g} %"
