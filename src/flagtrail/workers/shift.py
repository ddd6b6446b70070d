"""One worker of Procrastinate's, in a thread of its own: takes jobs of some sources, and lets their ticks come."""

import asyncio
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import structlog
from procrastinate import App, JobContext
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager
from procrastinate.worker import Worker as Taker

from flagtrail.errors import StoreError
from flagtrail.operating import EngineSettings
from flagtrail.pulse import Pulse
from flagtrail.roster import BEAT
from flagtrail.source import Source
from flagtrail.turns import UPKEEP
from flagtrail.window import EPOCH
from flagtrail.workers.jobs import Jobs
from flagtrail.workers.planning import DAY, STEPS, cron, step
from flagtrail.workers.queue import EVERYBODY, Connector, Priority, queue_of

ATTEMPTS = 3  # of a job that could not be finished; after that a later tick lets it come again
PAUSE = 5  # seconds between them, and more each time
AGAIN = 5.0  # seconds until a worker begins again whose database failed
SPARE = 2  # threads for what is no job: names of hosts are looked up in one, and a lost connection must be made anew
FORGOTTEN = 2 * DAY  # seconds without a tick after which nobody reads a source any more
FORGET = """
DELETE FROM procrastinate_jobs WHERE status = 'todo' AND args ? 'source' AND NOT EXISTS (
    SELECT FROM procrastinate_periodic_defers AS tick WHERE tick.periodic_id = args->>'source'
        AND tick.defer_timestamp > extract(epoch FROM clock_timestamp()) - %(forgotten)s)
"""

log = structlog.get_logger()


class EndedItself(Exception):
    """Procrastinate takes no more jobs, though nobody told it to."""


class Shift:
    """Takes jobs of these sources until `stop`; what is under way then comes to its end."""

    def __init__(self, jobs: Jobs, sources: Iterable[Source], settings: EngineSettings, pulse: Pulse) -> None:
        self.jobs, self.sources, self.settings, self.pulse = jobs, list(sources), settings, pulse
        self.patience = settings.stalled.total_seconds()
        self._stopping = threading.Event()
        self._running: set[int] = set()  # numbers of the jobs that are under way
        self._cancel: Callable[[], object] | None = None
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more jobs."""
        self._stopping.set()
        if self._cancel is not None:
            with suppress(RuntimeError):  # its loop has ended meanwhile
                self._cancel()

    def join(self) -> None:
        """Wait until what was under way has ended, and the queue knows."""
        if self._thread.ident is not None:
            self._thread.join()

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._stopping.is_set() and not self._thread.is_alive()

    def _run(self) -> None:
        """Work, and begin anew when that ends by itself: Procrastinate gives up when its database does not answer."""
        while not self._stopping.is_set():
            try:
                asyncio.run(self._work())
                return
            except asyncio.CancelledError:
                return
            except Exception as failed:  # noqa: BLE001 - whatever it was, the sources have to be read
                first = failed.exceptions[0] if isinstance(failed, ExceptionGroup) else failed
                error = " ".join(str(first.__cause__ or first).split())
            if not self._stopping.is_set():
                log.error("worker_failed", error=error)
            for _ in range(int(AGAIN)):
                self.pulse.beat("queue")
                self._stopping.wait(1.0)

    async def _work(self) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        if self._stopping.is_set():
            return
        names = [source.name for source in self.sources]
        soon = [EVERYBODY, *(queue_of(name, Priority.NEWEST) for name in names)]
        late = [queue_of(name, Priority.OLDER) for name in names]
        many = self.settings.concurrency
        few = max(many // 4, 1)  # so that what is new finds somebody, however long everybody takes over what is old
        loop.set_default_executor(ThreadPoolExecutor(many + few + SPARE, thread_name_prefix="worker"))
        beating = asyncio.create_task(self._beat())
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._take(self._app(ticks=True), [*soon, *late], many))
                group.create_task(self._take(self._app(ticks=False), soon, few))
        finally:
            beating.cancel()

    async def _beat(self) -> None:
        """Show that the loop ticks, while its database does not answer, and until what was under way has ended, too."""
        while True:
            self.pulse.beat("queue")
            await asyncio.sleep(BEAT)

    async def _take(self, app: App, queues: list[str], concurrency: int) -> None:
        """Take jobs until it is cancelled; raises EndedItself when Procrastinate gives up."""
        async with app.open_async():
            taker = Taker(
                app, queues=queues, concurrency=concurrency, install_signal_handlers=False, delete_jobs="always",
                fetch_job_polling_interval=1.0, abort_job_polling_interval=self.patience * 10,
                update_heartbeat_interval=self.patience / 4, stalled_worker_timeout=self.patience,
            )  # fmt: skip
            beside = [asyncio.create_task(do(app.job_manager, taker)) for do in (self._look_after, self._show_life)]
            try:
                await taker.run()  # type: ignore[no-untyped-call]
            finally:
                for task in beside:
                    task.cancel()
        raise EndedItself("the queue's database did not answer")

    def _app(self, *, ticks: bool) -> App:
        """Return Procrastinate with our jobs, and the ticks of each source."""
        app = App(connector=Connector(**self.jobs.queue.pool_args), periodic_defaults={"max_delay": DAY})
        for name in ("read", "verify"):
            self._task(app, name)
        plan, upkeep = self._task(app, "plan"), self._task(app, "upkeep")
        for source in self.sources if ticks else []:
            for task, seconds, priority in (
                (plan, step(source.every), Priority.PLAN), (upkeep, int(UPKEEP), Priority.UPKEEP),
            ):  # fmt: skip
                once = f"{task.name} {source.name}"
                app.periodic(
                    cron=cron(seconds), periodic_id=source.name, queue=queue_of(source.name, priority), lock=once,
                    queueing_lock=once, priority=priority, task_kwargs={"source": source.name},
                )(task)  # fmt: skip
        # Without a lock: a worker that dies over it must not keep others from it.
        recover = app.task(name="recover", queue=EVERYBODY, queueing_lock="recover", pass_context=True)(self._recover)
        often = max(each for each in STEPS if each <= max(self.patience / 4, 1))
        if ticks:
            app.periodic(cron=cron(often), priority=Priority.RECOVER)(recover)
        return app

    def _task(self, app: App, name: str) -> Any:
        do = getattr(self.jobs, name)

        def task(context: JobContext, /, attempt: int = 1, **args: Any) -> None:
            assert context.job.id is not None
            self._running.add(context.job.id)
            try:
                if not do(**args) and attempt < ATTEMPTS:
                    # One that was told to stop goes on elsewhere, at once.
                    seconds = 0 if self._stopping.is_set() else attempt * PAUSE
                    self.jobs.queue.put_again(context.job, seconds, attempt + 1)
            except StoreError as error:
                log.error("job_lost", task=name, error=str(error))
            finally:
                self._running.discard(context.job.id)

        return app.task(name=name, pass_context=True)(task)

    async def _recover(self, context: JobContext, timestamp: int) -> None:
        """Give the jobs of workers that show no sign of life to others, and drop those of sources that are gone."""
        manager = context.app.job_manager
        for job in await manager.get_stalled_jobs(seconds_since_heartbeat=self.patience):
            await _put_back(manager, job)
        await manager.connector.execute_query_async(FORGET, forgotten=FORGOTTEN)

    async def _show_life(self, manager: JobManager, taker: Taker) -> None:
        """Tell others that we live: Procrastinate does not any more once it only waits for the last jobs to end."""
        while True:
            if taker.worker_id is not None:
                with suppress(ConnectorException):
                    await manager.update_heartbeat(taker.worker_id)
            await asyncio.sleep(self.patience / 4)

    async def _look_after(self, manager: JobManager, taker: Taker) -> None:
        """Put back jobs that count as ours and are not: noting an end may have failed."""
        strange: set[int | None] = set()
        while True:
            with suppress(ConnectorException):
                found = await manager.list_jobs_async(status=Status.DOING.value, worker_id=taker.worker_id or 0)
                lost = {job.id: job for job in found if job.id not in self._running}
                for number in lost.keys() & strange:
                    await _put_back(manager, lost[number])
                strange = set(lost)
            await asyncio.sleep(BEAT)


async def _put_back(manager: JobManager, job: Job) -> None:
    """Let a job wait again that nobody does."""
    assert job.id is not None
    try:
        await manager.retry_job(job, retry_at=EPOCH)  # at once, whatever the clock of this machine says
    except ConnectorException:  # its like waits already, or it has ended just now
        try:
            await manager.finish_job_by_id_async(job.id, Status.ABORTED, delete_job=True)
        except ConnectorException:
            return
    log.warning("job_recovered", task=job.task_name, lock=job.lock)
