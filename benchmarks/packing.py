"""Compares ways to keep the vendors' records: `python -m benchmarks.packing`.

Records are made up in the vendors' shapes. A dictionary is learnt from the first ones, and what it does is measured on
others. The reference is how flagtrail keeps them (`flagtrail.packing`). CPU is that of packing and of unpacking one.
"""

import sys
import time
from collections.abc import Callable
from statistics import median

from benchmarks.made_up import MadeUp
from flagtrail.event import to_json
from flagtrail.packing import LEVEL, SAMPLES, SIZE, kind_of

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PORTIONS = 4
PORTION = 2000
RUNS = 3
WAYS = (
    (None, LEVEL), (SIZE // 4, LEVEL), (SIZE, LEVEL), (SIZE * 2, LEVEL), (SIZE * 4, LEVEL),
    (SIZE, 1), (SIZE, 6), (SIZE, 12),
)  # fmt: skip


def main() -> None:
    """Print the bytes and the CPU of each way, for each kind of log."""
    for kind, bodies in made().items():
        learnt, others = bodies[:SAMPLES], bodies[SAMPLES:]
        if len(others) < SAMPLES:
            continue
        plain = sum(map(len, others)) / len(others)
        print(f"\n{kind}: {len(others):,} records of {plain:,.0f} bytes")
        heads = f"{'us packed':>10} {'unpacked':>9} {'x bytes':>8} {'x CPU':>6}"
        print(f"{'dictionary':>10} {'level':>6} {'bytes':>7} {heads}")
        reference = measured(learnt, others, SIZE, LEVEL)
        for size, level in WAYS:
            took = measured(learnt, others, size, level)
            ratios = f"{took[0] / reference[0]:>8.2f} {took[1] / reference[1]:>6.2f}"
            print(f"{size or 'none':>10} {level:>6} {took[0]:>7.0f} {took[1]:>10.1f} {took[2]:>9.1f} {ratios}")


def made() -> dict[str, list[bytes]]:
    """Return records as they are stored, by what they are alike in."""
    trail = MadeUp(PORTIONS * PORTION)
    found: dict[str, list[bytes]] = {}
    for number in range(PORTIONS):
        for one in trail.portion(number, PORTION):
            kind = kind_of(trail.sources[one.source].connector.vendor, one.stream.name)
            found.setdefault(kind, []).append(to_json(one.record))
    return found


def measured(learnt: list[bytes], others: list[bytes], size: int | None, level: int) -> tuple[float, float, float]:
    """Return the bytes of a record, and the microseconds to pack and to unpack it."""
    known = zstd.train_dict(learnt, size) if size else None
    options: dict[int, int] = {zstd.CompressionParameter.compression_level: level}
    packer = zstd.ZstdCompressor(options=options, zstd_dict=known.as_digested_dict if known else None)
    packed: list[bytes] = []

    def pack() -> None:
        packed[:] = [packer.compress(body, zstd.ZstdCompressor.FLUSH_FRAME) for body in others]

    def unpack() -> None:
        for body in packed:
            zstd.decompress(body, zstd_dict=known)

    took = [median(cpu(work) for _ in range(RUNS)) / len(others) * 1e6 for work in (pack, unpack)]
    return sum(map(len, packed)) / len(others), took[0], took[1]


def cpu(work: Callable[[], None]) -> float:
    """Return the CPU seconds that a piece of work takes."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


if __name__ == "__main__":
    main()
