"""The people and flags of Fernweh Travel, the made-up company whose history the simulators tell.

Both vendors' simulators use it, so that one person acts at both, and one feature is rolled out at both.
"""

import random
from dataclasses import dataclass
from datetime import timedelta

from flagtrail.window import from_ms, to_ms


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who changes flags."""

    first: str
    last: str
    email: str

    @property
    def name(self) -> str:
        """First and last name, the way ConfigCat shows a person."""
        return f"{self.first} {self.last}"


PEOPLE = (
    Person("Ana", "Silva", "ana.silva@fernweh.example"),
    Person("Jonas", "Brügger", "jonas.bruegger@fernweh.example"),
    Person("Priya", "Raman", "priya.raman@fernweh.example"),
    Person("Tomás", "Quiroga", "tomas.quiroga@fernweh.example"),
    Person("Mei", "Tanaka", "mei.tanaka@fernweh.example"),
    Person("Olu", "Adeyemi", "olu.adeyemi@fernweh.example"),
    Person("Ingrid", "Solheim", "ingrid.solheim@fernweh.example"),
    Person("Marek", "Nowak", "marek.nowak@fernweh.example"),
    Person("Leila", "Haddad", "leila.haddad@fernweh.example"),
    Person("Deniz", "Yildiz", "deniz.yildiz@fernweh.example"),
)

FLAGS = (
    "checkout-v2", "express-pay", "split-payments", "refund-self-service", "fraud-score-v3",
    "search-reranker", "map-view", "price-alerts", "seat-map-3d", "loyalty-tiers",
    "dark-mode", "new-onboarding", "push-digest", "offline-tickets", "chat-assistant",
    "inventory-cache", "rate-limiter-v2", "graphql-gateway", "image-cdn", "otel-tracing",
    "gdpr-export", "currency-rounding", "gift-cards", "weekend-deals", "kill-supplier-sync",
)  # fmt: skip

REASONS = (
    "Rollout step, error rate is flat", "TRAVEL-4312", "Requested by support", "Incident 2231: switch off",
    "Experiment finished", "Canary looks good", "Clean-up after launch", "Partner asked for it",
    "Rolling back, latency went up", "TRAVEL-5077: Q3 launch", "Préparation du lancement", "再試行",
)  # fmt: skip


def working_moments(count: int, days: float, end_ms: int, rng: random.Random) -> list[int]:
    """Return about when `count` changes happen in the days before `end_ms`: in working hours mostly, oldest first."""
    moments: list[int] = []
    start = end_ms - int(timedelta(days=days).total_seconds() * 1000)
    while len(moments) < count:
        ms = rng.randint(start, end_ms)
        moment = from_ms(ms)
        busy = 1.0 if 7 <= moment.hour < 18 else 0.12
        busy *= 0.15 if moment.weekday() >= 5 else 1.0
        if rng.random() < busy:
            moments.append(to_ms(moment))
    return sorted(moments)
