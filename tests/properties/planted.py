"""The bugs that are planted: a poller of audit logs is known to have such, or one edit would bring them back.

Left out as equivalent: events that are committed without the coverage they came with, because they are read again.
"""

from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
READERS, PLAN, STORE = (f"src/flagtrail/{name}.py" for name in ("readers", "plan", "store"))
WINDOW, CLOCK, API, REVISIONS = (f"src/flagtrail/{name}.py" for name in ("window", "clock", "api", "revisions"))
VERIFY, COMPARE, AGAIN, TRUST = (f"src/flagtrail/{name}.py" for name in ("verify", "compare", "again", "trust"))
HOLDINGS, VERDICTS, COVERING = (f"src/flagtrail/{name}.py" for name in ("holdings", "verdicts", "covering"))
LAUNCHDARKLY, CONFIGCAT = "connectors/flagtrail_launchdarkly", "connectors/flagtrail_configcat"


class Mutant(NamedTuple):
    """One planted bug: in `file`, `new` stands for `old`."""

    name: str
    file: str
    old: str
    new: str

    def occurrences(self, root: Path = ROOT) -> int:
        """Return how often the old text stands in its file; the bug can be planted where that is once."""
        return (root / self.file).read_text(encoding="utf-8").count(self.old)

    def plant(self, root: Path) -> None:
        """Put the bug into a copy of the tree."""
        file = root / self.file
        file.write_text(file.read_text(encoding="utf-8").replace(self.old, self.new), encoding="utf-8")


MUTANTS = (
    Mutant(
        "the next page leaves out the millisecond at the edge of the last",
        f"{LAUNCHDARKLY}/audit_log.py",
        "            top, covered = oldest + 1, top\n",
        "            top, covered = oldest, top\n",
    ),
    Mutant(
        "the whole window is claimed on its first page",
        f"{LAUNCHDARKLY}/audit_log.py",
        "Window.of_ms(max(top, window.since_ms), covered)",
        "Window.of_ms(window.since_ms, covered)",
    ),
    Mutant(
        "an inclusive `before` is not noticed",
        f"{LAUNCHDARKLY}/audit_log.py",
        "            inclusive = True\n",
        "            inclusive = False\n            top -= 1\n",
    ),
    Mutant(
        "the start of a window is asked for exclusively",
        f"{LAUNCHDARKLY}/audit_log.py",
        "after=window.since_ms - 1",
        "after=window.since_ms",
    ),
    Mutant(
        "a page is the last one when it has no link, though it is full",
        f"{LAUNCHDARKLY}/listing.py",
        "more = len(items) >= PAGE or ",
        "more = ",
    ),
    Mutant(
        "another order than newest first is accepted",
        f"{LAUNCHDARKLY}/listing.py",
        "    if any(newer < older for newer, older in pairwise(dates)):\n",
        "    if dates != dates and any(newer < older for newer, older in pairwise(dates)):\n",
    ),
    Mutant(
        "a burst is not divided",
        f"{LAUNCHDARKLY}/burst.py",
        '    burst.divide({}, "resource", shown)\n',
        "    burst.searched.update(burst.found)\n",
    ),
    Mutant(
        "a burst that cannot be divided is claimed",
        f"{LAUNCHDARKLY}/burst.py",
        "    if reason:\n        return Hole(",
        "    if reason and not burst.found:\n        return Hole(",
    ),
    Mutant(
        "flag events are claimed without comparing them with the total",
        f"{LAUNCHDARKLY}/flag_events.py",
        "        if totals == {len(ids)}:\n",
        "        if totals:\n",
    ),
    Mutant(
        "ConfigCat's first page is claimed though the total is larger",
        f"{CONFIGCAT}/audit_log.py",
        "    if len(sheet.items) == sheet.total:\n        if sheet.more:\n",
        "    if sheet.items or not sheet.total:\n        if sheet.more and not sheet.items:\n",
    ),
    Mutant(
        "ConfigCat's total is not compared with what is shown",
        f"{CONFIGCAT}/audit_log.py",
        "    if len(sheet.items) == sheet.total:\n",
        "    if not sheet.more:\n",
    ),
    Mutant(
        "a crowded second is claimed after one walk",
        f"{CONFIGCAT}/audit_log.py",
        "        if ids == before and len(ids) == total:\n",
        "        if ids:\n",
    ),
    Mutant(
        "nothing has to settle",
        READERS,
        "covers.before(min(known) - self.source.settle)",
        "covers.before(min(known))",
    ),
    Mutant(
        "what settles is measured by this machine's clock",
        READERS,
        "covers.before(min(known) - self.source.settle)",
        "covers.before(datetime.now(UTC) - self.source.settle)",
    ),
    Mutant(
        "the last answer decides what has settled, though the claim rests on earlier ones",
        READERS,
        "covers.before(min(known) - self.source.settle)",
        "covers.before(known[-1] - self.source.settle)",
    ),
    Mutant(
        "an answer without a Date settles everything",
        READERS,
        "        if len(known) < len(dates):\n",
        "        if not known:\n            return page.covers.clip(job.window)\n        if not dates:\n",
    ),
    Mutant(
        "an answer without a Date is dated by this machine's clock",
        CLOCK,
        "        if date is None:\n            return None\n",
        "        if date is None:\n            return datetime.now(UTC)\n",
    ),
    Mutant(
        "a Date that jumps is believed",
        CLOCK,
        "                if self._set is not None and not _agree(self._doubted, date, at):\n",
        "                if self._set is None and not _agree(self._doubted, date, at):\n",
    ),
    Mutant(
        "an error is an empty window",
        READERS,
        "        except SourceError as error:\n            if not self.stop.is_set():\n"
        "                self.fail(job, error)\n",
        "        except SourceError:\n            horizon = (self.api.now() or self.started) - self.source.settle\n"
        "            self.put(Reading(job.stream.name, [], job.window.before(horizon)))\n",
    ),
    Mutant(
        "what an error interrupts is not told",
        READERS,
        "            if not self.stop.is_set():\n                self.fail(job, error)\n",
        "            if self.stop.is_set():\n                self.fail(job, error)\n",
    ),
    Mutant(
        "a status that is not 200 may be read",
        API,
        "        if status == 200:\n",
        "        if status < 500:\n",
    ),
    Mutant(
        "coverage is committed before its events",
        STORE,
        "            covering.lock_streams(connection, source, streams)\n"
        "            known = self.forgotten(connection)\n",
        "            for reading in readings:\n"
        "                claims = [reading.covers] if reading.covers else []\n"
        "                covering.cover(connection, source, {reading.stream: claims})\n"
        "        with guarded(self.shown), writing(self.engine) as connection:\n"
        "            covering.lock_streams(connection, source, streams)\n"
        "            known = self.forgotten(connection)\n",
    ),
    Mutant(
        "events that cannot be written are left out",
        STORE,
        "            added = Writing(connection, self.packing, now).write(rows)\n",
        "            try:\n                added = Writing(connection, self.packing, now).write(rows)\n"
        "            except Exception:\n                added = Added([], [])\n",
    ),
    Mutant(
        "who takes over half of a job leaves out its first millisecond",
        "src/flagtrail/jobs.py",
        "        older = Window(left.since, middle)\n",
        "        older = Window(left.since, middle)\n        running.job = Job(running.job.stream, Window("
        "middle + (middle - left.since) / 50, running.job.window.until))\n",
    ),
    Mutant(
        "the last writer's coverage stands",
        COVERING,
        "        whole = merge([*known, *claims])\n",
        "        whole = claims\n",
    ),
    Mutant(
        "coverage that touches is not merged",
        COVERING,
        'table.c.since <= bindparam("last"),\n        table.c.until >= bindparam("first"),',
        'table.c.since < bindparam("last"),\n        table.c.until > bindparam("first"),',
    ),
    Mutant(
        "an entry that comes back with other words keeps the first",
        REVISIONS,
        "            if state.digest == row.digest:\n",
        "            if state.digest is not None:\n",
    ),
    Mutant(
        "windows are cut with a hole between them",
        WINDOW,
        "        return [Window(a, b) for a, b in zip(cuts, [*cuts[1:], self.until], strict=True)]\n",
        "        return [Window(a, b - MILLISECOND if b < self.until and b - a > MILLISECOND else b)"
        " for a, b in zip(cuts, [*cuts[1:], self.until], strict=True)]\n",
    ),
    Mutant(
        "windows that do not meet are merged",
        WINDOW,
        "        if merged and window.since <= merged[-1].until:\n",
        "        if merged and window.since <= merged[-1].until + timedelta(minutes=1):\n",
    ),
    Mutant(
        "a job ends where its counts end",
        PLAN,
        "        until = gap.until if number == len(counts) else min(window.until, gap.until)\n",
        "        until = min(window.until, gap.until)\n",
    ),
    Mutant(
        "what is dated ahead is not asked for",
        "src/flagtrail/reach.py",
        "Window(since, now + AHEAD)",
        "Window(since, now)",
    ),
    Mutant(
        "a stopped window is stored as if it were read",
        READERS,
        "                if self.ending or self.jobs.nothing_left(part):\n",
        "                if self.ending:\n                    now = self.api.now()\n"
        "                    whole = self.proven(job, Page((), job.window, now), [now])\n"
        "                    self.put(Prepared(job.stream.name, [], whole, None))\n"
        "                if self.ending or self.jobs.nothing_left(part):\n",
    ),
    Mutant(
        "differences that cancel out in a window are not looked at",
        COMPARE,
        "        if not differing and told == stored:\n",
        "        if told == stored:\n",
    ),
    Mutant(
        "entries at the ends of a window are not taken out of it",
        COMPARE,
        "        low = times.quiet(window.since_ms, window.since_ms, last)\n"
        "        high = None if low is None else times.quiet(last, low + 1, last)\n",
        "        low, high = window.since_ms, last\n",
    ),
    Mutant(
        "the ends of a window are verified without being read",
        COMPARE,
        "            yield self._contents(Window.of_ms(window.since_ms, low), Method.COUNTS)\n"
        "        yield from self._compared(Window.of_ms(low, high), times)\n"
        "        if high < last:\n"
        "            yield self._contents(Window.of_ms(high, last), Method.COUNTS)\n",
        "            yield self._verdict(Window.of_ms(window.since_ms, low), Outcome.VERIFIED)\n"
        "        yield from self._compared(Window.of_ms(low, high), times)\n"
        "        if high < last:\n"
        "            yield self._verdict(Window.of_ms(high, last), Outcome.VERIFIED)\n",
    ),
    Mutant(
        "what is not shown once has vanished",
        COMPARE,
        "        if missing and not again.holes:\n",
        "        if missing and again.holes:\n",
    ),
    Mutant(
        "what a hole does not show has vanished",
        COMPARE,
        "        if again.holes:\n            outcome, reason",
        "        if again.holes and not again.shown:\n            outcome, reason",
    ),
    Mutant(
        "numbers that are wrong are believed all the same",
        COMPARE,
        "(None if agrees else self.trust.disagreement_besides(window))",
        "None",
    ),
    Mutant(
        "what is found while numbers are tried is not told",
        TRUST,
        "        if again.found:\n",
        "        if again.found > 99:\n",
    ),
    Mutant(
        "numbers are believed without trying them",
        VERIFY,
        "            if method is Method.COUNTS and not comparison.shared:\n",
        "            if method is Method.COUNTS and comparison.shared:\n",
    ),
    Mutant(
        "a verdict is written before the reading",
        VERIFY,
        "        try:\n            verdicts = list(compare(piece))\n",
        "        early = Verdict(piece, Outcome.VERIFIED, comparison.started, method)\n"
        "        note_verdicts(self.store, self.source.name, comparison.stream.name, [early])\n"
        "        try:\n            verdicts = list(compare(piece))\n",
    ),
    Mutant(
        "what is missing is not marked",
        VERIFY,
        "            if comparison.missing and not self.over.is_set():\n",
        "            if comparison.missing and self.over.is_set():\n",
    ),
    Mutant(
        "what was verified by numbers that are doubted now stays verified",
        VERIFY,
        "                distrust(self.store, self.source.name, name)\n",
        "",
    ),
    Mutant(
        "what is read again is not stored",
        AGAIN,
        "        added = self.store.add(self.source.name, self.source.connector.vendor, readings)\n",
        "        added = self.store.add(self.source.name, self.source.connector.vendor, [])\n",
    ),
    Mutant(
        "what vanished is counted as stored",
        HOLDINGS,
        "        EVENT.c.occurred_at < window.until,\n        EVENT.c.vanished_at.is_(None),\n",
        "        EVENT.c.occurred_at < window.until,\n",
    ),
    Mutant(
        "what is shown again stays marked as vanished",
        REVISIONS,
        "        if ids:\n            shown = {",
        "        if not ids:\n            shown = {",
    ),
    Mutant(
        "an older verdict does not end where a newer one begins",
        VERDICTS,
        "                for part in subtract(earlier.window, [window])\n",
        "                for part in [earlier.window]\n",
    ),
)
