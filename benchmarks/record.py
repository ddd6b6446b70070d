"""Runs a benchmark that prints tables, and keeps it in RESULTS.md: `python -m benchmarks.record startup`."""

import subprocess
import sys

from benchmarks.tables import machine, write


def main(name: str, *options: str) -> None:
    """Run the benchmark of a name with options, show what it prints, and write that between its markers."""
    words = [sys.executable, "-m", f"benchmarks.{name}", *options]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        lines = []
        for line in running.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            lines.append(line.rstrip())
    if running.returncode:
        raise SystemExit(running.returncode)
    section = "-".join([name, *(option for option in options if option in ("sqlite", "postgresql"))])
    printed = "\n".join(lines).strip()
    write(section, f"Measured: {machine()}.\n\n```text\n{printed}\n```")


if __name__ == "__main__":
    main(*sys.argv[1:])
