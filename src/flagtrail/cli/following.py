"""What `flagtrail events --follow` does: the last events, and then each one as it is stored."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from flagtrail.cli.asking import Typed, asked_by, open_store
from flagtrail.cli.options import Form
from flagtrail.cli.showing import events_table, out, say, write_bytes
from flagtrail.config import load
from flagtrail.errors import ConfigError
from flagtrail.exports import Format, lines
from flagtrail.follow import AT_ONCE, follow, number_of, position_of, start
from flagtrail.query import Query, check_known
from flagtrail.query import events as find_events
from flagtrail.store import Store


def events(
    typed: Typed, limit: int, after: str | None, output: Form, config: Path | None, *, from_lake: bool = False
) -> None:
    """Show the last events, or those after a position, and then each one as it is stored, until interrupted."""
    _check(output, after, from_lake=from_lake)
    query = replace(asked_by(typed, load(config).people()), oldest_first=False)
    position, header = after, True
    with open_store(config) as store:
        check_known(store, query)
        try:
            for rows, then in _blocks(store, query, after, limit):
                if not rows:
                    position = then
                    continue
                if output is Form.TABLE:
                    out.print(events_table(rows))
                else:
                    write_bytes(islice(lines(Format(output), rows), 0 if header or output is not Form.CSV else 1, None))
                header, position = False, then
        except ValueError as error:
            raise ConfigError(f"--after: {error}") from None
        except KeyboardInterrupt:
            if position:
                say(f"to go on from here: --follow --after {position}")
            raise


def _check(output: Form, after: str | None, *, from_lake: bool) -> None:
    """Raise ConfigError for what does not go together with following."""
    if from_lake:
        raise ConfigError("--follow shows what is stored from now on, and the lake comes later: leave out --from-lake")
    if output is Form.JSON:
        raise ConfigError("--follow has no end, as a JSON list would need: write -o jsonl")
    if after is not None:
        try:
            number_of(after)
        except ValueError as error:
            raise ConfigError(f"--after: {error}; --follow takes what the last --follow told when it ended") from None


def _blocks(store: Store, query: Query, after: str | None, limit: int) -> Iterator[tuple[list[dict[str, Any]], str]]:
    """Yield events that come together, and the position after them; the first block are the last ones by now."""
    position = after
    if position is None:
        position = start(store)
        assert position is not None, "nobody stops it"
        found = list(find_events(store, replace(query, limit=limit))) if limit else []
        upto = number_of(position)
        yield [row for row in reversed(found) if row["number"] <= upto], position
    block: list[dict[str, Any]] = []
    for row in follow(store, query, position):
        if row is not None:
            block.append(row)
        if block and (row is None or len(block) == AT_ONCE):
            yield block, position_of(block[-1])
            block = []
