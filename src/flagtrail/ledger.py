"""What several processes with one credential write down together: what they take of its limits, and what was told."""

from typing import NamedTuple, Protocol


class Told(NamedTuple):
    """What an answer said of one limit, for others: `resets_in` seconds it starts afresh; `window` names its span.

    That is None where nobody knows it.
    """

    name: str
    route: str
    remaining: int
    size: int
    resets_in: float
    window: float | None


class Ledger(Protocol):
    """Where several processes with one credential write down together what they take of its limits."""

    def take(self, route: str, reserve: float, spare: float) -> float:
        """Take a request of each limit that it counts for; else return for how many seconds there is none."""

    def learn(self, told: list[Told]) -> None:
        """Take over what an answer said, less what is under way."""

    def hold(self, seconds: float) -> None:
        """Let nobody take a request for so long: the vendor refused one."""
