"""Packs records into a tenth of their size: Zstandard, with a dictionary of what the records of a log have in common.

A dictionary is learnt once from the first records of each kind of log, and stays in the database: what was packed with
it names its number, and cannot be read without it.
"""

import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Engine, and_, func, insert, select

from flagtrail.database import enter, writing
from flagtrail.schema import DICTIONARY
from flagtrail.schema.forgetting import IDENTITY

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SAMPLES = 1000  # records that a dictionary is learnt from
LARGEST_SAMPLE = 8192  # bytes; a longer one would fill the dictionary by itself, and memory
SIZE = 32_768  # bytes of a dictionary; twice as many save 1 % more of LaunchDarkly's records
LEVEL = 3  # 6 saves another 14 % for nearly four times the work; see benchmarks/RESULTS.md
OPTIONS: dict[int, int] = {zstd.CompressionParameter.compression_level: LEVEL}


def kind_of(vendor: str, log: str) -> str:
    """Return what the records of a log are alike in: the vendor, and the log's name without its scope."""
    return f"{vendor}/{log.partition('[')[0]}"


def learnt(kind: str, samples: Sequence[bytes]) -> dict[str, Any] | None:
    """Return a row of the table `dictionary` that is learnt from records; None when they have nothing in common."""
    try:
        made = zstd.train_dict(samples, SIZE)
    except (zstd.ZstdError, ValueError):  # the latter when there are none
        return None
    return {"number": made.dict_id, "kind": kind, "made_at": datetime.now(UTC), "body": made.dict_content}


def dictionary_of(body: bytes) -> int:
    """Return the number of the dictionary that a body was packed with, by its first 18 bytes; 0: with none."""
    try:
        return zstd.get_frame_info(body).dictionary_id
    except zstd.ZstdError:
        return 0


class Packing:
    """Packs and unpacks the bodies of one database; safe to use from many threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._known: dict[int, zstd.ZstdDict] = {}
        self._samples: dict[str, list[bytes]] = {}
        self._forgotten = 0

    def forget(self, identities: int) -> None:
        """Learn nothing from what was remembered before other identities were forgotten: it may hold them."""
        with self._lock:
            if identities != self._forgotten:
                self._samples.clear()
                self._forgotten = identities

    def pack(
        self, connection: Connection, kind: str, bodies: Sequence[bytes], *, without: int | None = None
    ) -> list[bytes]:
        """Return bodies of one kind packed, by the newest dictionary that the database has for it, `without` one.

        Without any they are remembered, for `learn` to make one.
        """
        mine = and_(DICTIONARY.c.kind == kind, DICTIONARY.c.number != (without or 0))  # Zstandard gives no 0
        known = select(DICTIONARY.c.number).where(mine).order_by(DICTIONARY.c.made_at.desc())
        number = connection.execute(known.limit(1)).scalar()
        if number is None:
            with self._lock:
                samples = self._samples.setdefault(kind, [])
                usual = (body for body in bodies if len(body) <= LARGEST_SAMPLE)
                samples += islice(usual, max(0, SAMPLES - len(samples)))
        dictionary = None if number is None else self._dictionary(connection, number).as_digested_dict
        compressor = zstd.ZstdCompressor(options=OPTIONS, zstd_dict=dictionary)
        return [compressor.compress(body, zstd.ZstdCompressor.FLUSH_FRAME) for body in bodies]

    def unpack(self, connection: Connection, body: bytes) -> bytes:
        """Return what was packed; raises ValueError when it is damaged, or its dictionary is gone."""
        try:
            number = zstd.get_frame_info(body).dictionary_id
            return zstd.decompress(body, zstd_dict=self._dictionary(connection, number) if number else None)
        except zstd.ZstdError as error:
            raise ValueError(f"a kept record cannot be unpacked: {error}") from None

    def learn(self) -> None:
        """Make the dictionaries that there are enough samples for, each in a transaction of its own."""
        with self._lock:
            enough = {kind: samples for kind, samples in self._samples.items() if len(samples) >= SAMPLES}
            for kind in enough:
                del self._samples[kind]
            forgotten = self._forgotten
        for kind, samples in enough.items():
            values = learnt(kind, samples)
            if values is None:
                continue
            with writing(self._engine) as connection:
                enter(connection)
                if connection.execute(select(func.count()).select_from(IDENTITY)).scalar_one() != forgotten:
                    continue  # somebody was forgotten since, who may stand in the samples
                # Another process may have been faster.
                if not connection.execute(select(DICTIONARY.c.number).where(DICTIONARY.c.kind == kind)).first():
                    connection.execute(insert(DICTIONARY).values(values))

    def _dictionary(self, connection: Connection, number: int) -> Any:
        if number not in self._known:
            body = connection.execute(select(DICTIONARY.c.body).where(DICTIONARY.c.number == number)).scalar()
            if body is None:
                raise ValueError(f"the dictionary {number} that a kept record was packed with is gone")
            self._known[number] = zstd.ZstdDict(bytes(body))
        return self._known[number]
