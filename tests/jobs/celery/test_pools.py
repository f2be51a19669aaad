"""Jobs on Celery's pools: what each can do, with a real worker and a real Redis."""

import time

import pytest
from celery import current_app

from htmx_live.jobs.runner import Job
from htmx_live.jobs.runners.celery import TASK_NAME
from tests.jobs.celery.chores import refresh_metrics
from tests.jobs.celery.cluster import Page, Worker, send_message, wait_for
from tests.jobs.celery.conftest import Bell
from tests.jobs.celery.views import Desk, Metrics


@pytest.mark.parametrize("job", ["work", "work_async"])
def test_a_job_runs_in_the_worker_and_ends_on_the_page(worker: Worker, bell: Bell, job: str) -> None:
    page = Page(Desk)
    page.send("start", job=job, path=bell.path)
    bell.wait()
    bell.go()
    assert (page.settle(), len(bell.begun)) == (["job: 42"], 1)


def test_steps_are_shown_while_the_work_goes_on(worker: Worker, bell: Bell) -> None:
    page = Page(Desk)
    page.send("start", job="stepwise", path=bell.path)
    assert wait_for(lambda: page.state["step"]) == 1
    bell.go()
    assert (page.settle(), page.state["step"]) == (["job: None"], 2)


def test_an_async_job_is_cancelled_at_its_next_await(worker: Worker, bell: Bell) -> None:
    page = Page(Desk)
    for count in (1, 2, 3):  # more than the worker has processes
        page.send("start", job="hang_async", path=bell.path)
        bell.wait(count)
        page.send("stop")
    bell.go()
    page.send("start", job="work", path=bell.path)
    assert page.settle() == ["job: 42"]


def test_a_sync_job_that_is_cancelled_ends_at_its_next_call(worker: Worker, bell: Bell) -> None:
    page = Page(Desk)
    page.send("start", job="call_late", path=bell.path)
    bell.wait()
    page.send("stop")
    assert (page.rows, bell.raised) == ((), "")  # the page goes on at once, and nothing interrupts the code
    page.send("start", job="flash")
    bell.go()
    assert (page.settle(), wait_for(lambda: bell.raised)) == (["job: 42"], "Cancelled")


def test_a_job_sees_that_it_is_cancelled(worker: Worker, bell: Bell) -> None:
    page = Page(Desk)
    page.send("start", job="listen", path=bell.path)
    bell.wait()
    page.send("stop")
    assert (page.rows, page.ended) == ((), [])
    assert wait_for(lambda: bell.told)


def test_an_async_job_is_cancelled_at_its_time_limit(limited: Worker, bell: Bell) -> None:
    page = Page(Desk)
    page.send("start", job="hang_async", path=bell.path)
    wait_for(lambda: page.stages == ["late"])
    assert page.settle() == ["job: timeout"]
    bell.go()
    page.send("start", job="work", path=bell.path)  # the process is free
    assert page.settle() == ["job: timeout", "job: 42"]


def test_a_sync_job_ends_for_the_page_at_its_time_limit_and_by_itself_at_its_next_call(
    limited: Worker, bell: Bell
) -> None:
    page = Page(Desk)
    page.send("start", job="call_late", path=bell.path)
    assert (page.settle(), bell.raised) == (["job: timeout"], "")
    bell.go()
    assert wait_for(lambda: bell.raised) == "JobTimeout"
    page.send("start", job="flash")
    assert page.settle() == ["job: timeout", "job: 42"]


def test_cancel_against_finish_gives_each_job_one_end(worker: Worker, bell: Bell) -> None:
    page = Page(Desk)
    for number in range(20):
        page.send("start", job="flash", name=f"job{number}")
        time.sleep(number / 2000)  # each cancel meets its job at another point
        page.send("stop", name=f"job{number}")
    ended = page.settle()
    assert len(ended) == len(set(ended)) and all(end.endswith(": 42") for end in ended)
    bell.go()
    page.send("start", job="work", path=bell.path, name="next")
    assert page.settle() == [*ended, "next: 42"]


def test_a_finished_job_that_is_delivered_again_changes_nothing(worker: Worker, bell: Bell) -> None:
    page = Page(Desk)
    page.send("start", job="work", path=bell.path)
    bell.wait()
    job = Job(ref=page.rows[0].ref, instance=page.instance, callback="method:work", args=[bell.path])
    send_message(job)  # beside itself, as a broker that was restarted may
    bell.go()
    page.settle()
    send_message(job)
    page.send("start", job="flash")  # behind it, in the same queue
    assert (page.settle(), len(bell.begun), page.state["step"]) == (["job: 42", "job: 42"], 1, 1)


def test_forged_messages_are_dropped_and_the_worker_lives(worker: Worker) -> None:
    page = Page(Desk)
    for kwargs in ({"job": "forged"}, {"job": 5}, {"odd": "argument"}, {}):
        current_app.send_task(TASK_NAME, kwargs=kwargs, queue=worker.queue, ignore_result=True)
    send_message(Job(ref="r", instance="nobody", callback="os:abort"))
    for callback in ("method:no_such_method", "no.such.module:function", "views:Desk", ""):
        page.send("start_odd", callback=callback)
    page.send("start", job="flash")
    assert sorted(page.settle()) == ["job: 42", *["odd: error"] * 4]
    assert "cannot be read" in worker.text


def test_a_task_of_the_project_pushes_to_live_views(worker: Worker) -> None:
    page = Page(Metrics)
    refresh_metrics.apply_async([7], queue=worker.queue, ignore_result=True)
    assert wait_for(lambda: page.state["pending_orders"]) == 7
