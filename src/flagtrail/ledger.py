"""What several processes with one credential write down together: what they take of its limits, and what was told."""

from typing import NamedTuple, Protocol


class UnderWay(NamedTuple):
    """How many requests this process has under way: of all routes, and of the one that it is about."""

    whole: int
    route: int


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

    def take(self, route: str, reserve: float, spare: float, under_way: UnderWay) -> float:
        """Take a request of each limit that it counts for; else return for how many seconds there is none.

        `under_way` is without it.
        """

    def learn(self, told: list[Told], route: str, under_way: UnderWay) -> None:
        """Take over what an answer said of limits, as the vendor said it, and what is under way here after it."""

    def hold(self, seconds: float) -> None:
        """Let nobody take a request for so long: the vendor refused one."""
