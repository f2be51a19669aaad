"""An async job and the request that started it share no thread."""

import asyncio
import threading

from asgiref.sync import ThreadSensitiveContext, sync_to_async

from htmx_live.jobs.runner import Executor, Job
from htmx_live.jobs.runners.thread import ThreadRunner

PATIENCE = 10.0


def test_a_request_goes_on_while_the_async_job_that_it_started_blocks_its_own_thread() -> None:
    started, answered, finished = threading.Event(), threading.Event(), threading.Event()
    seen: list[bool] = []

    def work() -> None:
        started.set()
        seen.append(answered.wait(PATIENCE))

    async def perform(job: Job) -> None:
        await sync_to_async(work)()
        finished.set()

    async def request() -> None:
        async with ThreadSensitiveContext():
            job = Job(ref="1", instance="i", callback="method:work", is_async=True)
            await sync_to_async(ThreadRunner(Executor(run=lambda job: None, arun=perform)).submit)(job)
            await asyncio.to_thread(started.wait, PATIENCE)
            await sync_to_async(answered.set)()

    asyncio.run(request())
    assert finished.wait(PATIENCE) and seen == [True]
