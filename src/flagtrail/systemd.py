"""Tells systemd how a service does, when it asks for that: https://www.freedesktop.org/software/systemd/man/sd_notify.html.

It is one datagram to the socket that NOTIFY_SOCKET names; without that nothing is told.
"""

import os
import socket
import time
from contextlib import suppress

SOCKET, WATCHDOG, WATCHED = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"


def tell(*lines: str) -> bool:
    """Send lines such as READY=1; return whether somebody asked for them and they were sent."""
    address = os.environ.get(SOCKET, "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]  # a name without a file
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as told:
        told.sendto("\n".join(lines).encode(), address)
        return True
    return False


def reloading() -> tuple[str, str]:
    """Return what says that the config is being read again; READY=1 has to follow."""
    return "RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}"


class Watchdog:
    """Tells systemd that we live, twice as often as it wants to hear it."""

    def __init__(self) -> None:
        asked, pid = os.environ.get(WATCHDOG, ""), os.environ.get(WATCHED, "")
        mine = pid in ("", str(os.getpid()))
        self.every = int(asked) / 2_000_000 if asked.isdecimal() and int(asked) and mine else None
        self._told_at = float("-inf")

    def live(self) -> None:
        """Say that we live, if it is time for that."""
        if self.every is not None and time.monotonic() - self._told_at >= self.every:
            self._told_at = time.monotonic()
            tell("WATCHDOG=1")
