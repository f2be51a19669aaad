"""Sessions that a Celery task of the project's works on: what Celery knows of it, its pages know."""

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from celery import current_app
from celery.result import AsyncResult

from htmx_live.core.signing import random_id
from htmx_live.progress import ProgressSession
from tests.jobs.celery.chores import rebuild
from tests.jobs.celery.cluster import Worker, wait_for
from tests.jobs.celery.conftest import Bell, use


def begin(bell: Bell, ending: str, worker: Worker) -> tuple[ProgressSession, AsyncResult]:
    session = ProgressSession.create({"rebuild": "Rebuild"})
    sent = rebuild.apply_async([session.session_id, bell.path, ending], queue=worker.queue, ignore_result=True)
    return session, sent


def status(session: ProgressSession) -> str:
    return str(session.to_dict()["tasks"]["rebuild"]["status"])


@pytest.mark.parametrize(("ending", "end"), [("return", "complete"), ("fail", "error"), ("retry", "complete")])
def test_a_task_of_the_project_works_on_a_session(worker: Worker, bell: Bell, ending: str, end: str) -> None:
    session, _ = begin(bell, ending, worker)
    bell.wait()
    assert (status(session), session.overall_percent) == ("running", 25)
    bell.go()
    assert wait_for(lambda: session.status not in ("running", "pending") and status(session)) == end
    assert len(bell.begun) == (2 if ending == "retry" else 1)


def test_a_revoked_task_is_cancelled(site: None, pools: Callable[[str], Worker], settings: Any, bell: Bell) -> None:
    session, sent = begin(bell, "return", use(pools("prefork"), settings))
    bell.wait()
    current_app.control.revoke(sent.id, terminate=True, signal="SIGKILL")
    assert wait_for(lambda: status(session) == "cancelled", within=8)


def test_one_that_is_revoked_before_it_begins_is_cancelled(worker: Worker, bell: Bell) -> None:
    session, job = ProgressSession.create({"rebuild": "Rebuild"}), random_id()
    session.queued("rebuild", job)
    assert status(session) == "queued"
    assert current_app.control.broadcast("revoke", arguments={"task_id": job}, reply=True, timeout=5, limit=1)
    arguments = [session.session_id, bell.path, "return"]
    rebuild.apply_async(arguments, queue=worker.queue, ignore_result=True, task_id=job)
    assert wait_for(lambda: status(session) == "cancelled")
    assert bell.begun == []


def test_one_whose_process_is_killed_is_lost_at_once(
    site: None, pools: Callable[[str], Worker], settings: Any, bell: Bell
) -> None:
    session, _ = begin(bell, "return", use(pools("prefork"), settings))
    os.kill(bell.wait(), signal.SIGKILL)
    assert wait_for(lambda: status(session) == "lost", within=8)
