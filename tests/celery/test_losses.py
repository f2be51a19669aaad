"""Workers that die, and workers that are not there: nobody waits in vain, and nothing is done twice.

Leases are short here; tests/faults/test_demo_cluster.py looks on at a real one.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from redis import Redis

from htmx_live.runtime.parts import parts
from htmx_live.runtime.watch import INTERVAL
from tests.redis_server import RedisServer

from .cluster import ROOT, Page, Worker, wait_for, worker_environment
from .conftest import LEASE, Bell, broker_of, use
from .views import Desk

pytestmark = pytest.mark.faults

SOON = LEASE + 2 * INTERVAL + 1  # seconds in which a loss must be seen


def kill_each_time(bell: Bell, page: Page, times: int) -> None:
    for count in range(1, times + 1):
        with suppress(ProcessLookupError):  # has been killed already
            os.kill(bell.wait(count), signal.SIGKILL)


def test_a_job_whose_process_is_killed_is_lost(
    site: None, pools: Callable[[str], Worker], settings: Any, bell: Bell
) -> None:
    use(pools("prefork"), settings)
    page = Page(Desk)
    page.send("start", job="hang", path=bell.path)
    kill_each_time(bell, page, 1)
    wait_for(lambda: page.ended == ["job: lost"], within=SOON)
    assert (page.rows, len(bell.begun), [row.name for row in page.record.lost]) == ((), 1, ["job"])


def test_with_two_retries_a_job_is_begun_three_times_at_most(
    site: None, pools: Callable[[str], Worker], settings: Any, bell: Bell
) -> None:
    use(pools("prefork"), settings)
    page = Page(Desk)
    page.send("start", job="hang", path=bell.path, retries=2)
    kill_each_time(bell, page, 3)
    assert (page.settle(), len(bell.begun)) == (["job: lost"], 3)


def test_a_retry_that_goes_well_is_a_job_that_is_done(
    site: None, pools: Callable[[str], Worker], settings: Any, bell: Bell
) -> None:
    use(pools("prefork"), settings)
    page = Page(Desk)
    page.send("start", job="work", path=bell.path, retries=2)
    kill_each_time(bell, page, 1)
    bell.wait(2)
    bell.go()
    assert (page.settle(), len(bell.begun)) == (["job: 42"], 2)


def test_a_job_of_a_killed_worker_is_lost(site: None, hire: Any, bell: Bell) -> None:
    worker = hire("threads")
    page = Page(Desk)
    page.send("start", job="work", path=bell.path)
    bell.wait()
    worker.kill()
    wait_for(lambda: page.ended == ["job: lost"], within=SOON)


def test_a_job_of_a_killed_worker_is_resumed_by_another(site: None, hire: Any, bell: Bell) -> None:
    worker = hire("solo")
    page = Page(Desk)
    page.send("start", job="work", path=bell.path, retries=1)
    bell.wait()
    worker.kill()
    wait_for(lambda: page.stages == ["retrying"], within=SOON)
    hire("threads")
    bell.wait(2)
    bell.go()
    assert (page.settle(), len(bell.begun)) == (["job: 42"], 2)


def test_a_job_that_a_killed_worker_had_fetched_is_begun_by_another(site: None, hire: Any, bell: Bell) -> None:
    worker = hire("prefork", WORKER_WAIT=1.0)
    page = Page(Desk)
    for name in ("one", "two"):  # its two processes
        page.send("start", job="hang", path=bell.path, name=name)
    bell.wait(2)
    page.send("start", job="flash", name="three")
    with Redis.from_url(worker.broker) as broker:
        wait_for(lambda: not broker.llen(worker.queue))
    worker.kill()
    hire("threads")
    wait_for(lambda: sorted(page.ended) == ["one: lost", "three: 42", "two: lost"])


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_worker_that_is_asked_to_end_finishes_its_job(site: None, hire: Any, bell: Bell, pool: str) -> None:
    worker = hire(pool)
    page = Page(Desk)
    page.send("start", job="work", path=bell.path)
    bell.wait()
    worker.stop()
    wait_for(lambda: "Warm shutdown" in worker.text)
    bell.go()
    assert page.settle() == ["job: 42"]


def test_without_a_worker_a_job_waits_for_one_and_says_so(site: None, hire: Any, settings: Any, bell: Bell) -> None:
    settings.HTMX_LIVE = {**settings.HTMX_LIVE, "WORKER_WAIT": 0.5}
    page = Page(Desk)
    page.send("start", job="work", path=bell.path)
    wait_for(lambda: page.stages == ["waiting"], within=0.5 + 2 * INTERVAL)
    hire("threads")
    bell.wait()
    wait_for(lambda: page.stages == [""])
    bell.go()
    assert page.settle() == ["job: 42"]


def test_a_job_that_was_lost_and_comes_back_may_finish(site: None, hire: Any, bell: Bell) -> None:
    worker = hire("solo")
    page = Page(Desk)
    page.send("start", job="work", path=bell.path)
    bell.wait()
    worker.process.send_signal(signal.SIGSTOP)
    wait_for(lambda: page.ended == ["job: lost"], within=SOON)
    worker.process.send_signal(signal.SIGCONT)
    bell.go()
    wait_for(lambda: page.ended == ["job: lost", "job: 42"])
    assert (page.rows, page.record.lost) == ((), ())


def test_a_job_that_was_lost_and_started_anew_does_not_come_back(site: None, hire: Any, bell: Bell) -> None:
    worker = hire("solo")
    page = Page(Desk)
    page.send("start", job="work", path=bell.path)
    bell.wait()
    worker.process.send_signal(signal.SIGSTOP)
    wait_for(lambda: page.ended == ["job: lost"], within=SOON)
    page.send("start", job="flash")
    worker.process.send_signal(signal.SIGCONT)
    bell.go()
    wait_for(lambda: page.ended == ["job: lost", "job: 42"])  # the new one's, behind the old in the same process
    assert (page.rows, page.state["step"], page.record.lost) == ((), 1, ())


@pytest.mark.parametrize("retries", [0, 1])
def test_a_job_on_a_thread_of_a_killed_web_process_is_lost_or_done_by_another(
    site: None, redis_server: RedisServer, pools: Callable[[str], Worker], settings: Any, bell: Bell, retries: int
) -> None:
    use(pools("prefork"), settings)
    parts().watcher.start()
    live = {**settings.HTMX_LIVE, "RUNNER": "thread"}
    command = [sys.executable, "-m", "tests.celery.lone_server", "hang", bell.path, str(retries)]
    environment = worker_environment(live, broker_of(redis_server))
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        page = Page(Desk, instance=server.stdout.readline().strip())
        bell.wait()
        server.kill()
    kill_each_time(bell, page, retries + 1) if retries else None
    wait_for(lambda: page.ended == ["job: lost"])
    assert len(bell.begun) == retries + 1
