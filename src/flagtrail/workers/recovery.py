"""Puts back jobs that nobody does any more, each once, and keeps whoever was only asleep from ending another's.

A job that is put back gets a new number, in the statement that finds it lost. So two that find it at the same time put
it back once, and an end that is noted late finds no job of its number.
"""

import asyncio
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Any

import structlog
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager
from procrastinate.worker import Worker as Taker

from flagtrail.roster import BEAT
from flagtrail.workers.planning import DAY

FORGOTTEN = 2 * DAY  # seconds without a tick after which nobody reads a source any more
FORGET = """
DELETE FROM procrastinate_jobs WHERE status = 'todo' AND args ? 'source' AND NOT EXISTS (
    SELECT FROM procrastinate_periodic_defers AS tick WHERE tick.periodic_id = args->>'source'
        AND tick.defer_timestamp > extract(epoch FROM clock_timestamp()) - %(forgotten)s)
"""
DEAD = """NOT EXISTS (SELECT FROM procrastinate_workers AS worker WHERE worker.id = worker_id
        AND worker.last_heartbeat >= clock_timestamp() - make_interval(secs => %(patience)s))"""
OURS = "worker_id = %(worker)s AND id = ANY(%(numbers)s)"
# Where the like of a job waits already, that will do.
PUT_BACK = """
WITH lost AS (
    DELETE FROM procrastinate_jobs WHERE id IN (
        SELECT id FROM procrastinate_jobs WHERE status = 'doing' AND {whose} FOR UPDATE SKIP LOCKED)
    RETURNING queue_name, task_name, priority, lock, queueing_lock, args
), again AS (
    INSERT INTO procrastinate_jobs (queue_name, task_name, priority, lock, queueing_lock, args)
    SELECT * FROM lost ON CONFLICT DO NOTHING
)
SELECT task_name, lock FROM lost
"""
FINISH = "DELETE FROM procrastinate_jobs WHERE id = %(number)s AND status = 'doing'"

log = structlog.get_logger()


class Manager(JobManager):
    """Procrastinate's own, for jobs that are deleted as they end, and may have been given to others meanwhile."""

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        """Note that a job has ended, unless it is that of others by now."""
        await self.connector.execute_query_async(FINISH, number=job.id)


async def recover(manager: JobManager, patience: float) -> None:
    """Give the jobs of workers without a sign of life for so many seconds to others; drop those of sources gone."""
    await _put_back(manager, DEAD, patience=patience)
    await manager.connector.execute_query_async(FORGET, forgotten=FORGOTTEN)


async def look_after(manager: JobManager, taker: Taker, running: AbstractSet[int]) -> None:
    """Put back jobs that count as this worker's and are not `running`, for ever: noting an end may have failed."""
    strange: set[int] = set()
    while True:
        with suppress(ConnectorException):
            found = await manager.list_jobs_async(status=Status.DOING.value, worker_id=taker.worker_id or 0)
            lost = {job.id for job in found if job.id is not None} - running
            if lost & strange:
                await _put_back(manager, OURS, worker=taker.worker_id, numbers=sorted(lost & strange))
            strange = lost
        await asyncio.sleep(BEAT)


async def _put_back(manager: JobManager, whose: str, **told: Any) -> None:
    for row in await manager.connector.execute_query_all_async(PUT_BACK.format(whose=whose), **told):
        log.warning("job_recovered", task=row["task_name"], lock=row["lock"])
