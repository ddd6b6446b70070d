"""What the lake tells of its own completeness: the coverage, the gaps and the verdicts, as of a moment.

One small table beside the events: a row for each window, and one for each source, stream and name. What is claimed is
read before the events are, and written after them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from flagtrail.completeness import Evidence
from flagtrail.database import guarded
from flagtrail.event import from_json, to_json
from flagtrail.naming import SCOPES, Called, called
from flagtrail.status import Name, extents
from flagtrail.store import Gap, SourceState, Store, StreamState
from flagtrail.verdicts import Method, Outcome, Verdict, all_verdicts
from flagtrail.window import Window, from_ms, iso, merge, subtract, to_ms

COLUMNS = ("kind", "source", "stream", "vendor", "since", "until", "told", "reason", "as_of")
TIMES = ("since", "until", "as_of")
KINDS = ("coverage", "gap", "verdict")
TIMED = ("_at", "_since")  # end the names of instants


class Standing(NamedTuple):
    """What is known of all streams at a moment, and what projects and environments are called."""

    as_of: datetime
    looks: Sequence[SourceState]
    states: Sequence[StreamState]
    evidence: Evidence
    names: Mapping[str, Sequence[Called]]


def standing_of(store: Store) -> Standing:
    """Return how the database stands; what is stored while it is read is not claimed."""
    now = from_ms(to_ms(datetime.now(UTC)))
    looks, states = store.sources(), store.streams()
    covered, gaps = extents(store)
    verdicts = all_verdicts(store)
    with guarded(store.shown), store.engine.connect() as connection:
        names = {field: list(called(connection, field)) for field in SCOPES}
    return Standing(now, looks, states, Evidence(covered, gaps, verdicts), names)


def narrowed(standing: Standing, before: Standing | None) -> Standing | None:
    """Return what both claim, if the one before claims more than the other; events of that are about to go."""
    if before is None:
        return None
    now, then = standing.evidence.covered, before.evidence.covered
    less = {name: [hole for window in then[name] for hole in subtract(window, now.get(name, ()))] for name in then}
    if not any(less.values()):
        return None
    both = {name: [part for window in then[name] for part in subtract(window, less[name])] for name in then}
    return standing._replace(evidence=standing.evidence._replace(covered={n: merge(w) for n, w in both.items() if w}))


def unclaimed(standing: Standing) -> Standing:
    """Return a standing in which nothing is claimed: while the lake is built."""
    return standing._replace(evidence=Evidence({}, {}, {}))


def schema() -> Any:
    """Return the columns of the table with their types, as Arrow has them."""
    import pyarrow as arrow

    instant = arrow.timestamp("us", tz="UTC")
    return arrow.schema([(name, instant if name in TIMES else arrow.string()) for name in COLUMNS])


def batches(standing: Standing) -> Iterator[Any]:
    """Yield a standing as batches of Arrow's."""
    import pyarrow as arrow

    rows = [{**dict.fromkeys(COLUMNS), **row, "as_of": standing.as_of} for row in _rows(standing)]
    yield from arrow.Table.from_pylist(rows, schema=schema()).to_batches()


def _rows(standing: Standing) -> Iterator[dict[str, Any]]:
    yield {"kind": "lake"}
    for look in standing.looks:
        place = {"kind": "source", "source": look.source, "vendor": look.vendor}
        yield {**place, "told": _json(look), "reason": look.error}
    vendors = {(state.source, state.stream): state.vendor for state in standing.states}
    for state in standing.states:
        place = {"kind": "stream", "source": state.source, "stream": state.stream, "vendor": state.vendor}
        told = _json(state._replace(credential=None))
        yield {**place, "since": state.wanted_since, "until": state.settled_at, "told": told, "reason": state.error}
    for kind, of_streams in zip(KINDS, standing.evidence, strict=True):
        for name, windows in of_streams.items():
            of_stream = {"kind": kind, "source": name[0], "stream": name[1], "vendor": vendors.get(name)}
            for each in windows:
                yield {**of_stream, **_window_row(each)}
    for field, names in standing.names.items():
        for called_so in names:
            yield {"kind": field, "told": to_json([called_so.key, called_so.scope, called_so.name]).decode()}


def _window_row(each: Any) -> dict[str, Any]:
    """Return the columns of a covered window, a gap or a verdict."""
    if isinstance(each, Window):
        return {"since": each.since, "until": each.until}
    return {"since": each.window.since, "until": each.window.until, "told": _json(each), "reason": each.reason}


def _json(row: Any) -> str:
    plain = {
        name: iso(value) if isinstance(value, datetime) else value
        for name, value in row._asdict().items()
        if name != "window"
    }
    return to_json(plain).decode()


def standing_from(rows: Iterable[Mapping[str, Any]]) -> Standing | None:
    """Return the standing that rows of the table tell; None when there are none."""
    of_kind = defaultdict[str, list[Mapping[str, Any]]](list)
    for row in rows:
        of_kind[row["kind"]].append(row)
    if not of_kind["lake"]:
        return None
    looks = sorted(SourceState(**_parsed(row["told"])) for row in of_kind["source"])
    states = [StreamState(**_parsed(row["told"])) for row in of_kind["stream"]]
    covered, gaps, verdicts = (_by_stream(of_kind[kind], made) for kind, made in zip(KINDS, MADE, strict=True))
    names = {field: [_called(*from_json(row["told"])) for row in of_kind[field]] for field in SCOPES}
    states.sort(key=lambda state: (state.source, state.stream))
    as_of = of_kind["lake"][0]["as_of"].astimezone(UTC)
    return Standing(as_of, looks, states, Evidence(covered, gaps, verdicts), names)


def _by_stream(rows: Iterable[Mapping[str, Any]], made: Callable[[Window, Any], Any]) -> dict[Name, list[Any]]:
    found = defaultdict[Name, list[Any]](list)
    for row in sorted(rows, key=lambda row: (row["since"], row["until"])):
        window = Window(row["since"].astimezone(UTC), row["until"].astimezone(UTC))
        found[row["source"], row["stream"]].append(made(window, _parsed(row["told"] or "{}")))
    return found


def _called(key: str, scope: Sequence[str], name: str | None) -> Called:
    return Called(key, tuple(scope), name)


def _verdict(window: Window, told: Mapping[str, Any]) -> Verdict:
    return Verdict(window, **{**told, "outcome": Outcome(told["outcome"]), "method": Method(told["method"])})


MADE: tuple[Callable[[Window, Any], Any], ...] = (lambda window, _: window, lambda w, told: Gap(w, **told), _verdict)


def _parsed(told: str) -> dict[str, Any]:
    return {
        name: datetime.fromisoformat(value).astimezone(UTC) if value and name.endswith(TIMED) else value
        for name, value in from_json(told).items()
    }
