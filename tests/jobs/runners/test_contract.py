"""What every runner promises; see ``htmx_live.jobs.runner``."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery, _state, signals
from celery.contrib.testing.worker import start_worker

from htmx_live.jobs.runner import Executor, Job
from htmx_live.jobs.runners.celery import CeleryRunner
from htmx_live.jobs.runners.immediate import ImmediateRunner
from htmx_live.jobs.runners.thread import ThreadRunner

PATIENCE = 30  # seconds until a job that does not come fails the test


class Bench:
    """Performs jobs by recording their refs; ``hold`` makes the next ones wait for ``go``."""

    def __init__(self, kind: Callable[[Executor], Any]) -> None:
        self.left = 0  # jobs that nobody has waited for
        self.done: list[str] = []
        self.threads: set[threading.Thread] = set()
        self.go = threading.Event()
        self.go.set()
        self.begun = threading.Semaphore(0)
        self.ended = threading.Semaphore(0)
        self.perform = Executor(run=self._run, arun=self._arun)
        self.runner = kind(self.perform)

    def submit(self, ref: str, *, is_async: bool = False) -> None:
        self.left += 1
        self.runner.submit(Job(ref=ref, instance="i", callback="method:work", is_async=is_async))

    def settle(self, count: int = 1) -> None:
        """Wait until ``count`` more jobs have ended."""
        if isinstance(self.runner, ImmediateRunner):
            self.runner.run_all()
        for _ in range(count):
            assert self.ended.acquire(timeout=PATIENCE)
        self.left -= count

    def _run(self, job: Job) -> None:
        try:
            self.begun.release()
            self.threads.add(threading.current_thread())
            assert self.go.wait(PATIENCE)
            if job.ref.startswith("bad"):
                raise RuntimeError("a job that fails to fail")
            self.done.append(job.ref)
        finally:
            self.ended.release()

    async def _arun(self, job: Job) -> None:
        try:
            self.begun.release()
            self.threads.add(threading.current_thread())
            while not self.go.is_set():
                await asyncio.sleep(0)
            self.done.append(job.ref)
        except asyncio.CancelledError:
            self.done.append(f"{job.ref} cancelled")
        finally:
            self.ended.release()


@pytest.fixture(params=[ImmediateRunner, ThreadRunner, CeleryRunner])
def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    bench = Bench(request.param)
    if request.param is CeleryRunner:
        app = request.getfixturevalue("app")
        monkeypatch.setattr(_state, "default_app", app)
        monkeypatch.setattr(_state._tls, "current_app", app)
        monkeypatch.setattr("htmx_live.runtime.job_control.executor", bench.perform)
    yield bench
    bench.go.set()
    if request.param is CeleryRunner:  # the next test has the same worker
        bench.settle(bench.left)


@pytest.fixture(scope="module")
def app() -> Iterator[Celery]:
    """A Celery app with a worker of one thread in this process."""
    app = Celery("contract", broker="memory://", set_as_current=False)
    app.conf.broker_transport_options = {"polling_interval": 0.01}
    app.autodiscover_tasks(["htmx_live"], force=True)
    signals.setup_logging.connect(_leave_logging)
    with start_worker(app, pool="threads", concurrency=1, perform_ping_check=False, shutdown_timeout=PATIENCE):
        yield app
    signals.setup_logging.disconnect(_leave_logging)


def _leave_logging(**kwargs: object) -> None:
    """With a receiver, the worker leaves this process's logging alone."""


@pytest.mark.parametrize("is_async", [False, True])
def test_a_job_is_performed_once(bench: Bench, is_async: bool) -> None:
    bench.submit("one", is_async=is_async)
    bench.settle()
    assert bench.done == ["one"]


def test_jobs_of_one_thread_start_in_order(bench: Bench, settings: Any) -> None:
    settings.HTMX_LIVE = {"JOB_THREADS": 1}
    refs = [str(number) for number in range(50)]
    for ref in refs:
        bench.submit(ref)
    bench.settle(50)
    assert bench.done == refs


def test_a_cancelled_job_is_told(bench: Bench) -> None:
    bench.go.clear()
    bench.submit("one")
    bench.runner.cancel("one")
    assert (bench.runner.is_cancelled("one"), bench.runner.is_cancelled("two")) == (True, False)
    bench.go.set()
    bench.settle()


def test_cancelling_what_does_not_run_is_harmless(bench: Bench) -> None:
    bench.runner.cancel("nothing")
    bench.submit("one")
    bench.settle()
    assert bench.done == ["one"]


def test_a_runner_that_is_shut_down_tells_what_will_not_end(bench: Bench) -> None:
    bench.go.clear()
    bench.submit("one")
    left = bench.runner.shutdown()
    ends_elsewhere = isinstance(bench.runner, CeleryRunner)
    assert [(ref, job.ref) for ref, job in left.items()] == ([] if ends_elsewhere else [("one", "one")])
