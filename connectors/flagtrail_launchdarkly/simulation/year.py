"""When things happen at Fernweh Travel, and which of them have an effect: one history, spread over time."""

import random
from collections.abc import Sequence

from flagtrail.testing.cast import working_moments
from flagtrail_launchdarkly.simulation.entries import Change, Effect
from flagtrail_launchdarkly.simulation.history import History

BURSTS = (30, 60)  # entries in one millisecond, at least and at most

Told = tuple[Change, Effect | None]
"""A change, and what it did to the evaluations of a flag if it did something."""


def moments(records: int, days: float, end_ms: int, rng: random.Random) -> list[tuple[int, int]]:
    """Return when things happen, oldest first, and how many in that millisecond; the numbers add up to `records`."""
    sizes = [rng.randint(*BURSTS) for _ in range(3)] if records >= 400 else []
    left = records - sum(sizes)
    while left > 0:
        size = min(left, rng.randint(2, 6) if rng.random() < 0.03 else 1)
        sizes.append(size)
        left -= size
    rng.shuffle(sizes)
    return list(zip(working_moments(len(sizes), days, end_ms, rng), sizes, strict=True))


def tell(history: History, sizes: Sequence[int], flag_events: int | None, rng: random.Random) -> list[Told]:
    """Return a change for each entry of each millisecond, in order; exactly `flag_events` of them have an effect."""
    records = sum(sizes)
    wanted = min(records, round(records * rng.uniform(0.20, 0.25)) if flag_events is None else flag_events)
    singles: list[int] = []
    position = 0
    for size in sizes:
        singles.extend(range(position, position + size) if size < BURSTS[0] else ())
        position += size
    with_effect = set(rng.sample(singles if wanted <= len(singles) else range(records), wanted))
    told: list[Told] = []
    for size in sizes:
        bulk = history.burst(size) if size >= BURSTS[0] else []
        for i in range(size):
            if len(told) in with_effect:
                told.append(history.impact())
            else:
                told.append((bulk[i] if bulk else history.other(), None))
    return told
