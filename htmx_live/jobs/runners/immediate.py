"""``ImmediateRunner``: jobs wait in a list until somebody says ``run_all``; for tests."""

from asgiref.sync import async_to_sync

from htmx_live.jobs.runner import Executor, Job

__all__ = ["ImmediateRunner"]


class ImmediateRunner:
    """See ``htmx_live.jobs.runner.Runner``.  Jobs run on the thread that calls ``run_all``, in order of submission."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._cancelled: set[str] = set()
        self.waiting: list[Job] = []

    def submit(self, job: Job) -> None:
        self.waiting.append(job)

    def cancel(self, ref: str) -> None:
        self._cancelled.add(ref)

    def is_cancelled(self, ref: str) -> bool:
        return ref in self._cancelled

    def shutdown(self) -> dict[str, Job]:
        left = {job.ref: job for job in self.waiting}
        self.waiting.clear()
        return left

    def run_all(self) -> int:
        """Run what waits, and what that starts, until nothing is left; how many ran."""
        count = 0
        while self.waiting:
            self.run(self.waiting.pop(0))
            count += 1
        return count

    def run(self, job: Job) -> None:
        """Run one job to its end."""
        if job.is_async:
            async_to_sync(self._arun)(job)
        else:
            self._executor.run(job)

    async def _arun(self, job: Job) -> None:
        await self._executor.arun(job)
