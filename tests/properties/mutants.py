"""Plants bugs in a copy of the tree, one at a time, and tells which test catches each: `make mutants`.

The random histories are asked first and the rare ones next, then the integration tests, the connectors' own and the
unit tests; the first that fails has caught it. Prints a table, and exits with 1 when a mutant survives, or when its old
text is not in its file any more.

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

from tests.properties.planted import COVERING, MUTANTS, REVISIONS, ROOT, STORE, Mutant

NOT_COPIED = (".venv", ".git", ".*_cache", "__pycache__", "*.pyc", "build", "dist", "flagtrail-demo")
HISTORIES = "12"  # of each kind, for each mutant
LONGEST = 280  # seconds for one set of tests: a mutant that never ends is caught too
AT_ONCE = 2
WIDTH = max(len(mutant.name) for mutant in MUTANTS)
HISTORY = ("tests/properties/test_histories.py",)
KINDS = {"flagtrail_launchdarkly": "LaunchDarkly", "flagtrail_configcat": "ConfigCat"}  # whose histories tell
FOLDER = "tests/integration"
STAGES = (
    ("histories", HISTORY),
    ("rare histories", ("tests/properties/test_rare_histories.py",)),
    (
        "integration",
        tuple(f"{FOLDER}/test_{name}.py" for name in ("sync", "hard_cases", "verify", "trust", "vanished", "verdicts")),
    ),
    ("connectors", ("connectors",)),
    ("unit", ("tests/unit", f"{FOLDER}/test_store.py")),
)


class Caught(NamedTuple):
    """What caught a mutant, None when nothing did, and after how many seconds."""

    by: str | None
    seconds: float


def try_out(mutant: Mutant, copies: queue.Queue[Path]) -> Caught:
    """Return what catches a mutant, planted in a copy of everything that is free, which is as before afterwards."""
    copy = copies.get()
    file = copy / mutant.file
    original = file.read_text(encoding="utf-8")
    kind = next((kind for folder, kind in KINDS.items() if folder in mutant.file), "Vendor")
    if mutant.file not in (STORE, COVERING, REVISIONS):
        kind += " and not postgresql"
    started = time.monotonic()
    try:
        for name, paths in STAGES:
            mutant.plant(copy)
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
    results: dict[str, Caught] = {}
    copies: queue.Queue[Path] = queue.Queue()
    with tempfile.TemporaryDirectory(prefix="ft-mutants-", dir="/tmp") as folder, ThreadPoolExecutor(AT_ONCE) as pool:
        for number in range(AT_ONCE):
            copies.put(copy_of_all(Path(folder) / str(number)))
        if wrong := failure(Path(folder) / "0", HISTORY, "not postgresql"):
            sys.stdout.write(f"the histories fail without any mutant: {' '.join(wrong)}\n")
            return 1
        trials = {pool.submit(try_out, mutant, copies): mutant for mutant in chosen if mutant.occurrences() == 1}
        for trial in as_completed(trials):
            try:
                results[trials[trial].name] = trial.result()
            except RuntimeError as error:  # it is told like a survivor, and the others are tried all the same
                results[trials[trial].name] = Caught(None, 0.0)
                sys.stderr.write(f"{error}\n")
            sys.stderr.write(f"{len(results)} of {len(trials)}: {row(trials[trial], results)}\n")
            sys.stderr.flush()
    for line in (f"{'mutant':{WIDTH}} seconds  caught by", *(row(mutant, results) for mutant in chosen)):
        sys.stdout.write(f"{line}\n")
    caught = [result for result in results.values() if result.by]
    sys.stdout.write(f"{len(caught)} of {len(chosen)} mutants are caught\n")
    return 0 if len(caught) == len(chosen) else 1


def row(mutant: Mutant, results: dict[str, Caught]) -> str:
    """Return the line of the table that tells how a mutant fared."""
    result = results.get(mutant.name, Caught("", 0.0))
    told = result.by or ("NOTHING: it survives" if result.by is None else "cannot be planted: its file has changed")
    return f"{mutant.name:{WIDTH}} {result.seconds:7.1f}  {told}"


if __name__ == "__main__":
    sys.exit(main())
