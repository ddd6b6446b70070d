"""Runs pytest, and the few tests that failed once more, alone: `python -m tests.once_more -n 3 ...`.

Thousands of tests share a machine that others use too, with real processes, servers and browsers, and now and then one
of them is kept waiting longer than it allows. Alone it passes then, and is named, so that somebody mends it. What
fails twice has failed; so has what lost, doubled or left unexplained an entry even once (the table of faults), and
a run with more failures than a slow moment brings.
"""

import json
import subprocess
import sys
from pathlib import Path

FEW = 5
FAILED = Path(".pytest_cache/v/cache/lastfailed")  # as pytest's cacheprovider writes it
LOST = Path(".pytest_cache/v/flagtrail/lost")  # as the table of faults writes it


def main(arguments: list[str]) -> int:
    """Return pytest's exit code: of the only run, or of the second one where that decides."""
    for kept in (FAILED, LOST):
        kept.unlink(missing_ok=True)
    code = _pytest(*arguments)
    if (
        code != 1
    ):  # 1 is "tests failed"; anything else is not about tests: https://docs.pytest.org/en/stable/reference/exit-codes.html
        return code
    failed = sorted(json.loads(FAILED.read_text())) if FAILED.exists() else []
    if not 0 < len(failed) <= FEW:
        return code
    if LOST.exists() and any(json.loads(LOST.read_text())):
        print("An entry was lost, doubled or left unexplained: that has no second try.", flush=True)
        return code
    print(f"Once more, alone: {', '.join(failed)}", flush=True)
    again = _pytest("--tb=short", "-q", "-rfEs", *failed)
    if again == 0:
        print(f"Passed alone, failed beside others (mend the test): {', '.join(failed)}", flush=True)
    return again


def _pytest(*arguments: str) -> int:
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
