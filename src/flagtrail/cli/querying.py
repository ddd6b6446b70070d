"""What the command `sql` does: a statement's answer as a table, or for programs."""

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from flagtrail.cli.asking import open_store
from flagtrail.cli.options import Form
from flagtrail.cli.showing import dumps, out, plain_table, say, write_bytes, write_json
from flagtrail.sql import Answer, asked


def sql(statement: str, limit: int, timeout: float, output: Form | None, config: Path | None) -> None:
    """Show what the database answers to a statement."""
    if statement == "-":
        statement = sys.stdin.read()
    form = output or (Form.TABLE if out.is_terminal else Form.JSONL)
    with open_store(config) as store, asked(store, statement, timeout) as answer:
        rows = answer.rows
        _write(answer._replace(rows=islice(rows, limit) if limit else rows), form)
        if limit and next(rows, None) is not None:
            say(f"the first {limit:,} rows are shown, there are more: --limit 0 shows all")


def _write(answer: Answer, form: Form) -> None:
    if form is Form.TABLE:
        cells = [[_cell(value) for value in row] for row in answer.rows]
        numbers = [
            name
            for place, name in enumerate(answer.columns)
            if any(isinstance(row[place], int | float) for row in cells)
        ]
        out.print(plain_table(answer.columns, cells, right=numbers))
        return
    objects: Iterator[dict[str, Any]] = (dict(zip(answer.columns, row, strict=True)) for row in answer.rows)
    if form is Form.JSON:
        write_json(objects)
    elif form is Form.CSV:
        from flagtrail.exports import csv

        write_bytes(csv.lines(objects, answer.columns))
    else:
        write_bytes(dumps(each).encode("utf-8", "replace") + b"\n" for each in objects)


def _cell(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float) else dumps(value)
