"""Compares the ways to ask a vendor for a page: `python -m benchmarks.asking`.

Every way asks the same simulated vendor, in a process of its own, for one page of 20 entries over a kept connection
for each thread, reads the body and leaves it unparsed. CPU is that of this process. The reference is the standard
library's client.
"""

import http.client
import resource
import tempfile
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import httpx

from benchmarks.vendor import Vendor
from flagtrail.api import Api
from flagtrail.lines import READ_SECONDS, TOTAL_SECONDS, Lines
from flagtrail_launchdarkly import allowances

PATH, PARAMS = "/api/v2/auditlog", {"limit": 20}
REQUESTS = 2000
RUNS = 3
THREADS = (1, 4, 16)
Ask = Callable[[], object]


def main() -> None:
    """Print the CPU milliseconds of a request, by way and by number of threads."""
    with tempfile.TemporaryDirectory() as folder, Vendor(1000, Path(folder)) as vendor:
        print(f"milliseconds of CPU for a request, the median of {RUNS} times {REQUESTS:,} requests")
        print(f"{'way':<42}" + "".join(f"{f'{count} threads':>12}" for count in THREADS) + f"{'x reference':>13}")
        reference = 0.0
        for name, way in ways(vendor).items():
            taken = [median(cpu(way, count) for _ in range(RUNS)) for count in THREADS]
            reference = reference or taken[0]
            print(f"{name:<42}" + "".join(f"{1000 * one:>12.2f}" for one in taken) + f"{taken[0] / reference:>13.2f}")


def ways(vendor: Vendor) -> dict[str, Callable[[], Ask]]:
    """Return what makes a way to ask, for one thread each; the first is the reference."""
    url, headers = f"{vendor.url}{PATH}", {"authorization": vendor.token}
    shared = Lines(None)
    api = Api(vendor.url, headers=headers, dialect=allowances)

    def library() -> Ask:
        connection = http.client.HTTPConnection(urlsplit(vendor.url).netloc)

        def ask() -> object:
            connection.request("GET", f"{PATH}?limit=20", headers=headers)
            return connection.getresponse().read()

        return ask

    def client() -> Ask:
        one = httpx.Client(headers=headers, trust_env=False, timeout=READ_SECONDS)
        return lambda: one.get(url, params=PARAMS).content

    def timed() -> Ask:
        ask = client()

        def with_timer() -> object:
            timer = threading.Timer(TOTAL_SECONDS, lambda: None)
            timer.start()
            try:
                return ask()
            finally:
                timer.cancel()

        return with_timer

    def line() -> Ask:
        def ask() -> object:
            request = httpx.Request("GET", f"{url}?limit=20", headers=headers)
            with shared.lend() as lent, closing(lent.send(request)) as response:
                return response.read()

        return ask

    return {
        "http.client": library,
        "httpx.Client": client,
        "httpx.Client, a timer for each": timed,
        "httpx transports, lent (flagtrail.lines)": line,
        "flagtrail.api, parsed": lambda: lambda: api.get(PATH, PARAMS),
    }


def cpu(made: Callable[[], Ask], threads: int) -> float:
    """Return the CPU seconds of a request, by so many threads, each with what `made` returns."""
    waiting = threading.Barrier(threads + 1)

    def run() -> None:
        ask = made()
        ask()
        waiting.wait()
        for _ in range(REQUESTS // threads):
            ask()

    running = [threading.Thread(target=run) for _ in range(threads)]
    for thread in running:
        thread.start()
    waiting.wait()
    began = spent()
    for thread in running:
        thread.join()
    return (spent() - began) / (REQUESTS // threads * threads)


def spent() -> float:
    """Return the CPU seconds that this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
