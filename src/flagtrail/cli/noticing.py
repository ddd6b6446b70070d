"""What the commands do that are about notices: notices, notices test."""

from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex

import typer
from rich.text import Text

from flagtrail.cli.asking import open_store
from flagtrail.cli.options import FAILED, Simple
from flagtrail.cli.showing import counted, local, out, plain_table, print_json, say, say_errors
from flagtrail.config import Config, load
from flagtrail.errors import ConfigError
from flagtrail.notices import outbox
from flagtrail.notices.outbox import DEAD, WAITING, Begun, Notice

ALL = "all"


def waiting(retry: str | None, drop: str | None, config: Path | None, output: Simple) -> None:
    """Show rules and messages, or send or drop some."""
    if retry is not None and drop is not None:
        raise ConfigError("--retry and --drop are two things to do; do one after the other")
    settings = load(config)
    with open_store(config) as store:
        if retry is not None:
            _say(outbox.retry(store, _number("--retry", retry), datetime.now(UTC)), "are sent", retry)
        elif drop is not None:
            _say(outbox.drop(store, _number("--drop", drop)), "are dropped", drop)
        else:
            _show(settings, outbox.begun(store), outbox.notices(store, WAITING, DEAD), output)


def try_out(name: str, config: Path | None) -> None:
    """Send a test message to the sinks of a notice, or to one sink."""
    from flagtrail.notices.message import Message  # who only looks at what waits sends nothing
    from flagtrail.notices.running import sinks_of
    from flagtrail.notices.sinks import NotSent

    settings = load(config)
    sinks = sinks_of(settings)
    rule = next((each for each in settings.notice if each.name == name), None)
    if rule is None and name not in sinks:
        known = ", ".join([*(each.name for each in settings.notice), *sinks]) or "none"
        raise ConfigError(f"there is no notice and no sink {name!r} in the config; there is: {known}")
    failed = False
    for each in dict.fromkeys(rule.to) if rule else [name]:
        message = Message(name, f"{name}/test-{token_hex(8)}", datetime.now(UTC), test=True)
        try:
            told = sinks[each].send(message)
        except NotSent as error:
            failed = True
            say_errors(f"{each}: {error}")
        else:
            out.print(Text(f"{each}: sent" + (f", but {told}" if told else ""), style="" if told else "green"))
    if failed:
        raise typer.Exit(FAILED)


def _number(option: str, text: str) -> int | None:
    if text != ALL and not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ConfigError(f"{option}: {text!r} is no number of a message; `flagtrail notices` shows them")
    return None if text == ALL else int(text)


def _say(count: int, done: str, asked: str) -> None:
    if not count and asked != ALL:
        raise ConfigError(f"no message {asked} waits or was given up; `flagtrail notices` shows them")
    if not count:
        say("no message was given up")
        return
    told = done if count > 1 else done.replace("are", "is")
    say(f"{counted(count, 'message', 'messages')} {told}" + (", by `flagtrail run`" if "sent" in done else ""))


def _show(settings: Config, begun: dict[str, Begun], found: list[Notice], output: Simple) -> None:
    rules, sinks = ({each.name for each in several} for several in (settings.notice, settings.sink))
    names = sorted(rules | begun.keys())
    if output is Simple.JSON:
        told = [_plain_rule(name, begun.get(name)) | {"configured": name in rules} for name in names]
        messages = [_plain(notice) | {"sink_configured": notice.sink in sinks} for notice in found]
        print_json({"rules": told, "notices": messages})
        return
    rows = []
    for name in names:
        row = _plain_rule(name, begun.get(name))
        note = "" if name in rules else "it is not in the config"
        rows.append((name, local(begun[name].began_at) if name in begun else "not yet", row["too_old"], note))
    out.print(plain_table(("rule", "since", "too old", ""), rows, right=["too old"]) if rows else "there are no rules")
    cells = [
        (notice.number, notice.rule, notice.sink, _told(notice),
         notice.state if notice.state == DEAD else f"due {local(notice.due_at)}", notice.tries,
         notice.error or ("" if notice.sink in sinks else "its sink is not in the config"))
        for notice in found
    ]  # fmt: skip
    columns = ("number", "rule", "sink", "tells of", "state", "tries", "error")
    out.print()
    out.print(plain_table(columns, cells, right=("number", "tries")) if cells else "no message waits or was given up")


def _plain_rule(name: str, begun: Begun | None) -> dict[str, object]:
    return {"rule": name, "since": begun and begun.began_at, "too_old": begun.left_out if begun else 0}


def _told(notice: Notice) -> str:
    """Return how much a message tells of."""
    if notice.findings is not None:
        return counted(len(notice.findings), "finding", "findings")
    return counted(len(notice.events or ()) + notice.more, "change", "changes")


def _plain(notice: Notice) -> dict[str, object]:
    return {name: value for name, value in notice._asdict().items() if name not in ("lease", "leased_until")}
