"""Workers that die, and workers that are not there: nobody waits in vain, and nothing is done twice.

Leases are short here; tests/faults/test_demo_cluster.py looks on at a real one.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from htmx_live.jobs.runner import Job
from htmx_live.jobs.watchdog import MONITOR_INTERVAL
from htmx_live.runtime.job_leases import job_deadline_name
from htmx_live.runtime.services import services
from tests.jobs.celery.cluster import PATIENCE, ROOT, Page, Worker, send_message, wait_for, worker_environment
from tests.jobs.celery.conftest import LEASE, Bell, broker_of, use
from tests.jobs.celery.views import Desk
from tests.redis_server import RedisServer

pytestmark = pytest.mark.faults

SOON = LEASE + 2 * MONITOR_INTERVAL + 1  # seconds in which a loss must be seen


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
    assert wait_for(lambda: page.ended == ["job: lost"], within=SOON)
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
    assert wait_for(lambda: page.ended == ["job: lost"], within=SOON)


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
    assert wait_for(lambda: sorted(page.ended) == ["one: lost", "three: 42", "two: lost"])


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
    wait_for(lambda: page.stages == ["waiting"], within=0.5 + 2 * MONITOR_INTERVAL)
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
    assert wait_for(lambda: page.ended == ["job: lost"], within=SOON)
    worker.process.send_signal(signal.SIGCONT)
    bell.go()
    assert wait_for(lambda: page.ended == ["job: lost", "job: 42"])
    assert (page.rows, page.record.lost) == ((), ())


def test_a_job_that_was_lost_and_started_anew_does_not_come_back(site: None, hire: Any, bell: Bell) -> None:
    worker = hire("solo")
    page = Page(Desk)
    page.send("start", job="work", path=bell.path)
    bell.wait()
    worker.process.send_signal(signal.SIGSTOP)
    assert wait_for(lambda: page.ended == ["job: lost"], within=SOON)
    page.send("start", job="flash")
    worker.process.send_signal(signal.SIGCONT)
    bell.go()
    assert wait_for(lambda: page.ended == ["job: lost", "job: 42"])  # the new one's, behind the old in the same process
    assert (page.rows, page.state["step"], page.record.lost) == ((), 1, ())


@pytest.fixture
def hesitant(hire: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Worker]:
    """Start a worker that stops before a job's n-th call for a claim; the file "claim.on" lets it go on."""

    def start(number: int) -> Worker:
        monkeypatch.setenv("TEST_HESITATE", str(tmp_path / "claim"))
        monkeypatch.setenv("TEST_HESITATE_AT", str(number))
        worker: Worker = hire("solo", STORE="tests.jobs.celery.stores.HesitantStore", WORKER_WAIT=60.0)
        return worker

    return start


@pytest.mark.parametrize("retries", [0, 1])
def test_two_workers_that_both_have_a_jobs_message_do_it_once(
    site: None, hesitant: Callable[[int], Worker], hire: Any, bell: Bell, tmp_path: Path, retries: int
) -> None:
    slow, page = hesitant(1), Page(Desk)
    page.send("start", job="work", path=bell.path, retries=retries)
    ref, copy = page.rows[0].ref, message_of(page, bell, retries)
    wait_for((tmp_path / "claim").exists)
    hire("solo", STORE="")
    deliver_until_begun(copy, bell)
    bell.go()
    assert page.settle() == ["job: 42"]
    (tmp_path / "claim.on").touch()
    end(slow)
    assert (len(bell.begun), page.ended, services().store.clear_deadline(job_deadline_name(ref))) == (
        1,
        ["job: 42"],
        False,
    )


def test_a_worker_that_freezes_while_it_claims_a_job_leaves_it_to_another(
    site: None, hesitant: Callable[[int], Worker], hire: Any, bell: Bell, tmp_path: Path
) -> None:
    slow, page = hesitant(2), Page(Desk)
    page.send("start", job="work", path=bell.path)
    copy = message_of(page, bell, 0)
    wait_for((tmp_path / "claim").exists)
    hire("solo", STORE="")
    deliver_until_begun(copy, bell)
    bell.go()
    wait_for(lambda: "job: 42" in page.ended)
    (tmp_path / "claim.on").touch()
    end(slow)
    assert (len(bell.begun), page.rows) == (1, ())


def test_a_copy_of_a_job_that_is_retried_is_not_begun(
    site: None, hesitant: Callable[[int], Worker], hire: Any, bell: Bell, tmp_path: Path
) -> None:
    slow, page = hesitant(1), Page(Desk)
    page.send("start", job="work", path=bell.path, retries=1)
    wait_for((tmp_path / "claim").exists)
    first = hire("solo", STORE="")
    deliver_until_begun(message_of(page, bell, 1), bell)
    first.kill()
    wait_for(lambda: page.stages == ["retrying"], within=SOON)
    hire("solo")
    bell.wait(2)
    (tmp_path / "claim.on").touch()
    end(slow)
    bell.go()
    assert (page.settle(), len(bell.begun)) == (["job: 42"], 2)


def deliver_until_begun(copy: Job, bell: Bell) -> None:
    """One copy does while no process has claimed the job; a claim in the middle ends after ``JOB_LEASE``."""

    def is_begun() -> bool:
        send_message(copy)
        return bool(bell.begun)

    wait_for(is_begun)


def message_of(page: Page, bell: Bell, retries: int) -> Job:
    ref = page.rows[0].ref
    return Job(ref=ref, instance=page.instance, callback="method:work", args=[bell.path], retries=retries)


def end(worker: Worker) -> None:
    """Let it finish what it has."""
    assert worker.process is not None
    worker.stop()
    worker.process.wait(PATIENCE)


@pytest.mark.parametrize("retries", [0, 1])
def test_a_job_on_a_thread_of_a_killed_web_process_is_lost_or_done_by_another(
    site: None, redis_server: RedisServer, pools: Callable[[str], Worker], settings: Any, bell: Bell, retries: int
) -> None:
    use(pools("prefork"), settings)
    services().deadline_monitor.start()
    live = {**settings.HTMX_LIVE, "RUNNER": "thread"}
    command = [sys.executable, "-m", "tests.jobs.celery.lone_server", "hang", bell.path, str(retries)]
    environment = worker_environment(live, broker_of(redis_server))
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        page = Page(Desk, instance=server.stdout.readline().strip())
        bell.wait()
        server.kill()
    kill_each_time(bell, page, retries + 1) if retries else None
    assert wait_for(lambda: page.ended == ["job: lost"])
    assert len(bell.begun) == retries + 1
