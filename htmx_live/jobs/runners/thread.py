"""``ThreadRunner``: jobs on daemon threads of this process, async ones on a loop of their own.

Nothing here serves requests, so that a slow job delays nobody's click.  A job that has not ended when the process
exits is lost.
"""

import asyncio
import logging
import threading
from contextvars import Context

from asgiref.sync import SyncToAsync, ThreadSensitiveContext, sync_to_async
from django.db import connections

from htmx_live.core.concurrency import DaemonExecutor, DaemonPool
from htmx_live.core.conf import settings
from htmx_live.core.exceptions import RunnerUnavailable
from htmx_live.jobs.runner import Executor, Job

__all__ = ["ThreadRunner"]


logger = logging.getLogger("htmx_live.jobs")

_ASYNCIO_THREADS = 32  # threads for what async jobs do by asyncio.to_thread() and the like


class ThreadRunner:
    """See ``htmx_live.jobs.runner.Runner``."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._pool = DaemonPool("htmx-live-job", lambda: settings().JOB_THREADS, after_each_call=connections.close_all)
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}  # submitted and not ended
        self._cancelled: set[str] = set()  # a subset of the known
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False

    def submit(self, job: Job) -> None:
        with self._lock:
            if job.ref in self._jobs:
                return  # it waits here already
            if self._is_closed:
                raise RunnerUnavailable("This process is shutting down and takes no more jobs.")
            if len(self._jobs) >= settings().MAX_QUEUED_JOBS:
                raise RunnerUnavailable(
                    f"{len(self._jobs)} jobs are waiting or running here, which is HTMX_LIVE['MAX_QUEUED_JOBS']. "
                    "Raise it, or name a runner of another place in HTMX_LIVE['RUNNER']."
                )
            self._jobs[job.ref] = job
        if job.is_async:
            # In a context of its own: in the caller's, it would share the thread of the request that started it.
            Context().run(asyncio.run_coroutine_threadsafe, self._arun(job), self._ensure_loop())
        else:
            self._submit_to_pool(job)

    def cancel(self, ref: str) -> None:
        with self._lock:
            if ref not in self._jobs:
                return
            self._cancelled.add(ref)
            task = self._tasks.get(ref)
            if task is not None and self._loop is not None:
                self._loop.call_soon_threadsafe(task.cancel)

    def is_cancelled(self, ref: str) -> bool:
        return ref in self._cancelled

    def shutdown(self) -> dict[str, Job]:
        with self._lock:
            self._is_closed = True
            self._pool.clear()
            return dict(self._jobs)

    def _submit_to_pool(self, job: Job) -> None:
        try:
            self._pool.submit(lambda: self._run(job))
        except RuntimeError as error:
            self._discard(job)
            raise RunnerUnavailable(f"No thread for a job: {error}.") from error

    def _run(self, job: Job) -> None:
        try:
            self._executor.run(job)
        finally:
            self._discard(job)

    def _discard(self, job: Job) -> None:
        with self._lock:
            self._jobs.pop(job.ref, None)
            self._cancelled.discard(job.ref)
            self._tasks.pop(job.ref, None)

    # Async jobs

    def _ensure_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._loop.set_default_executor(DaemonExecutor("htmx-live-job-aside", _ASYNCIO_THREADS))
                threading.Thread(target=self._loop.run_forever, name="htmx-live-jobs-loop", daemon=True).start()
            return self._loop

    async def _arun(self, job: Job) -> None:
        task = asyncio.ensure_future(self._execute_on_loop(job))
        with self._lock:
            self._tasks[job.ref] = task
            if job.ref in self._cancelled:
                task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            pass  # cancelled before its first step; perform handles every later moment itself
        except BaseException:  # a job boundary: the loop outlives whatever its job raises
            logger.exception("Job %s of instance %s ended with an error that was not handled", job.ref, job.instance)
        finally:
            self._discard(job)

    async def _execute_on_loop(self, job: Job) -> None:
        # A context of its own gives the job's sync_to_async calls a thread of their own, with its own connections.
        # A daemon thread: the exit of the process would wait for one that asgiref makes, as long as the job takes.
        async with ThreadSensitiveContext() as context:
            SyncToAsync.context_to_thread_executor[context] = DaemonExecutor("htmx-live-job-async", 1)
            try:
                await self._executor.arun(job)
            finally:
                await asyncio.shield(sync_to_async(connections.close_all)())
