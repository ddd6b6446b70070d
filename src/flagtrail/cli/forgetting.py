"""What the commands do that are about people's data: forget, hold on, hold off, hold status."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from flagtrail import forget as forgetting
from flagtrail import hold
from flagtrail.cli.asking import open_store
from flagtrail.cli.options import FAILED, Simple
from flagtrail.cli.showing import counted, err, local, out, plain, plain_table, print_json, say, say_errors
from flagtrail.config import Config, load
from flagtrail.errors import ConfigError, Held
from flagtrail.forget import Moved
from flagtrail.lake import feed
from flagtrail.store import Store
from flagtrail.sweep import Swept

TABLES = ("event", "record", "detail")  # told of even if no row of them is changed


def forget(
    person: list[str], reason: str | None, config: Path | None, output: Simple, *, dry_run: bool, yes: bool,
    quiet: bool,
) -> None:  # fmt: skip
    """Forget a person, or say what that would change; exits with 1 while the trail is on hold."""
    settings = load(config)
    people = settings.people()
    given = [identity for each in person for identity in people.identities(each)]
    if not all(text.strip() for text in given):
        raise ConfigError("PERSON is empty; write an address, an id or a name")
    with open_store(config) as store:
        identities = forgetting.identities_of(store, given)
        if not (dry_run or yes):
            _ask(identities)
        try:
            if dry_run:
                say(f"the person goes by {', '.join(map(plain, identities))}")
                with _Progress(quiet=quiet) as progress:
                    _tell_look(forgetting.look(store, identities, progress.moved), output)
            else:
                _do(store, identities, reason, output, quiet=quiet)
        except Held as error:
            say_errors(str(error))
            raise typer.Exit(FAILED) from None
        if not dry_run:
            forget_in_lake(store, settings, config)
    _tell_config(settings, identities)


def forget_in_lake(store: Store, settings: Config, config: Path | None) -> None:
    """Let the lake forget too, if one is kept."""
    with store.engine.connect() as connection:
        if not feed.is_kept(connection):
            return
    from flagtrail.cli import lake  # large, and optional

    lake.forgotten(store, settings, config)


def _do(store: Store, identities: list[str], reason: str | None, output: Simple, *, quiet: bool) -> None:
    with _Progress(quiet=quiet) as progress:
        done = forgetting.forget(store, identities, reason, progress.moved)
    if output is Simple.JSON:
        print_json(_act(done.act) | {"left": _left(done.swept), "scrubbed": done.scrubbed})
    else:
        out.print(f"the person is {done.act.pseudonym} now, in what is stored and in what will be")
        _print_rows({name: getattr(done.act, f"{name}s") for name in (*TABLES, "other")})
    _tell_left(done.swept)
    if not done.scrubbed:
        say("somebody reads the database all the time: its log (-wal) is overwritten when they let go; run this again")


def show(config: Path | None, output: Simple) -> None:
    """List every time that somebody was forgotten."""
    with open_store(config) as store:
        found = forgetting.acts(store)
    if output is Simple.JSON:
        print_json([_act(act) for act in found])
        return
    names = ("pseudonym", "begun", "finished", "events", "records", "reason")
    rows = [
        (a.pseudonym, local(a.begun_at), local(a.finished_at) or "not yet: run it again", a.events, a.records,
         plain(a.reason or ""))
        for a in found
    ]  # fmt: skip
    out.print(plain_table(names, rows, right=("events", "records")) if rows else "nobody was forgotten yet")


def hold_on(reason: str, config: Path | None) -> None:
    """Begin a hold."""
    with open_store(config) as store:
        hold.begin(store, _told(reason))
    say("the trail is on hold: nothing of it is deleted or forgotten until `flagtrail hold off`")


def hold_off(reason: str, config: Path | None) -> None:
    """End the hold."""
    with open_store(config) as store:
        hold.end(store, _told(reason))
    say("the trail is not on hold any more")


def show_holds(config: Path | None, output: Simple) -> None:
    """Show whether the trail is on hold, and every hold that there was."""
    with open_store(config) as store:
        found = hold.holds(store)
    lasts = any(each.until is None for each in found)
    if output is Simple.JSON:
        print_json({"on_hold": lasts, "holds": [each._asdict() for each in found]})
        return
    out.print("the trail is on hold" if lasts else "the trail is not on hold")
    if found:
        rows = [
            (local(h.since), plain(h.reason), local(h.until) or "it lasts", plain(h.ended_reason or "")) for h in found
        ]
        out.print(plain_table(("since", "why", "until", "why it ended"), rows))


def _told(reason: str) -> str:
    if not reason.strip():
        raise ConfigError("--reason is empty; say why, and who wants it")
    return reason.strip()


def _ask(identities: Iterable[str]) -> None:
    """Ask for a confirmation; raises ConfigError where nobody can be asked."""
    if not sys.stdin.isatty():
        raise ConfigError("nobody can be asked here whether it is meant; try it with --dry-run, then say --yes")
    err.print(f"the person goes by {', '.join(map(plain, identities))}", markup=False, soft_wrap=True)
    typer.confirm("All of it is replaced by a pseudonym, which cannot be undone. Go on?", abort=True, err=True)


def _tell_look(swept: Swept, output: Simple) -> None:
    rows = dict.fromkeys(TABLES, 0) | dict(swept.rows)
    if output is Simple.JSON:
        print_json({"rows": rows, "examples": swept.examples, "left": _left(swept)})
    else:
        _print_rows(rows)
        for id in swept.examples:
            out.print(f"such as event {id}")
    _tell_left(swept)
    say("nothing was changed")


def _print_rows(rows: dict[str, int]) -> None:
    out.print(plain_table(("table", "rows"), [(name, f"{number:,}") for name, number in rows.items()], right=["rows"]))


def _act(act: Any) -> dict[str, Any]:
    return {name: value for name, value in act._asdict().items() if name != "dictionaries"}


def _left(swept: Swept) -> dict[str, Any]:
    return {"places": swept.staying, "damaged": swept.damaged, "tokens": len(swept.tokens)}


def _tell_left(swept: Swept) -> None:
    """Tell a person what holds the name still, and what can be done about it."""
    if swept.staying:
        events = counted(swept.staying, "event names", "events name")
        say(
            f"{events} the person in the name of a project, an environment or a stream, or in the vendor's id: it stays"
        )
    if swept.damaged:
        say(f"{counted(swept.damaged, 'record is', 'records are')} damaged, and could not be looked at")
    for name in swept.tokens:
        say(f"the token {plain(name)!r} is called so: revoke it, and make another")


def _tell_config(settings: Config, identities: Iterable[str]) -> None:
    """Tell a person to take the person out of the config."""
    lower = {text.lower() for text in identities}
    for person in settings.person:
        if lower & {text.lower() for text in person.identities}:
            say("a [[person]] of the config names the person: take it out, flagtrail does not change the config")


class _Progress:
    """Shows how many events were looked at."""

    def __init__(self, *, quiet: bool) -> None:
        columns = (TextColumn("looking at events"), BarColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=err, disable=quiet or not err.is_terminal, transient=True)
        self._task = self._bar.add_task("")
        self.moved: Moved = lambda done, total: self._bar.update(self._task, completed=done, total=total)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()
