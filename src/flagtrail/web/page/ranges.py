"""The ways from one time to another: presets, earlier and later, nearer and wider."""

from datetime import datetime, timedelta
from typing import NamedTuple

from flagtrail.web.page.answer import Answer
from flagtrail.web.page.view import ALL, PRESETS, View, short

NEAREST = timedelta(seconds=10)  # a time that is not divided any more


class Way(NamedTuple):
    """A link: what it says, and its address; None where there is nothing further."""

    label: str
    address: str | None
    is_here: bool = False
    about: str = ""


def beginnings(view: View) -> list[Way]:
    """Return the times up to now that are asked for often."""
    told = [
        Way(each.name, view.link(since=each.since, until=None), _is(view, each.since, each.name), each.words)
        for each in PRESETS
    ]
    return [*told, Way(ALL, view.link(since=ALL, until=None), _is(view, ALL, ALL), "all that there is")]


def _is(view: View, *texts: str) -> bool:
    return view.since in texts and not view.until


def ways(view: View, found: Answer) -> list[Way]:
    """Return the ways from the time of an answer to those beside it, in it and around it."""
    window, now = found.window, view.now
    half = window.length / 2
    to_now = window.until >= now
    near = (window.until - half, window.until) if to_now else (window.since + half / 2, window.until - half / 2)
    wide = (window.since - (window.length if to_now else half), min(window.until + half, now))
    later = (window.since + half, min(window.until + half, now))
    told = (
        ("Earlier", (window.since - half, window.until - half), True),
        ("Later", later, not to_now),
        ("Zoom in", near, window.length > NEAREST),
        ("Zoom out", wide, view.since != ALL),
    )
    return [Way(label, _address(view, *time) if possible else None) for label, time, possible in told]


def _address(view: View, since: datetime, until: datetime) -> str:
    return view.link(since=short(since), until=None if until >= view.now else short(until))
