"""A busy life for the soak: vendors that change and fail at random, webhooks, a sink that refuses, kills."""

import hmac
import random
import secrets
import signal
import statistics
import threading
import time
from base64 import b64encode
from collections import Counter
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.memory import resident_bytes
from flagtrail.store import Store
from flagtrail.testing import faults
from flagtrail.testing.configured import write_config
from flagtrail.testing.simulator import Fault, Simulator
from tests.acceptance.test_crash import assert_claims_hold
from tests.conftest import rows
from tests.faults.running import Process, wait_until
from tests.sinks import Got, Place

SECRET = "a-signing-secret"
EVERYTHING = ("changes", "faults", "looks", "webhooks", "refused messages", "outages", "SIGKILL", "SIGHUP")
CHANGES = 4.0  # a second, of both vendors together; a busy account has a hundredth of that
FAULTS = 3.0  # a second
PATIENCE = 60.0  # seconds on top, on a slow machine
HOW = (signal.SIGKILL, signal.SIGHUP, signal.SIGKILL, signal.SIGTERM)
FAULT: tuple[Fault, ...] = (
    faults.reset(), faults.cut(60), faults.shortened(60), faults.hang(0.7), faults.drip(0.0005), faults.html(200),
    faults.html(502), faults.status(500), faults.status(503), faults.status(429, None, {"retry-after": "1"}),
    faults.redirect("https://example.com/"), faults.body({}), faults.body([]), faults.body(b""), faults.without_date(),
    faults.edited(lambda body: {**body, "more": 1} if isinstance(body, dict) else body),
)  # fmt: skip


class Soak:
    """A daemon in such a life; `live` lets it pass, `calm` ends all trouble and waits until everything has arrived."""

    def __init__(
        self, folder: Path, url: str, address: str, vendors: dict[str, Simulator], place: Place, seed: int
    ) -> None:
        self.folder, self.url, self.address, self.vendors, self.place = folder, url, address, vendors, place
        self.rng = random.Random(seed)
        self.happened: Counter[str] = Counter()
        self.memory: list[int] = []  # bytes, of the last process
        self.asked_before: dict[str, int] = {}
        self.config = self._configure()
        self.process: Process | None = None
        self.refusing, self.restarts = False, 0
        place.before = self._refuse_some

    def _configure(self) -> str:
        secret = self.folder / "signing"
        secret.write_text(SECRET, encoding="utf-8")
        path = write_config(
            self.folder, self.vendors, self.url, start="8d", every="1s", settle="4s", webhook_secret="SIGNING"
        )
        text = path.read_text(encoding="utf-8").replace('"SIGNING"', f'{{ file = "{secret}" }}')
        text += f'\n[serve]\nlisten = "{self.address}"\n'
        text += f'\n[[sink]]\nname = "ops"\nkind = "webhook"\nurl = "{self.place.url}/ops"\n'
        text += '\n[[notice]]\nname = "all"\nto = "ops"\ngroup = "1s"\n'
        path.write_text(text, encoding="utf-8")
        return str(path)

    def start(self) -> None:
        """Start the daemon, and wait until it is at work."""
        self.memory.clear()
        self.asked_before = {name: len(vendor.requests) for name, vendor in self.vendors.items()}
        self.process = process = Process("run", "--config", self.config, folder=self.folder)
        wait_until(lambda: process.lines("serving") and process.lines("notices_started"), "it works")

    def end(self) -> None:
        """Kill what still runs."""
        if self.process is not None:
            self.process.__exit__(None, None, None)

    @property
    def missing(self) -> list[str]:
        """What has not happened yet."""
        return [each for each in EVERYTHING if not self.happened[each]]

    def live(self, seconds: float, store: Store) -> None:
        """Let time pass, and more until everything has happened; what is claimed and told is checked meanwhile."""
        self.refusing = True
        until, restart = time.monotonic() + seconds, time.monotonic() + self.rng.uniform(2, 5)
        outage = time.monotonic() + self.rng.uniform(3, 6)
        changing = threading.Event()
        threads = [threading.Thread(target=work, args=[changing]) for work in (self._change, self._fail)]
        for thread in threads:
            thread.start()
        try:
            while time.monotonic() < until or (self.missing and time.monotonic() < until + PATIENCE):
                time.sleep(0.25)
                self._look(store)
                if time.monotonic() > outage:
                    self._outage()
                    outage = time.monotonic() + self.rng.uniform(10, 60)
                if time.monotonic() > restart:
                    self._restart(store)
                    restart = time.monotonic() + self.rng.uniform(3, 5 + seconds / 60)
        finally:
            changing.set()
            for thread in threads:
                thread.join()

    def calm(self, seconds: float) -> None:
        """Let nothing fail any more, and watch the memory of a process that goes on for a while."""
        self.refusing = False
        for vendor in self.vendors.values():
            vendor.heal()
        quiet = threading.Event()
        changing = threading.Thread(target=self._change, args=[quiet])
        changing.start()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(0.1)
            self._measure()
        quiet.set()
        changing.join()

    @property
    def growth(self) -> float:
        """By how many bytes the memory grew from the first third of the last process's calm life to the last."""
        third = len(self.memory) // 3
        return statistics.median(self.memory[-third:]) - statistics.median(self.memory[:third])

    def summary(self, seconds: float, told: int) -> str:
        """Return what came to pass, in a line."""
        counts = ", ".join(f"{count} {name}" for name, count in self.happened.items())
        memory = f"{max(self.memory) / 2**20:.0f} MiB, grown by {self.growth / 2**20:+.1f}"
        return f"{seconds:.0f} s: {counts}; {told} changes told in {len(self.place.got)} messages; memory {memory}"

    def metrics(self) -> dict[str, Counter[str]]:
        """Return the metrics that are compared: each sum by the label that tells most."""
        found: dict[str, Counter[str]] = {}
        label = {"flagtrail_events": "vendor", "flagtrail_requests_total": "source"}
        text = httpx.get(f"http://{self.address}/metrics", timeout=20).text
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                by = sample.labels.get(label.get(sample.name, "stream"), "")
                names = [sample.name]
                if sample.name == "flagtrail_requests_total" and sample.labels["status"] != "none":
                    names.append("answered")
                for name in names:
                    found.setdefault(name, Counter())[by] += sample.value  # type: ignore[assignment]
        return found

    def _look(self, store: Store) -> None:
        """Check that the metrics tell no other number of events than the table has."""
        before = stored(store)
        with suppress(httpx.TransportError):
            told = self.metrics()["flagtrail_events"]
            after = stored(store)
            assert all(before[vendor] <= told[vendor] <= after[vendor] for vendor in after), (before, told, after)
            self.happened["looks"] += 1

    def _measure(self) -> None:
        assert self.process is not None
        self.memory.append(resident_bytes(self.process.pid)[0])

    def _change(self, over: threading.Event) -> None:
        while not over.wait(self.rng.expovariate(CHANGES)):
            name, vendor = self.rng.choice(list(self.vendors.items()))
            vendor.happen()
            self.happened["changes"] += 1
            if self.rng.random() < 0.5:
                self._nudge(name)

    def _nudge(self, name: str) -> None:
        """Send a webhook, as the vendor does, or one that is forged."""
        forged = self.rng.random() < 0.2
        body = b'{"kind": "flag"}'
        headers = signed(self.vendors[name].connector.vendor, "another" if forged else SECRET, body)
        with suppress(httpx.TransportError):
            url = f"http://{self.address}/webhooks/{name}"
            status = httpx.post(url, content=body, headers=headers, timeout=20).status_code
            assert (status == 204) is not forged
            self.happened["forged" if forged else "webhooks"] += 1

    def _fail(self, over: threading.Event) -> None:
        while not over.wait(self.rng.expovariate(FAULTS)):
            self.rng.choice(list(self.vendors.values())).inject(
                self.rng.choice(FAULT), times=self.rng.choice((1, 1, 4))
            )
            self.happened["faults"] += 1

    def _refuse_some(self, got: Got) -> None:
        never = not self.happened["refused messages"]
        if self.refusing and (never or self.rng.random() < 0.3):
            self.place.answer(self.rng.choice((500, 503)))
            self.happened["refused messages"] += 1

    def _outage(self) -> None:
        """Let a vendor be unreachable for a second."""
        vendor = self.rng.choice(list(self.vendors.values()))
        port = int(vendor.url.rpartition(":")[2])
        vendor.stop()
        time.sleep(1)
        vendor.start(port)
        self.happened["outages"] += 1

    def _restart(self, store: Store) -> None:
        assert self.process is not None
        how = HOW[self.restarts % len(HOW)]
        self.restarts += 1
        self.happened[how.name] += 1
        self.process.signal(how)
        if how is signal.SIGHUP:
            return
        assert self.process.end() == (0 if how is signal.SIGTERM else -how)
        assert_claims_hold(store, self.vendors)
        self.start()


def signed(vendor: str, secret: str, body: bytes) -> dict[str, str]:
    """Return the headers of a webhook, as a vendor signs it now."""
    key = secret.encode()
    if vendor == "launchdarkly":
        return {"X-LD-Signature": hmac.new(key, body, sha256).hexdigest()}
    id, at = secrets.token_hex(16), str(int(time.time()))
    signature = b64encode(hmac.new(key, f"{id}{at}".encode() + body, sha256).digest()).decode()
    told = {"ID": id, "Timestamp": at, "Signature-V1": signature}
    return {f"X-ConfigCat-Webhook-{part}": value for part, value in told.items()}


def stored(store: Store) -> Counter[str]:
    """Return how many events the table has, by vendor."""
    return Counter(dict(rows(store, "SELECT vendor, count(*) FROM event GROUP BY vendor")))  # type: ignore[arg-type]
