"""Leases of jobs: what is said of a job that nobody begins, that dies, that comes back, that takes too long."""

import asyncio
import json
import logging
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from htmx_live.core.concurrency import DaemonPool
from htmx_live.core.conf import settings as live_settings
from htmx_live.core.exceptions import Cancelled, JobTimeout, StoreUnavailable
from htmx_live.core.scheduler import ThreadTimer
from htmx_live.jobs.runner import Job
from htmx_live.jobs.watchdog import MONITOR_INTERVAL, DeadlineMonitor, register_deadline_handler
from htmx_live.runtime.dispatch import dispatch, process_mailbox
from htmx_live.runtime.inbox_messages import JobLost, JobStageChanged, Push, serialize_message
from htmx_live.runtime.job_leases import JobLease, job_deadline_name, job_lease
from htmx_live.runtime.services import override_services, services
from htmx_live.runtime.state import encode_state
from htmx_live.testing import LiveClient
from tests.working_views import HOOKS, Retried, Work

Live = Callable[..., LiveClient]


@pytest.fixture(autouse=True)
def without_database(settings: Any) -> Iterator[None]:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    HOOKS.clear()
    yield
    HOOKS.clear()


@pytest.fixture
def page(live: Live) -> LiveClient:
    return live(Work)


@pytest.fixture
def watcher(page: LiveClient) -> DeadlineMonitor:
    return DeadlineMonitor(lambda: services().store, clock=services().timer)


def start(page: LiveClient, job: str = "set_a", **values: Any) -> Any:
    """The job that waits."""
    page.send("start", {"job": job, "name": "job", **values})
    return waiting()[-1]


def waiting() -> list[Any]:
    runner: Any = services().runner
    return list(runner.waiting)


def kill(page: LiveClient, watcher: DeadlineMonitor, job: Any) -> None:
    """``job`` has begun in a process that is no more."""
    runner: Any = services().runner
    runner.waiting.remove(job)
    again = {"callback": job.callback, "args": job.args, "kwargs": job.kwargs, "is_async": job.is_async}
    facts = {"again": {**again, "retries": job.retries - 1}} if job.retries else {}
    note = {"kind": "job", "ref": job.ref, "instance": job.instance, "stage": "running", **facts}
    services().store.set_deadline(job_deadline_name(job.ref), json.dumps(note), within=10)
    page.advance(10.1)
    watcher.poll()


def ended(page: LiveClient) -> list[str]:
    told: list[str] = page.state["ended"]
    return [" ".join(line.split()[:2]) for line in told]


def stages(page: LiveClient) -> list[str]:
    loaded = services().store.load(page.instance)
    assert loaded is not None
    return [row.stage for row in loaded.record.jobs]


# Waiting


def test_a_job_that_nobody_begins_waits_for_a_worker_and_says_so_once(
    page: LiveClient, watcher: DeadlineMonitor
) -> None:
    start(page)
    for _ in range(3):
        page.advance(8.1)
        watcher.poll()
    assert (stages(page), page.notices) == (["waiting"], [{"message": "Waiting for a worker…", "level": "info"}])
    assert ' data-live-pending="start:job" data-live-waiting="start:job"' in page.html


def test_a_job_that_is_begun_late_goes_its_way(page: LiveClient, watcher: DeadlineMonitor) -> None:
    seen: list[Any] = []
    start(page)
    page.advance(8.1)
    watcher.poll()
    HOOKS["a"] = lambda: seen.append((stages(page), "waiting" in page.html))
    page.run_jobs()
    assert (seen, ended(page)) == ([([""], False)], ["job: None"])


def test_a_job_that_waits_for_too_long_is_lost(page: LiveClient, watcher: DeadlineMonitor, settings: Any) -> None:
    settings.HTMX_LIVE = {"JOB_TIME_LIMIT": 60}
    start(page)
    for seconds in (8, 16, 32, 3):
        page.advance(seconds)
        watcher.poll()
    assert page.pending == [("start", "job")]
    page.advance(1)
    watcher.poll()
    assert (page.pending, ended(page)) == ([], ["job: lost"])


def test_a_job_whose_message_was_lost_is_submitted_again(page: LiveClient, watcher: DeadlineMonitor) -> None:
    job = start(page)
    services().runner.waiting.clear()  # type: ignore[attr-defined]
    page.advance(8.1)
    watcher.poll()
    assert waiting() == [job]
    page.run_jobs()
    assert ended(page) == ["job: None"]


def test_a_job_that_is_submitted_again_and_again_is_begun_once(page: LiveClient, watcher: DeadlineMonitor) -> None:
    seen: list[str] = []
    HOOKS["a"] = lambda: seen.append("begun")
    start(page)
    for pause in (8, 16, 32):
        page.advance(pause)
        watcher.poll()
    assert len(waiting()) == 4
    page.run_jobs()
    assert (seen, ended(page)) == (["begun"], ["job: None"])


def test_a_job_that_runs_is_not_overdue(page: LiveClient, watcher: DeadlineMonitor) -> None:
    def pass_time() -> None:
        for _ in range(20):
            page.advance(MONITOR_INTERVAL)
            watcher.poll()

    HOOKS["a"] = pass_time
    start(page)
    page.run_jobs()
    assert (ended(page), page.notices) == (["job: None"], [])


def test_a_job_that_has_ended_leaves_nothing_to_watch(page: LiveClient) -> None:
    start(page)
    page.run_jobs()
    page.advance(86_000)
    assert services().store.pop_due() == []


def test_a_template_that_is_slow_keeps_no_lease_from_being_renewed(page: LiveClient, settings: Any) -> None:
    settings.HTMX_LIVE = {"JOB_LEASE": 0.3}
    is_rendered, timely = threading.Event(), []

    def render() -> None:
        """Slow: it ends when the timer has made another call."""
        is_made = threading.Event()
        services().timer.call_at(services().timer(), is_made.set)
        timely.append(is_made.wait(10))
        is_rendered.set()

    def work() -> None:
        dispatch(page.instance, JobStageChanged(ref=job.ref, stage="waiting"))  # noted too late: the job runs
        HOOKS["render"] = render
        assert is_rendered.wait(30)
        HOOKS.pop("render")

    HOOKS["a"] = work
    with override_services(timer=ThreadTimer(), turn_pool=DaemonPool("turns", lambda: 1)):
        job = start(page)
        page.run_jobs()
    assert timely == [True]


# Losses


def test_a_job_whose_lease_ends_is_lost(page: LiveClient, watcher: DeadlineMonitor, caplog: Any) -> None:
    kill(page, watcher, start(page))
    assert (page.pending, ended(page)) == ([], ["job: lost"])
    assert "job of tests.working_views.Work was lost with its process" in caplog.text


def test_a_loss_that_is_told_twice_happens_once(page: LiveClient, watcher: DeadlineMonitor) -> None:
    job = start(page)
    kill(page, watcher, job)
    lose(page, job)
    assert ended(page) == ["job: lost"]


def test_a_job_with_retries_is_started_anew_under_another_ref(live: Live) -> None:
    page = live(Retried)
    watcher = DeadlineMonitor(lambda: services().store, clock=services().timer)
    page.send("go", {})
    [first] = waiting()
    kill(page, watcher, first)
    [second] = waiting()
    assert (stages(page), second.ref != first.ref, second.retries) == (["retrying"], True, 1)
    assert page.notices[0]["message"] == "The work was interrupted and is being done again."
    page.run_jobs()
    assert page.state["told"] == ["work: 1"]


def test_a_job_whose_retries_are_used_up_is_lost(live: Live) -> None:
    page = live(Retried)
    watcher = DeadlineMonitor(lambda: services().store, clock=services().timer)
    page.send("go", {})
    for _ in range(3):
        kill(page, watcher, waiting()[0])
    assert (waiting(), page.pending, page.state["told"]) == ([], [], ["work: lost"])


def test_a_job_that_is_delivered_twice_at_once_runs_once(page: LiveClient) -> None:
    count: list[int] = []
    job = start(page)

    def deliver_again() -> None:
        count.append(1)
        services().runner.run(job)  # type: ignore[attr-defined]

    HOOKS["a"] = deliver_again
    page.run_jobs()
    assert (count, ended(page)) == ([1], ["job: None"])


def test_a_copy_that_comes_while_the_job_runs_does_not_renew_its_deadline(page: LiveClient) -> None:
    job, name = start(page), job_deadline_name(waiting()[-1].ref)

    def deliver_again() -> None:
        services().store.set_deadline(name, "of the one that runs", within=2)
        services().runner.run(job)  # type: ignore[attr-defined]
        page.advance(2.1)
        assert services().store.pop_due() == [(name, "of the one that runs")]

    HOOKS["a"] = deliver_again
    page.run_jobs()
    assert ended(page) == ["job: None"]


def test_a_copy_that_comes_when_the_end_waits_in_the_mailbox_does_nothing(page: LiveClient) -> None:
    count: list[int] = []
    job = start(page)
    HOOKS["a"] = lambda: count.append(1)
    lease = services().store.acquire(page.instance, wait=0)
    assert lease is not None
    page.run_jobs()  # its end cannot be applied yet
    services().runner.run(job)  # type: ignore[attr-defined]
    services().store.release(lease)
    process_mailbox(page.instance)
    assert (count, ended(page)) == ([1], ["job: None"])


def test_a_claim_that_died_before_the_work_can_be_made_again(page: LiveClient, watcher: DeadlineMonitor) -> None:
    """A process dies after it has claimed a job and before it has said so: nothing has begun."""
    job = start(page)
    services().runner.waiting.clear()  # type: ignore[attr-defined]
    assert services().store.acquire_lock(f"begun:{job.ref}", "a process that has died", ttl=live_settings().JOB_LEASE)
    for _ in range(3):
        page.advance(8.1)
        watcher.poll()
    page.run_jobs()
    assert ended(page) == ["job: None"]


# Coming back


def test_a_lost_job_that_comes_back_may_finish(page: LiveClient, watcher: DeadlineMonitor) -> None:
    job = start(page, "set_b")
    HOOKS["b"] = lambda: lose(page, job)
    page.run_jobs()
    assert (ended(page), page.state["b"], page.pending) == (["job: lost", "job: 42"], 1, [])


def test_a_lost_job_that_flushes_runs_again_for_its_page(page: LiveClient) -> None:
    job = start(page, "flush_between")
    seen: list[Any] = []

    def between() -> None:
        if not seen:
            lose(page, job)
            seen.append(page.pending)

    HOOKS["between"] = between
    page.run_jobs()
    assert (seen, page.state["a"], page.state["b"], ended(page)) == ([[]], 2, 1, ["job: lost", "job: None"])


@pytest.mark.parametrize("then", ["start", "stop"])
def test_a_lost_job_whose_like_was_started_or_cancelled_does_not_come_back(page: LiveClient, then: str) -> None:
    job = start(page, "set_b")

    def meanwhile() -> None:
        lose(page, job)
        page.send(*(("start", {"job": "set_a", "name": "job"}) if then == "start" else ("stop", {"name": "job"})))

    HOOKS["b"] = meanwhile
    page.run_jobs()
    assert page.state["b"] == 0
    assert ended(page) == ["job: lost", *(["job: None"] if then == "start" else [])]


def lose(page: LiveClient, job: Any) -> None:
    dispatch(job.instance, JobLost(ref=job.ref))


# Time limits


def test_a_job_that_takes_long_says_so_and_fails_at_its_limit(page: LiveClient, settings: Any, caplog: Any) -> None:
    settings.HTMX_LIVE = {"JOB_TIME_LIMIT": 60}
    seen: list[Any] = []

    def take_long() -> None:
        page.advance(35)
        seen.append((stages(page), page.notices[0]["message"]))
        page.advance(35)
        seen.append((page.pending, ended(page)))

    HOOKS["a"] = take_long
    start(page)
    page.run_jobs()
    assert seen == [(["late"], "This takes longer than usual."), ([], ["job: timeout"])]
    assert (ended(page), page.state["a"]) == (["job: timeout"], 0)
    assert "took longer than 60 s" in caplog.text


def test_an_async_job_is_interrupted_at_its_limit(page: LiveClient, settings: Any) -> None:
    settings.HTMX_LIVE = {"JOB_TIME_LIMIT": 60}
    HOOKS["endless"] = lambda: page.advance(65)
    start(page, "wait_for_ever")
    page.run_jobs(raise_errors=False)
    assert ended(page) == ["job: timeout"]


# The lease itself


@pytest.fixture
def beating(settings: Any) -> None:
    """A beat each second, and a limit of a minute."""
    settings.HTMX_LIVE = {"JOB_LEASE": 3, "JOB_TIME_LIMIT": 60}


def begun(job: Job) -> JobLease:
    lease = JobLease(job)
    assert lease.claim()
    lease.start_heartbeat()
    return lease


@pytest.mark.parametrize("retries", [0, 2])
def test_a_claimed_job_has_a_deadline_that_says_how_to_start_it_anew(
    page: LiveClient, beating: None, retries: int
) -> None:
    job = Job(ref="r", instance="i", callback="method:a", args=[1], kwargs={"b": 2}, is_async=True, retries=retries)
    assert JobLease(job).claim() is True
    page.advance(3.1)
    again = {"callback": "method:a", "args": [1], "kwargs": {"b": 2}, "is_async": True, "retries": 1}
    facts = {"again": again} if retries else {}
    [(name, text)] = services().store.pop_due()
    assert (name, json.loads(text)) == (
        "job:r", {"kind": "job", "ref": "r", "instance": "i", "stage": "running", **facts}
    )  # fmt: skip


def test_a_job_is_claimed_by_one_until_it_ends(page: LiveClient) -> None:
    job, other = (Job(ref=ref, instance="i", callback="method:a") for ref in ("r", "s"))
    with job_lease(job) as lease, job_lease(job) as second, job_lease(other) as third:
        assert (lease is not None, second, third is not None) == (True, None, True)
        assert JobLease(job).claim() is False
    assert JobLease(job).claim() is True


@pytest.mark.parametrize(("is_async", "beats"), [(False, 3), (True, 30)])
def test_a_lease_is_renewed_three_times_and_an_async_job_is_asked_about_each_second(
    page: LiveClient, settings: Any, is_async: bool, beats: int
) -> None:
    settings.HTMX_LIVE = {"JOB_LEASE": 30}
    asked: list[bool] = []
    lease = begun(Job(ref="r", instance="i", callback="method:a", is_async=is_async))
    lease.raise_if_stopped()
    lease.is_wanted = lambda: asked.append(True) or True  # type: ignore[func-returns-value]
    page.advance(30)
    assert len(asked) == beats
    lease.release()
    page.advance(300)
    assert (len(asked), services().store.pop_due()) == (beats, [])


def test_a_job_is_wanted_until_its_page_says_otherwise(page: LiveClient, beating: None) -> None:
    lease = begun(start(page))
    page.advance(5)
    lease.raise_if_stopped()
    lease.is_wanted = lambda: False
    page.advance(1)
    with pytest.raises(Cancelled):
        lease.raise_if_stopped()
    assert services().runner.is_cancelled(waiting()[0].ref)


def test_a_lease_is_renewed_although_a_beat_fails(page: LiveClient, beating: None, caplog: Any) -> None:
    lease = begun(job := start(page))
    lease.is_wanted = lambda: bool(1 / 0)
    page.advance(2)
    lines = [record.getMessage() for record in caplog.records]
    assert (lines, services().store.pop_due()) == ([f"A beat of job {job.ref} failed"] * 2, [])


def test_a_job_is_late_from_half_of_its_limit_and_says_so_once(page: LiveClient, beating: None) -> None:
    begun(start(page))
    page.advance(30)
    assert stages(page) == [""]
    page.advance(1)
    rev = page.rev
    assert stages(page) == ["late"]
    page.advance(10)
    assert (len(page.notices), page.rev) == (1, rev)


def test_a_job_that_cannot_be_cancelled_ends_right_after_its_limit_and_once(
    page: LiveClient, beating: None, caplog: Any
) -> None:
    lease = begun(start(page))
    page.advance(60)
    assert (page.pending, lease.stop_reason) == ([("start", "job")], None)
    page.advance(20)
    [line] = [record.getMessage() for record in caplog.records if "took longer" in record.getMessage()]
    assert re.fullmatch(r"method:set_a took longer than 60 s \(error [0-9a-f]{8}\)", line)
    assert (page.pending, ended(page)) == ([], ["job: timeout"])
    with pytest.raises(JobTimeout):
        lease.raise_if_stopped()


def test_an_async_job_has_time_to_end_by_itself(page: LiveClient, beating: None) -> None:
    seen: list[Any] = []

    def take_long() -> None:
        for seconds in (65, 1):
            page.advance(seconds)
            seen.append(page.pending)

    def take_long_elsewhere() -> None:
        """As the timer's thread does: the callback's own has an event loop."""
        timer = threading.Thread(target=take_long)
        timer.start()
        timer.join()

    HOOKS["endless"] = take_long_elsewhere
    start(page, "wait_for_ever")
    page.run_jobs(raise_errors=False)
    assert (seen, ended(page)) == ([[("start", "job")], []], ["job: timeout"])


def test_a_callback_that_others_cancel_stays_cancelled(page: LiveClient) -> None:
    lease = begun(start(page, "set_both"))

    async def work() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(lease.run_async_callback(work))


def test_a_callback_that_has_returned_is_not_cancelled(page: LiveClient, beating: None, caplog: Any) -> None:
    lease = begun(start(page, "set_both"))

    async def work() -> int:
        return 7

    assert asyncio.run(lease.run_async_callback(work)) == 7
    page.advance(61)
    assert (page.pending, "A beat" in caplog.text) == ([], False)


# Watching


class Failing:
    """A store that is away until told otherwise, and has one overdue note then."""

    def __init__(self) -> None:
        self.is_away = True
        self.asked = 0

    def pop_due(self) -> list[tuple[str, str]]:
        self.asked += 1
        if self.is_away:
            raise StoreUnavailable("It is away.")
        return [("one", '{"kind": "test"}'), ("two", "no JSON"), ("three", '{"kind": "unknown"}')]

    def is_viewed(self, instance: str) -> bool:
        if self.is_away:
            raise StoreUnavailable("It is away.")
        return False


def test_after_an_outage_the_living_have_time_to_say_so(page: LiveClient, caplog: Any) -> None:
    caplog.set_level(logging.ERROR)
    heard: list[Any] = []
    register_deadline_handler("test", heard.append)
    store: Any = Failing()
    watcher = DeadlineMonitor(lambda: store, clock=services().timer)
    watcher.poll()
    store.is_away = False
    page.advance(3)
    watcher.poll()
    assert (store.asked, heard) == (1, [])
    page.advance(3)
    watcher.poll()
    assert (store.asked, heard) == (2, [{"kind": "test"}])


def test_mail_that_was_left_behind_is_looked_after(page: LiveClient, watcher: DeadlineMonitor) -> None:
    services().store.enqueue(page.instance, serialize_message(Push(state=encode_state({"a": 7}))))
    note = json.dumps({"kind": "mail", "instance": page.instance})
    services().store.set_deadline(f"mail:{page.instance}", note, within=1)
    page.advance(2)
    watcher.poll()
    assert page.state["a"] == 7
