"""``ThreadRunner``: bounded, on threads of its own, never waiting."""

import threading
from typing import Any

import pytest

from htmx_live.core.concurrency import DaemonPool
from htmx_live.core.exceptions import RunnerUnavailable
from htmx_live.jobs.runners.thread import ThreadRunner
from tests.jobs.runners.test_contract import PATIENCE, Bench


@pytest.fixture
def bench() -> Bench:
    return Bench(ThreadRunner)


def test_jobs_run_side_by_side_up_to_the_number_of_threads(bench: Bench, settings: Any) -> None:
    settings.HTMX_LIVE = {"JOB_THREADS": 3}
    bench.go.clear()
    for number in range(5):
        bench.submit(str(number))
    for _ in range(3):
        assert bench.begun.acquire(timeout=PATIENCE)
    assert not bench.begun.acquire(blocking=False)
    bench.go.set()
    bench.settle(5)
    assert (sorted(bench.done), len(bench.threads)) == (["0", "1", "2", "3", "4"], 3)


def test_jobs_run_on_daemon_threads(bench: Bench) -> None:
    bench.submit("sync")
    bench.submit("async", is_async=True)
    bench.settle(2)
    assert [thread.daemon for thread in bench.threads] == [True, True]
    assert threading.current_thread() not in bench.threads


def test_a_hundred_async_jobs_share_one_loop(bench: Bench) -> None:
    bench.go.clear()
    for number in range(100):
        bench.submit(str(number), is_async=True)
    for _ in range(100):
        assert bench.begun.acquire(timeout=PATIENCE)
    bench.go.set()
    bench.settle(100)
    assert (len(bench.done), len(bench.threads)) == (100, 1)


def test_a_cancelled_async_job_is_interrupted(bench: Bench) -> None:
    bench.go.clear()
    bench.submit("one", is_async=True)
    assert bench.begun.acquire(timeout=PATIENCE)
    bench.runner.cancel("one")
    bench.settle()
    assert bench.done == ["one cancelled"]


def test_beyond_the_queues_limit_a_job_is_refused_at_once(bench: Bench, settings: Any) -> None:
    settings.HTMX_LIVE = {"MAX_QUEUED_JOBS": 2, "JOB_THREADS": 1}
    bench.go.clear()
    bench.submit("one")
    bench.submit("two")
    with pytest.raises(RunnerUnavailable, match="2 jobs are waiting or running here"):
        bench.submit("three")
    bench.go.set()
    bench.settle(2)


def test_a_runner_that_is_shut_down_takes_no_job(bench: Bench) -> None:
    bench.runner.shutdown()
    with pytest.raises(RunnerUnavailable, match="shutting down"):
        bench.submit("one")


def test_a_job_that_fails_to_fail_takes_no_thread_with_it(
    bench: Bench, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.HTMX_LIVE = {"JOB_THREADS": 1}
    for ref in ("bad", "good"):
        bench.submit(ref)
    bench.settle(2)
    assert bench.done == ["good"]
    assert "a job that fails to fail" in caplog.text


def test_a_job_without_a_thread_is_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(RunnerUnavailable, match="can't start new thread"):
            bench.submit("one")
    bench.submit("two")
    bench.settle()
    assert bench.done == ["two"]


def test_a_pool_outlives_what_goes_wrong_after_a_call(caplog: pytest.LogCaptureFixture) -> None:
    done = threading.Event()
    faults = iter([RuntimeError("the connection broke"), None])

    def after() -> None:
        if fault := next(faults, None):
            raise fault

    pool = DaemonPool("test", lambda: 1, after_each_call=after)
    pool.submit(lambda: None)
    pool.submit(done.set)
    assert done.wait(PATIENCE)
    assert "the connection broke" in caplog.text
