"""Reads a simulator through its connector for the conformance suite: whole, in samples, or as a run that dies."""

import copy
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from flagtrail.api import Api
from flagtrail.connector import Connector, Hole, Page, Stream
from flagtrail.event import Record
from flagtrail.rows import Reading
from flagtrail.source import AHEAD, Source
from flagtrail.store import Store
from flagtrail.testing.simulator import Simulator
from flagtrail.window import Window, from_ms, merge, subtract

DAYS = 40.0


def history(vendor: Simulator) -> Window:
    """Return a window around the vendor's whole history, the way the core asks for it."""
    now = from_ms(vendor.clock.ms())
    return Window(now - timedelta(days=DAYS + 1), now + AHEAD)


def newest(vendor: Simulator, stream: Stream) -> Window:
    """Return a short window that holds the newest entry of a stream."""
    last = max(vendor.truth()[stream.name].values(), default=vendor.clock.ms())
    return Window.of_ms(last - 3_600_000, last + 3_600_000)


def read(connector: Connector, api: Api, stream: Stream, window: Window) -> tuple[int, dict[str, Any]]:
    """Return how many pages a window took, and its events by id, having checked that it is covered exactly."""
    pages, events, whole = 0, {}, []
    for piece in window.pieces(stream.span or window.length):
        for page in connector.pages(api, stream, piece):
            pages += 1
            whole += [page.window] if isinstance(page, Hole) else [page.covers] if page.covers else []
            found = [connector.event(stream, record) for record in page.records]
            assert len({event.vendor_id for event in found}) == len(found), "an entry stands twice on one page"
            events.update({event.vendor_id: event for event in found})
    assert subtract(window, whole) == [], "the pages do not cover the window"
    assert merge(whole) == [window], "the pages claim more than was asked for"
    return pages, events


def samples(vendor: Simulator, connector: Connector, api: Api) -> Iterator[tuple[Stream, Record]]:
    """Yield a few dozen records of each stream."""
    for stream in list(connector.streams(api))[:3]:
        for number, vendor_id in enumerate(vendor.truth()[stream.name]):
            if number % 7 == 0 and number < 200:
                yield stream, copy.deepcopy(vendor.shown(stream.name, vendor_id))


def store_some_pages(store: Store, source: Source, api: Api, stream: Stream, window: Window, count: int) -> None:
    """Do what a run does that dies after some pages."""
    since, settled = window.since, from_ms(window.until_ms) - AHEAD - source.settle
    store.register(source.name, source.connector.vendor, stream, wanted_since=since, settled_at=settled)
    piece = window.pieces(stream.span or window.length)[-1]
    for number, page in enumerate(source.connector.pages(api, stream, piece), start=1):
        if number > count:
            return
        events = [(source.connector.event(stream, record), record) for record in page.records]
        covers = page.covers.before(settled) if isinstance(page, Page) and page.covers else None
        store.add(source.name, source.connector.vendor, [Reading(stream.name, events, covers)])
