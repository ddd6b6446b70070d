"""Runs all that notices need beside the daemon: a collector, and a sender for each sink, in threads of their own."""

import threading
from collections.abc import Iterable, Mapping
from datetime import datetime

import structlog

from flagtrail.config import Config
from flagtrail.errors import ConfigError, FlagtrailError
from flagtrail.mistakes import validated
from flagtrail.notices.collecting import Collector, Rule
from flagtrail.notices.hours import parse_hours
from flagtrail.notices.outbox import To
from flagtrail.notices.sending import Sender
from flagtrail.notices.sinks import Sink
from flagtrail.query import expanded
from flagtrail.report import Report
from flagtrail.store import Store

AGAIN = 30.0  # seconds until it is tried again, when the database cannot be opened

log = structlog.get_logger()


def sinks_of(config: Config) -> dict[str, Sink]:
    """Return every sink that the config tells of, by its name; raises ConfigError with a line for each mistake."""
    built, mistakes = {}, []
    for each in config.sink:
        try:
            where, names = f"sink {each.name!r}", list(each.model.model_fields)
            built[each.name] = validated(each.model, each.model_extra or {}, where, names)
        except ConfigError as error:
            mistakes.append(str(error))
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return built


def rules_of(config: Config, sinks: Mapping[str, Sink]) -> list[Rule]:
    """Return the rules that the config tells of."""
    people = config.people()
    return [
        Rule(
            each.name,
            expanded(each.query(), people.identities),
            [To(name, sinks[name].listed, sinks[name].sums_up) for name in dict.fromkeys(each.to)],
            each.about,
            each.group,
            parse_hours(each.quiet, each.zone) if each.quiet else None,
            each.older,
        )
        for each in config.notice
    ]


class Notices:
    """The collector and the senders, until `stop`, with a store of their own; the daemon goes on without them."""

    def __init__(self, url: str, rules: Iterable[Rule], sinks: Mapping[str, Sink], page: str | None = None) -> None:
        self.url, self.rules, self.sinks, self.page = url, list(rules), dict(sinks), page
        self._collector: Collector | None = None
        self._reports: dict[str, Report] = {}  # the last of each source, also from before the database was opened
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._working: list[Collector | Sender] = []
        self._thread = threading.Thread(target=self._run, name="notices", daemon=True)

    def start(self) -> None:
        """Begin, soon."""
        self._thread.start()

    def heard(self, report: Report) -> None:
        """Take over how a look at a source went; from any thread."""
        with self._lock:
            self._reports[report.source] = report
            if self._collector is not None:
                self._collector.heard(report)

    def stop(self) -> None:
        """Let it end soon; what was not sent waits in the database."""
        self._stopped.set()
        for each in self._working:
            each.stop.set()

    def wait(self, seconds: float) -> bool:
        """Wait for the end, and return whether it came."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                with Store(self.url, create=False) as store:
                    self._work(store)
            except FlagtrailError as error:
                log.error("notices_failed", error=str(error))
            except Exception:
                log.exception("notices_crashed")
            self._stopped.wait(AGAIN)

    def _work(self, store: Store) -> None:
        with self._lock:
            collector = self._collector = Collector(store, self.rules)
            for report in self._reports.values():
                collector.heard(report)
        senders = [Sender(store, name, sink, self.page, held_back=self._held_back) for name, sink in self.sinks.items()]
        self._working = [collector, *senders]
        threads = [threading.Thread(target=each.run, name="notices", daemon=True) for each in self._working]
        if self._stopped.is_set():
            return
        for thread in threads:
            thread.start()
        log.info("notices_started", rules=[rule.name for rule in self.rules], sinks=list(self.sinks))
        self._stopped.wait()
        self.stop()
        for thread in threads:
            thread.join()

    def _held_back(self, rule: str, at: datetime) -> datetime:
        """Return when a rule may tell what it would tell at a moment."""
        quiet = next((each.quiet for each in self.rules if each.name == rule), None)
        return quiet.over_at(at) if quiet else at
