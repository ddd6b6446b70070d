"""Remembers what a vendor refuses, so that it is not asked again at every tick."""

import time
from collections.abc import Mapping

from flagtrail.errors import AccessDenied

SOURCE = 300.0  # seconds before a refused credential is tried again: no storm that locks the account
STREAM = 3600.0  # seconds before a refused stream is tried again


class Refusals:
    """The last refusals of one source: of a stream by its name, or of everything by None."""

    def __init__(self) -> None:
        self._last: dict[str | None, tuple[AccessDenied, float]] = {}

    def remember(self, refused: Mapping[str | None, AccessDenied]) -> None:
        """Leave alone for a while what was refused, counted from the first refusal."""
        for name, error in refused.items():
            if self._last.get(name, (None, 0.0))[0] is not error:
                self._last[name] = (error, time.monotonic())

    def forget(self) -> None:
        """Forget all of it: what other secrets are refused is another question."""
        self._last.clear()

    def check(self, stream: str | None = None) -> None:
        """Raise the AccessDenied of the last try of a stream, or of everything, if that was a short while ago."""
        error, at = self._last.get(stream, (None, 0.0))
        if error is not None and time.monotonic() - at < (SOURCE if stream is None else STREAM):
            raise error

    def hold(self, stream: str) -> bool:
        """Return whether the vendor has refused a stream, or everything, a short while ago."""
        try:
            self.check()
            self.check(stream)
        except AccessDenied:
            return True
        return False
