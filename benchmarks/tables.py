"""Writes tables as Markdown, and puts them between the markers of a file so that the text around them stays."""

import os
import platform
import re
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "RESULTS.md"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; all columns but the first are numbers, to the right, padded so that it reads well as text too."""
    table = [list(head), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    aligned = [str.ljust, *[str.rjust] * (len(head) - 1)]
    lines = []
    for row in table:
        cells = [align(cell, width) for align, cell, width in zip(aligned, row, widths, strict=True)]
        lines.append(f"| {' | '.join(cells)} |")
    lines.insert(1, "|" + "|".join("-" * (w + 1) + (":" if i else "-") for i, w in enumerate(widths)) + "|")
    return "\n".join(lines)


def machine() -> str:
    """Return what was measured on, and when: numbers without it tell nothing."""
    model = platform.processor() or platform.machine()
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
        model = found[1].strip() if found else model
    except OSError:
        pass
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} x {model}, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    )


def write(section: str, text: str, path: Path = RESULTS) -> None:
    """Replace what stands between the markers of a section; a section that is not there yet is added at the end."""
    begin, end = f"<!-- {section}: written by the benchmark -->", f"<!-- /{section} -->"
    old = path.read_text(encoding="utf-8") if path.exists() else "# Results\n"
    block = f"{begin}\n{text.strip()}\n{end}"
    if begin in old and end in old:
        head, _, rest = old.partition(begin)
        new = head + block + rest.partition(end)[2]
    else:
        new = f"{old.rstrip()}\n\n{block}\n"
    path.write_text(new, encoding="utf-8")
