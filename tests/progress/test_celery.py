"""Progress inside of Celery tasks: a block tells Celery and the page the same."""

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, current_app

from htmx_live.jobs.runners.immediate import ImmediateRunner
from htmx_live.progress import ProgressSession, current_task
from htmx_live.runtime.services import services
from htmx_live.testing.environment import LiveEnvironment

app = Celery("progress-tests", set_as_current=False, broker="memory://", backend="cache+memory://")

SEEN: dict[str, str] = {}  # how the last start of a session's task found it


@app.task(bind=True, max_retries=1)
def work(self: Any, session_id: str, ending: str) -> str:
    session = ProgressSession.get(session_id)
    assert session is not None
    SEEN[session_id] = session.to_dict()["tasks"]["a"]["status"]
    with session.task("a") as task:
        task.update(current=1, total=4)
        if ending == "retry" and not self.request.retries:
            raise self.retry(countdown=0, throw=True)
        if ending == "fail":
            raise ValueError("secret")
        if ending == "cancel":
            session.cancel()
            list(task.track(range(3)))
    return "done"


@pytest.fixture(autouse=True)
def apart() -> Iterator[None]:
    before = current_app._get_current_object()
    yield
    before.set_current()


@pytest.mark.parametrize(
    ("ending", "state", "status"),
    [("return", "SUCCESS", "complete"), ("fail", "FAILURE", "error"), ("cancel", "IGNORED", "cancelled")],
)
def test_celery_and_the_page_hear_the_same(staged: LiveEnvironment, ending: str, state: str, status: str) -> None:
    session = ProgressSession.create({"a": "Import"})
    assert work.apply(args=[session.session_id, ending]).state == state
    staged.clock.advance(2)
    assert session.to_dict()["tasks"]["a"]["status"] == status


def test_a_retry_is_seen_and_then_begins_anew(staged: LiveEnvironment) -> None:
    session = ProgressSession.create({"a": "Import"})
    result = work.apply(args=[session.session_id, "retry"])
    assert (result.state, SEEN.pop(session.session_id)) == ("SUCCESS", "retrying")
    staged.clock.advance(2)
    assert session.to_dict()["tasks"]["a"]["status"] == "complete"


@app.task(bind=True, autoretry_for=(ConnectionError,), retry_kwargs={"countdown": 0}, retry_backoff=0, max_retries=1)
def fetch(self: Any, session_id: str, failures: int) -> None:
    session = ProgressSession.get(session_id)
    assert session is not None
    SEEN[session_id] = session.to_dict()["tasks"]["a"]["status"]
    with session.task("a"):
        if self.request.retries < failures:
            raise ConnectionError


@pytest.mark.parametrize(("failures", "status"), [(1, "complete"), (2, "error")])
def test_a_task_that_tries_again_by_itself_is_seen_to(staged: LiveEnvironment, failures: int, status: str) -> None:
    session = ProgressSession.create({"a": "Import"})
    fetch.apply(args=[session.session_id, failures])
    staged.clock.advance(2)
    assert (SEEN.pop(session.session_id), session.to_dict()["tasks"]["a"]["status"]) == ("retrying", status)


def cancelled_in_the_middle(session_id: str, nested: bool) -> None:
    session, task = ProgressSession.get(session_id), current_task()
    assert session is not None and task is not None
    session.cancel()
    list(session.track("a", range(3)) if nested else task.track(range(3)))


@app.task
def perform_jobs() -> None:
    """What Celery runs for the runner."""
    runner = services().runner
    assert isinstance(runner, ImmediateRunner)
    runner.run_all()


@pytest.mark.parametrize("nested", [True, False])
def test_a_job_that_is_cancelled_is_no_failure_in_the_log(
    staged: LiveEnvironment, nested: bool, caplog: pytest.LogCaptureFixture
) -> None:
    session = ProgressSession.create({"a": "Import"})
    session.run("a", cancelled_in_the_middle, session.session_id, nested)
    assert perform_jobs.apply().state == "SUCCESS"
    found = [record.getMessage() for record in caplog.records if record.name == "htmx_live.progress"]
    assert (found, session.to_dict()["status"]) == ([], "cancelled")
