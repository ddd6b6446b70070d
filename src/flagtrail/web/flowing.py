"""Answers that flow: as long as there is something to send, in threads of their own, and only so many at once."""

import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from threading import Event as Flag

from anyio import CancelScope, CapacityLimiter, fail_after, to_thread
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from flagtrail.web.problems import Refused

SLOW = 60.0  # seconds that a client may take to receive what was sent, before it is let go
AT_ONCE = 65_536  # bytes of a chunk: each takes a change of threads
LONGEST = 0.5  # seconds that a chunk may take to become so large

Chunks = Callable[[Flag], Iterator[bytes]]


class Gate:
    """Lets so many flowing answers be given at the same time; questions never wait for their threads."""

    def __init__(self, places: int, what: str) -> None:
        self.places, self.what = places, what
        self.flags: set[Flag] = set()
        self.closed = False
        self._limiter: CapacityLimiter | None = None

    @property
    def limiter(self) -> CapacityLimiter:
        """What its threads are counted by; it belongs to the loop that serves."""
        if self._limiter is None:
            self._limiter = CapacityLimiter(max(1, self.places))
        return self._limiter

    def enter(self) -> Flag:
        """Return a flag that tells a new answer to end; raises Refused when there are too many already."""
        if self.closed or len(self.flags) >= self.places:
            told = (
                "this is ending" if self.closed else f"there are {self.places} {self.what} already, and no more may be"
            )
            raise Refused(503, f"{told}; try again later", {"Retry-After": "10"})
        flag = Flag()
        self.flags.add(flag)
        return flag

    def close(self) -> None:
        """Let every answer end, and begin no other; may be called from any thread."""
        self.closed = True
        for flag in list(self.flags):
            flag.set()


class Flowing(StreamingResponse):
    """An answer whose chunks are made while it is sent: `chunks` is called with a flag that tells it to end.

    The first chunk is made before the status is sent, so what fails at once is a problem like any other. An empty chunk
    sends nothing, and lets a client that went away be noticed.
    """

    def __init__(self, gate: Gate, chunks: Chunks, media_type: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__((), headers=headers, media_type=media_type)
        self.gate, self.chunks = gate, chunks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all of it."""

        async def patiently(message: Message) -> None:
            with fail_after(SLOW):
                await send(message)

        flag = self.gate.enter()
        chunks = self.chunks(flag)
        try:
            first = await self._next(chunks)
            self.body_iterator = self._rest(first, chunks)
            await super().__call__(scope, receive, patiently)
        finally:
            flag.set()
            with CancelScope(shield=True):
                await to_thread.run_sync(_close, chunks, limiter=self.gate.limiter)
            self.gate.flags.discard(flag)

    async def _rest(self, first: bytes | None, chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
        chunk = first
        while chunk is not None:
            if chunk:
                yield chunk
            chunk = await self._next(chunks)

    async def _next(self, chunks: Iterator[bytes]) -> bytes | None:
        return await to_thread.run_sync(next, chunks, None, limiter=self.gate.limiter)


def _close(chunks: Iterator[bytes]) -> None:
    close = getattr(chunks, "close", None)
    if close is not None:
        close()


def together(lines: Iterable[bytes], flag: Flag) -> Iterator[bytes]:
    """Yield lines joined to chunks of a good size, until a flag says to end: then the answer breaks off."""
    gathered, size, since = [], 0, time.monotonic()
    for line in lines:
        gathered.append(line)
        size += len(line)
        if size >= AT_ONCE or time.monotonic() - since > LONGEST:
            yield b"".join(gathered)
            gathered, size, since = [], 0, time.monotonic()
        if flag.is_set():
            raise BrokenOff
    yield b"".join(gathered)


class BrokenOff(Exception):
    """An answer that ended before it was whole, because the server ends."""
