"""``TasksRunner``: jobs as Django's tasks, where Django has them."""

from collections.abc import Callable
from typing import Any

import pytest
from django.tasks import default_task_backend

from htmx_live.core.exceptions import RunnerUnavailable
from htmx_live.jobs.runner import Job
from htmx_live.jobs.runners.django_tasks import TasksRunner, perform_job
from htmx_live.runtime.job_control import executor
from htmx_live.runtime.services import override_services, services
from htmx_live.testing import LiveClient
from tests.working_views import Work


@pytest.fixture(autouse=True)
def without_database(settings: Any) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    settings.TASKS = {"default": {"BACKEND": "django.tasks.backends.dummy.DummyBackend"}}


def waiting() -> list[Any]:
    results: list[Any] = default_task_backend.results  # type: ignore[attr-defined]
    return results


def test_a_job_is_enqueued_as_text_and_performed_from_it(live: Callable[..., LiveClient]) -> None:
    page = live(Work)
    with override_services(runner=TasksRunner):
        page.send("start", {"job": "set_b", "name": "job"})
        [result] = waiting()
        assert (page.pending, result.task) == ([("start", "job")], perform_job)
        perform_job.call(*result.args, **result.kwargs)
    assert (page.state["b"], page.state["ended"], page.pending) == (1, ["job: 42"], [])


def test_an_async_callback_runs_too(live: Callable[..., LiveClient]) -> None:
    page = live(Work)
    with override_services(runner=TasksRunner):
        page.send("start", {"job": "set_both", "name": "job"})
        perform_job.call(*waiting()[0].args)
    assert page.state["ended"] == ["job: None"]


def test_a_cancelled_job_is_told_and_does_nothing(live: Callable[..., LiveClient]) -> None:
    page = live(Work)
    with override_services(runner=TasksRunner):
        page.send("start", {"job": "set_a", "name": "job"})
        [row] = services().store.load(page.instance).record.jobs  # type: ignore[union-attr]
        page.send("stop", {"name": "job"})
        assert services().runner.is_cancelled(row.ref)
        perform_job.call(*waiting()[0].args)
    assert (page.state["a"], page.state["ended"]) == (0, [])


def test_what_is_not_signed_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    perform_job.call("forged")
    assert "cannot be read" in caplog.text


def test_a_backend_that_takes_nothing_refuses_the_job(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def enqueue(*args: Any, **kwargs: Any) -> None:
        raise ConnectionError("The queue is away.")

    monkeypatch.setattr("django.tasks.backends.dummy.DummyBackend.enqueue", enqueue)
    runner = TasksRunner(executor)
    with pytest.raises(RunnerUnavailable, match="The queue is away"):
        runner.submit(Job(ref="one", instance="i", callback="method:work"))
    assert runner.shutdown() == {}
