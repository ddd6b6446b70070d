"""Plants bugs in the sync core, one at a time in a copy, and tells which test catches each: `python mutants.py`.

Every mutant is a bug that a poller of audit logs is known to have, or that one edit would bring back. The histories of
`test_histories.py` are asked first, then the integration tests, the connectors' own and the unit tests; the first that
fails has caught it. Exits with 1 when a mutant survives, or when its old text is not in its file any more.

With arguments, only the mutants are tried whose names contain one of them.
"""

import argparse
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
NOT_COPIED = (".venv", ".git", ".*_cache", "__pycache__", "*.pyc", "build", "dist", "flagtrail-demo")
HISTORIES = "60"  # of each kind, for each mutant
LONGEST = 280  # seconds for one set of tests: a mutant that never ends is caught too
AT_ONCE = 2
HISTORY = ("tests/properties/test_histories.py",)
KINDS = {"flagtrail_launchdarkly": "LaunchDarkly", "flagtrail_configcat": "ConfigCat"}  # whose histories tell
STAGES = (
    ("histories", HISTORY),
    ("integration", ("tests/integration/test_sync.py", "tests/integration/test_hard_cases.py")),
    ("connectors", ("connectors",)),
    ("unit", ("tests/unit", "tests/integration/test_store.py")),
)
SYNC, READERS, PLAN, STORE = (f"src/flagtrail/{name}.py" for name in ("sync", "readers", "plan", "store"))
WINDOW, CLOCK, API = (f"src/flagtrail/{name}.py" for name in ("window", "clock", "api"))
LAUNCHDARKLY, CONFIGCAT = "connectors/flagtrail_launchdarkly", "connectors/flagtrail_configcat"


class Mutant(NamedTuple):
    """One planted bug: in `file`, `new` stands for `old`."""

    name: str
    file: str
    old: str
    new: str


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
        'more = len(items) >= PAGE or "next" in links',
        'more = "next" in links',
    ),
    Mutant(
        "a short page is the last one, though it links to a next",
        f"{LAUNCHDARKLY}/listing.py",
        'more = len(items) >= PAGE or "next" in links',
        "more = len(items) >= PAGE",
    ),
    Mutant(
        "another order than newest first is accepted",
        f"{LAUNCHDARKLY}/listing.py",
        "    if any(newer < older for newer, older in pairwise(dates)):\n",
        "    if dates != dates and any(newer < older for newer, older in pairwise(dates)):\n",
    ),
    Mutant(
        "an answer without links is the last page",
        f"{LAUNCHDARKLY}/listing.py",
        '(body.get("items"), body.get("_links"))',
        '(body.get("items"), body.get("_links") or {})',
    ),
    Mutant(
        "a burst is not divided",
        f"{LAUNCHDARKLY}/burst.py",
        '    burst.divide({}, "resource", shown)\n',
        "    burst.searched.update(burst.found)\n",
    ),
    Mutant(
        "a burst is divided by resources only",
        f"{LAUNCHDARKLY}/burst.py",
        "        if whole:\n            return\n        if len(values) > 1:\n",
        '        if whole or (by == "resource" and len(values) == 1):\n            return\n'
        "        if len(values) > 1:\n",
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
        "flag events are claimed after their first page",
        f"{LAUNCHDARKLY}/flag_events.py",
        '            yield Page(body["items"], None, date)\n',
        '            yield Page(body["items"], window, date)\n',
    ),
    Mutant(
        "ConfigCat's first page is claimed though the total is larger",
        f"{CONFIGCAT}/audit_log.py",
        "    if len(sheet.items) == sheet.total and not sheet.more:\n",
        "    if sheet.items or not sheet.total:\n",
    ),
    Mutant(
        "ConfigCat's total is not compared with what is shown",
        f"{CONFIGCAT}/audit_log.py",
        "    if len(sheet.items) == sheet.total and not sheet.more:\n",
        "    if not sheet.more:\n",
    ),
    Mutant(
        "a redirect of ConfigCat's V1 is an empty span",
        f"{CONFIGCAT}/audit_log.py",
        '        if redirected.location is None or not redirected.location.startswith("/v2/"):\n            raise\n',
        '        if redirected.location is None or not redirected.location.startswith("/v2/"):\n'
        "            yield Page((), span, api.now())\n            return\n",
    ),
    Mutant(
        "a page of exactly V2's size is all that V1 has",
        f"{CONFIGCAT}/audit_log.py",
        "    if len(items) != PAGE:\n",
        "    if len(items) <= PAGE:\n",
    ),
    Mutant(
        "a crowded second is claimed after one walk",
        f"{CONFIGCAT}/audit_log.py",
        "        if ids == before and len(ids) == total:\n",
        "        if ids:\n",
    ),
    Mutant(
        "ConfigCat's bounds are sent with their fractions cut off",
        f"{CONFIGCAT}/audit_log.py",
        "    until = from_ms(-(-span.until_ms // 1000) * 1000)\n",
        "    until = from_ms(span.until_ms // 1000 * 1000)\n",
    ),
    Mutant(
        "nothing has to settle",
        READERS,
        "min(horizon, page.date - self.source.settle)",
        "min(horizon, page.date)",
    ),
    Mutant(
        "what settles is measured by this machine's clock",
        READERS,
        "min(horizon, page.date - self.source.settle)",
        "min(horizon, datetime.now(UTC) - self.source.settle)",
    ),
    Mutant(
        "the last answer decides what has settled, though the claim rests on earlier ones",
        READERS,
        "min(horizon, page.date - self.source.settle)",
        "page.date - self.source.settle",
    ),
    Mutant(
        "an answer without a Date settles everything",
        READERS,
        "        if page.covers is None or horizon is None:\n            return None\n"
        "        covers = page.covers.clip(job.window)\n        return covers.before(horizon) if covers else None\n",
        "        if page.covers is None:\n            return None\n        covers = page.covers.clip(job.window)\n"
        "        return covers.before(horizon) if covers and horizon else covers\n",
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
        "            _lock(connection, source, streams)\n            added = _write_events(connection, rows, now)\n",
        "            with writing(self.engine) as other:\n                for reading in readings:\n"
        "                    _cover(other, source, reading.stream, [reading.covers] if reading.covers else [])\n"
        "        with guarded(self.shown), writing(self.engine) as connection:\n"
        "            _lock(connection, source, streams)\n            added = _write_events(connection, rows, now)\n",
    ),
    Mutant(
        "events that cannot be written are left out",
        STORE,
        "            added = _write_events(connection, rows, now)\n",
        "            try:\n                added = _write_events(connection, rows, now)\n"
        "            except Exception:\n                added = Added([], [])\n",
    ),
    Mutant(
        "the last writer's coverage stands",
        STORE,
        "        whole = merge([window, *(Window(*row) for row in old)])[0]\n",
        "        whole = window\n",
    ),
    Mutant(
        "coverage that touches is not merged",
        STORE,
        "COVERAGE.c.since <= window.until, COVERAGE.c.until >= window.since",
        "COVERAGE.c.since < window.until, COVERAGE.c.until > window.since",
    ),
    Mutant(
        "an entry that comes back with other words keeps the first",
        STORE,
        "if id in known and known[id][1] != row.digest]",
        "if id in known and known[id][1] == b'']",
    ),
    Mutant(
        "a gap may be told where all is covered",
        STORE,
        "        closed = and_(_is(GAP, source, stream), GAP.c.since >= whole.since, GAP.c.until <= whole.until)\n"
        "        connection.execute(delete(GAP).where(closed))\n",
        "",
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
        SYNC,
        "Window(since, now + AHEAD)",
        "Window(since, now)",
    ),
    Mutant(
        "a stopped window is stored as if it were read",
        READERS,
        "                self.put(reading)\n                if self.ending:\n",
        "                self.put(reading._replace(covers=self.settled(job, Page((), job.window, self.api.now()), "
        "(self.api.now() or self.started) - self.source.settle) if self.ending else reading.covers))\n"
        "                if self.ending:\n",
    ),
)


class Caught(NamedTuple):
    """What caught a mutant, None when nothing did, and after how many seconds."""

    by: str | None
    seconds: float


def occurrences(mutant: Mutant, root: Path = ROOT) -> int:
    """Return how often a mutant's old text stands in its file; it can be planted where that is once."""
    return (root / mutant.file).read_text(encoding="utf-8").count(mutant.old)


def try_out(mutant: Mutant, copies: queue.Queue[Path]) -> Caught:
    """Return what catches a mutant, planted in a copy of everything that is free, which is as before afterwards."""
    copy = copies.get()
    file = copy / mutant.file
    original = file.read_text(encoding="utf-8")
    kind = next((kind for folder, kind in KINDS.items() if folder in mutant.file), "")
    started = time.monotonic()
    try:
        for name, paths in STAGES:
            file.write_text(original.replace(mutant.old, mutant.new), encoding="utf-8")
            failed = failure(copy, paths, kind if paths == HISTORY else "not postgresql")
            file.write_text(original, encoding="utf-8")
            if failed is None:
                continue
            if paths != HISTORY and failure(copy, (failed[0],)):  # the histories were tried without any mutant before
                raise RuntimeError(f"{failed[0]} fails without a mutant too")
            return Caught(f"{name}: {failed[0].partition('::')[2]}{failed[1]}", time.monotonic() - started)
        return Caught(None, time.monotonic() - started)
    finally:
        file.write_text(original, encoding="utf-8")
        copies.put(copy)


def failure(copy: Path, tests: tuple[str, ...], chosen: str = "") -> tuple[str, str] | None:
    """Return the first of some tests that fails in a copy, and how; None when all pass.

    Only those are run whose names `chosen` selects, if it is given.
    """
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=short", "-p", "no:cacheprovider", *tests]
    if chosen:
        command += ["-k", chosen]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    environment = inherited | {
        "PYTHONPATH": os.pathsep.join(str(copy / name) for name in ("src", "connectors")),
        "PYTHONDONTWRITEBYTECODE": "1",
        "FLAGTRAIL_HISTORIES": HISTORIES,
    }
    try:
        done = subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, text=True, timeout=LONGEST, check=False
        )
    except subprocess.TimeoutExpired:
        return tests[0], f" (no end within {LONGEST} s)"
    if done.returncode == 0:
        return None
    test = re.search(r"^FAILED (\S+::.*?)(?: - .*)?$", done.stdout, re.MULTILINE)
    if done.returncode != 1 or test is None:
        raise RuntimeError(f"pytest could not run:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    broken = re.search(r"Broken: (?!\{)(.{0,60})", done.stdout.partition("\nE  ")[2])
    return test[1], f" ({broken[1]})" if broken else ""


def copy_of_all(folder: Path) -> Path:
    """Return a folder with a copy of all that the tests need, having made sure that it is what they import."""
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*NOT_COPIED))
    places = "import flagtrail, flagtrail_configcat, flagtrail_launchdarkly as l; print(flagtrail.__file__, l.__file__)"
    paths = os.pathsep.join(str(folder / name) for name in ("src", "connectors"))
    environment = os.environ | {"PYTHONPATH": paths}
    told = subprocess.run([sys.executable, "-c", places], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.count(str(folder)) == 2, f"the copy is not what is imported: {told.stdout}"
    return folder


def main() -> int:
    """Return 0 when every mutant is caught, having printed by what."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name", nargs="*", help="a part of the names of the mutants to try; all by default")
    names = parser.parse_args().name
    chosen = [mutant for mutant in MUTANTS if not names or any(name in mutant.name for name in names)]
    lost = [mutant.name for mutant in chosen if occurrences(mutant) != 1]
    for name in lost:
        sys.stdout.write(f"LOST      {name}\n")
    alive: list[str] = []
    copies: queue.Queue[Path] = queue.Queue()
    with tempfile.TemporaryDirectory(prefix="ft-mutants-", dir="/tmp") as folder, ThreadPoolExecutor(AT_ONCE) as pool:
        for number in range(AT_ONCE):
            copies.put(copy_of_all(Path(folder) / str(number)))
        if wrong := failure(Path(folder) / "0", HISTORY):
            sys.stdout.write(f"the histories fail without any mutant: {' '.join(wrong)}\n")
            return 1
        tried = [mutant for mutant in chosen if mutant.name not in lost]
        trials = {pool.submit(try_out, mutant, copies): mutant for mutant in tried}
        for trial in as_completed(trials):
            mutant, caught = trials[trial], trial.result()
            alive += [] if caught.by else [mutant.name]
            sys.stdout.write(f"{'caught' if caught.by else 'SURVIVED':9} {caught.seconds:6.1f} s  {mutant.name}\n")
            sys.stdout.write(f"{'':21}{caught.by or mutant.file}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(chosen)} mutants: {len(alive)} survived, {len(lost)} cannot be planted any more\n")
    return 1 if alive or lost else 0


if __name__ == "__main__":
    sys.exit(main())
