"""Shows how often `flagtrail around` names the cause of an incident: `python -m benchmarks.incidents`.

Incidents are made up (benchmarks/outages.py says what is assumed), and stored as the readers store. Ours is compared
with the change that is nearest in time, with the nearest in an environment that is called like production, and with
chance. The cause counts as found when its own row is among the first; being saved together with it does not help.
"""

import argparse
import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.outages import Company, Incident
from flagtrail.around import around
from flagtrail.effects import is_production
from flagtrail.store import Store

FIRST = (1, 3, 10)
WAYS = ("flagtrail around", "nearest in production", "nearest in time", "chance")


@dataclass
class Found:
    """Where each way has the cause of each incident: its rank, from 1 on; None where it is not named at all."""

    changes: list[int] = field(default_factory=list)
    ranks: dict[str, list[int | None]] = field(default_factory=lambda: {way: [] for way in WAYS})
    missed: list[tuple[Incident, int | None]] = field(default_factory=list)

    def share(self, way: str, first: int) -> float:
        """Return in which share of the incidents the cause is among the first."""
        ranks = self.ranks[way]
        return sum(rank is not None and rank <= first for rank in ranks) / len(ranks)


def main() -> None:
    """Measure some seeds, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="1,2,3,4,5,6,7,8,9,10", help="by commas; ours was tuned on 100 to 104")
    parser.add_argument("--incidents", type=int, default=100)
    parser.add_argument("--missed", action="store_true", help="say which causes were not among the first three")
    options = parser.parse_args()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("seed", "changes in the window", *(f"{way}: {first}" for way in WAYS for first in FIRST)):
        table.add_column(name, justify="right")
    every = Found()
    for seed in track(options.seeds.split(","), transient=True, console=Console(stderr=True)):
        found = measured(int(seed), options.incidents)
        table.add_row(seed, *_cells(found))
        every.changes += found.changes
        for way, ranks in found.ranks.items():
            every.ranks[way] += ranks
        for incident, rank in found.missed if options.missed else ():
            print(f"seed {seed}: {incident.kind} before {incident.moment:%Y-%m-%d %H:%M:%S} is {rank}")
    table.add_row("all", *_cells(every), style="bold")
    Console(width=170).print(table)


def measured(seed: int, incidents: int) -> Found:
    """Return what came of a company's incidents."""
    company = Company(seed, incidents)
    with tempfile.TemporaryDirectory() as folder, Store(f"sqlite:///{Path(folder) / 'trail.db'}") as store:
        company.store_in(store)
        return ranks_in(store, company.incidents, seed)


def ranks_in(store: Store, incidents: Sequence[Incident], seed: int = 0) -> Found:
    """Return where each way has the causes of incidents that are stored."""
    chance, found = random.Random(seed), Found()
    for incident in incidents:
        told = around(store, incident.moment, limit=0)
        rows = [row for suspect in told.suspects for row in (suspect.row, *suspect.saved_with)]
        near = sorted(rows, key=lambda row: (abs(row["occurred_at"] - incident.moment), row["id"]))
        live = [row for row in near if row["environment"] is None or is_production(row["environment"])]
        ways: dict[str, Sequence[Any]] = {
            "flagtrail around": [suspect.row for suspect in told.suspects],
            "nearest in production": live,
            "nearest in time": near,
            "chance": chance.sample(near, len(near)),
        }
        for way, ranked in ways.items():
            ids = [row["id"] for row in ranked]
            found.ranks[way].append(ids.index(incident.cause) + 1 if incident.cause in ids else None)
        found.changes.append(told.changes)
        rank = found.ranks["flagtrail around"][-1]
        if rank is None or rank > FIRST[1]:
            found.missed.append((incident, rank))
    return found


def _cells(found: Found) -> list[str]:
    shares = (f"{found.share(way, first):.0%}" for way in WAYS for first in FIRST)
    return [f"{sorted(found.changes)[len(found.changes) // 2]}", *shares]


if __name__ == "__main__":
    main()
