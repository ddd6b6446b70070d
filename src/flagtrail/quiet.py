"""Decides when a quiet stream is looked at: seldom, and at once when the log that tells of every change has news."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from flagtrail.connector import Stream
from flagtrail.report import News, Report

LONGEST = timedelta(minutes=15)  # between two looks at a stream, however quiet: not everything may be told of


@dataclass(slots=True)
class _State:
    """When a stream was looked at, and until when it was worth a look at every tick; by the vendor's clock."""

    looked: datetime
    awake_until: datetime
    woken: bool = False


class Quiet:
    """What one session knows of the quiet streams of its source.

    A stream that another log wakes is looked at half as often each time, down to every quarter of an hour. It is looked
    at every time as long as that log cannot be read itself, and for the settling time after it had news.
    """

    def __init__(self, every: timedelta, settle: timedelta) -> None:
        self._every, self._settle = every, settle
        self._states: dict[str, _State] = {}
        self._heard: set[str] = set()  # logs that were read without an error the last time

    def is_due(self, stream: Stream, now: datetime) -> bool:
        """Return whether a stream is to be looked at now."""
        state = self._states.get(stream.name)
        if state is None or state.woken or stream.woken_by not in self._heard:
            return True
        since = now - state.looked
        pause = min(state.looked - state.awake_until, LONGEST)
        return since < timedelta() or since + self._every / 2 >= pause

    def learn(self, report: Report, streams: Iterable[Stream], now: datetime) -> None:
        """Take over how a look went: which streams were looked at, and which have news or were told of by others."""
        read = {name: state for name, state in report.streams.items() if not state.error and not report.error}
        failed = {state.stream.log for name, state in report.streams.items() if name not in read}
        self._heard = (self._heard | {state.stream.log for state in read.values()}) - failed
        for name, looked in read.items():
            known = self._states.get(name) or _State(now, now - self._every)
            own = looked.changed or any(news.log == looked.stream.log for news in report.news)
            self._states[name] = _State(now, now + self._settle if own else known.awake_until)
        for stream in streams:
            for news in report.news:
                self._wake(stream, news, now)

    def recall(
        self, streams: Iterable[Stream], looked: Mapping[str, datetime], heard: set[str], news: Mapping[News, datetime]
    ) -> None:
        """Take over what others know: when streams were looked at, by name, and when there was news of which place.

        `heard` are the logs that were read without an error the last time.
        """
        self._heard = heard
        self._states = {name: _State(at, at - LONGEST) for name, at in looked.items()}
        for stream in streams:
            state = self._states.get(stream.name)
            for each, at in news.items() if state else ():
                assert state is not None
                if each.log == stream.log:
                    state.awake_until = max(state.awake_until, at + self._settle)
                elif at > state.looked or each.environment is not None:
                    woken = state.woken
                    self._wake(stream, each, at)
                    state.woken = woken or (state.woken and at > state.looked)

    def _wake(self, stream: Stream, news: News, now: datetime) -> None:
        """Let a stream be looked at next time if news may be about it: the surer that is, the longer it stays awake."""
        state = self._states.get(stream.name)
        if state is None or news.log != stream.woken_by:
            return
        if news.project is None:  # about the whole account, such as a new member
            state.woken = True
        elif news.project == stream.project and news.environment in (None, stream.environment):
            here = news.environment is not None
            state.woken = True
            state.awake_until = max(state.awake_until, now + self._settle if here else now)
