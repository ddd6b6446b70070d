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
from procrastinate.jobs import Job
from procrastinate.manager import JobManager
from procrastinate.worker import Worker as Taker

from flagtrail.errors import StoreError
from flagtrail.operating import EngineSettings
from flagtrail.pulse import Pulse
from flagtrail.roster import BEAT
from flagtrail.source import Source
from flagtrail.turns import UPKEEP
from flagtrail.workers.jobs import Jobs, Stopped
from flagtrail.workers.planning import DAY, STEPS, cron, step
from flagtrail.workers.queue import EVERYBODY, Connector, Priority, queue_of
from flagtrail.workers.recovery import Manager, look_after, recover

ATTEMPTS = 3  # of a job that could not be finished; after that a later tick lets it come again
PAUSE = 5  # seconds between them, and more each time
AGAIN = 5.0  # seconds until a worker begins again whose database failed
SPARE = 2  # threads for what is no job: names of hosts are looked up in one, and a lost connection must be made anew

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
        spare = [queue_of(name, Priority.UPKEEP) for name in names]
        many = self.settings.concurrency
        few = max(many // 4, 1)  # so that what is new finds somebody, however long everybody takes over what is old
        loop.set_default_executor(ThreadPoolExecutor(many + 2 * few + SPARE, thread_name_prefix="worker"))
        beating = asyncio.create_task(self._beat())
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._take(self._app(ticks=True), [*soon, *late], many))
                group.create_task(self._take(self._app(ticks=False), soon, few))
                group.create_task(self._take(self._app(ticks=False), spare, few))
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
            manager = app.job_manager
            beside = [asyncio.create_task(each) for each in (
                look_after(manager, taker, self._running), self._show_life(manager, taker),
            )]  # fmt: skip
            try:
                await taker.run()  # type: ignore[no-untyped-call]
            finally:
                for task in beside:
                    task.cancel()
        raise EndedItself("the queue's database did not answer")

    def _app(self, *, ticks: bool) -> App:
        """Return Procrastinate with our jobs, and the ticks of each source."""
        app = App(connector=Connector(**self.jobs.queue.pool_args), periodic_defaults={"max_delay": DAY})
        app.job_manager = Manager(app.connector)
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
        recovering = app.task(name="recover", queue=EVERYBODY, queueing_lock="recover", pass_context=True)(
            self._recover
        )
        often = max(each for each in STEPS if each <= max(self.patience / 4, 1))
        if ticks:
            app.periodic(cron=cron(often), priority=Priority.RECOVER)(recovering)
        return app

    def _task(self, app: App, name: str) -> Any:
        do = getattr(self.jobs, name)

        def task(context: JobContext, /, attempt: int = 1, **args: Any) -> None:
            assert context.job.id is not None
            self._running.add(context.job.id)
            try:
                self._do(context.job, do, attempt, args)
            except StoreError as error:
                log.error("job_lost", task=name, error=str(error))
            finally:
                self._running.discard(context.job.id)

        return app.task(name=name, pass_context=True)(task)

    def _do(self, job: Job, do: Callable[..., bool], attempt: int, args: dict[str, Any]) -> None:
        """Do a job; what did not come to its end waits again. Raises StoreError."""
        try:
            stopped = self._stopping.is_set()  # while it was taken
            ended = not stopped and do(**args)
        except Stopped:
            stopped = True
        if stopped:  # nothing has failed: it goes on elsewhere, and not here again and again until we are told, too
            self.jobs.queue.put_again(job, 0 if self._stopping.is_set() else 1, attempt)
        elif not ended and attempt < ATTEMPTS:
            self.jobs.queue.put_again(job, attempt * PAUSE, attempt + 1)

    async def _recover(self, context: JobContext, timestamp: int) -> None:
        """Do what keeps the queue whole."""
        await recover(context.app.job_manager, self.patience)

    async def _show_life(self, manager: JobManager, taker: Taker) -> None:
        """Tell others that we live: Procrastinate does not any more once it only waits for the last jobs to end."""
        while True:
            if taker.worker_id is not None:
                with suppress(ConnectorException):
                    await manager.update_heartbeat(taker.worker_id)
            await asyncio.sleep(self.patience / 4)
