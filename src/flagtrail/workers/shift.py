"""One worker of Procrastinate's, in a thread of its own: takes jobs of some sources, and lets their ticks come."""

import asyncio
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import structlog
from procrastinate import App, JobContext, PsycopgConnector, RetryStrategy
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Status

from flagtrail.operating import EngineSettings
from flagtrail.pulse import Pulse
from flagtrail.roster import BEAT
from flagtrail.source import Source
from flagtrail.turns import UPKEEP
from flagtrail.workers.jobs import Jobs
from flagtrail.workers.planning import DAY, STEPS, cron, step
from flagtrail.workers.queue import EVERYBODY, Priority, queue_of

ATTEMPTS = 3  # of a job that could not be finished; after that its next tick lets it come again
AGAIN = 5.0  # seconds until a worker begins again whose database failed

log = structlog.get_logger()


class NotFinished(Exception):
    """A job is to be done again, here or by another worker."""


class Shift:
    """Takes jobs of these sources until `stop`; what is under way then comes to its end."""

    def __init__(self, jobs: Jobs, sources: Iterable[Source], settings: EngineSettings, pulse: Pulse) -> None:
        self.jobs, self.sources, self.settings, self.pulse = jobs, list(sources), settings, pulse
        self.patience = settings.stalled.total_seconds()
        self._stopping = threading.Event()
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
                error = "its database did not answer"
            except asyncio.CancelledError:
                return
            except Exception as failed:  # noqa: BLE001 - whatever it was, the sources have to be read
                error = " ".join(str(failed.__cause__ or failed).split())
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
        loop.set_default_executor(ThreadPoolExecutor(self.settings.concurrency, thread_name_prefix="worker"))
        beating = asyncio.create_task(self._beat())
        try:
            async with (app := self._app()).open_async():
                await app.run_worker_async(
                    queues=[EVERYBODY, *(queue_of(source.name) for source in self.sources)],
                    concurrency=self.settings.concurrency, install_signal_handlers=False, delete_jobs="always",
                    fetch_job_polling_interval=1.0, abort_job_polling_interval=self.patience * 10,
                    update_heartbeat_interval=self.patience / 4, stalled_worker_timeout=self.patience,
                )  # fmt: skip
        finally:
            beating.cancel()

    async def _beat(self) -> None:
        while True:
            self.pulse.beat("queue")
            await asyncio.sleep(BEAT)

    def _app(self) -> App:
        """Return Procrastinate with our jobs, and the ticks of each source."""
        app = App(connector=PsycopgConnector(**self.jobs.queue.pool_args), periodic_defaults={"max_delay": DAY})
        for name in ("read", "verify"):
            self._task(app, name)
        plan, upkeep = self._task(app, "plan"), self._task(app, "upkeep")
        for source in self.sources:
            for task, seconds, priority in (
                (plan, step(source.every), Priority.PLAN), (upkeep, int(UPKEEP), Priority.UPKEEP),
            ):  # fmt: skip
                once = f"{task.name} {source.name}"
                app.periodic(
                    cron=cron(seconds), periodic_id=source.name, queue=queue_of(source.name), lock=once,
                    queueing_lock=once, priority=priority, task_kwargs={"source": source.name},
                )(task)  # fmt: skip
        # Without a lock: a worker that dies over it must not keep others from it.
        recover = app.task(name="recover", queue=EVERYBODY, queueing_lock="recover", pass_context=True)(self._recover)
        often = max(each for each in STEPS if each <= max(self.patience / 4, 1))
        app.periodic(cron=cron(often), priority=Priority.RECOVER)(recover)
        return app

    def _task(self, app: App, name: str) -> Any:
        do = getattr(self.jobs, name)

        def task(context: JobContext, /, **args: Any) -> None:
            if not do(**args) and context.job.attempts < ATTEMPTS:
                raise NotFinished

        again = RetryStrategy(wait=1, linear_wait=5, retry_exceptions=[NotFinished])
        return app.task(name=name, pass_context=True, retry=again)(task)

    async def _recover(self, context: JobContext, timestamp: int) -> None:
        """Give the jobs of workers that show no sign of life to others."""
        manager = context.app.job_manager
        for job in await manager.get_stalled_jobs(seconds_since_heartbeat=self.patience):
            assert job.id is not None
            try:
                await manager.retry_job(job)
            except ConnectorException:  # another one of its kind waits already, or it has ended just now
                with suppress(ConnectorException):
                    await manager.finish_job_by_id_async(job.id, Status.ABORTED, delete_job=True)
            log.warning("job_recovered", task=job.task_name, lock=job.lock)
