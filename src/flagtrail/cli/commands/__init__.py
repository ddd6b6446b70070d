"""Everything that can be typed: each command with its options and its help, and nothing of its work.

So `flagtrail --help` is quick, and a command imports only what it needs.
"""

from flagtrail.cli.commands.asking import around, count, events, show, state, status
from flagtrail.cli.commands.exporting import export, mcp, serve, sql
from flagtrail.cli.commands.keeping import forget, lake
from flagtrail.cli.commands.reading import backfill, check, connectors, demo, init, run, sync, verify, worker

COMMANDS = (
    init, check, sync, backfill, run, worker, serve, mcp, verify, events, count, show, around, state, export, sql,
    status, forget, lake, connectors, demo,
)  # fmt: skip
