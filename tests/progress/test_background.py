"""Starts of tasks: a message that is lost is sent again, one that comes twice begins its task once."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from htmx_live.backends.redis.store import RedisStore
from htmx_live.core.records import Owner
from htmx_live.jobs.runners.immediate import ImmediateRunner
from htmx_live.jobs.watchdog import DeadlineMonitor
from htmx_live.progress import ProgressSession, ProgressStatus, current_task
from htmx_live.progress.memory_store import MemoryProgressStore
from htmx_live.progress.reporter import reset_reporters
from htmx_live.progress.store import override_progress_store, progress_store, update_task
from htmx_live.progress.transitions import mark_started
from htmx_live.runtime.services import override_services, services
from htmx_live.testing.environment import LiveEnvironment
from tests.redis_server import RedisServer

PATIENCE = 60.0
runs: list[str] = []


@pytest.fixture(autouse=True)
def forget_runs() -> None:
    runs.clear()


def work(word: str) -> None:
    runs.append(word)


def create(key: str = "") -> ProgressSession:
    return ProgressSession.create({"a": "Import"}, owner=Owner(user="7"), key=key)


def pass_time(staged: LiveEnvironment, seconds: float) -> None:
    """Time in which the processes of the site check what is overdue."""
    for _ in range(int(seconds)):
        staged.clock.advance(1)
        DeadlineMonitor(lambda: services().store, clock=staged.clock).poll()


def lose_messages(staged: LiveEnvironment) -> None:
    staged.runner.waiting.clear()


def status(session: ProgressSession) -> ProgressStatus:
    return session.load_snapshot().states["a"].status


@pytest.mark.parametrize("key", ["", "import"])
def test_a_task_whose_message_is_lost_is_submitted_again(staged: LiveEnvironment, key: str) -> None:
    session = create(key)
    session.run("a", work, "one")
    for seconds in (9, 9):  # the second copy is lost as well
        lose_messages(staged)
        pass_time(staged, seconds)
    assert len(staged.runner.waiting) == 1
    staged.runner.run_all()
    assert (runs, status(session)) == (["one"], ProgressStatus.COMPLETE)


def test_copies_of_one_start_begin_it_once(staged: LiveEnvironment) -> None:
    session = create()
    session.run("a", work, "one")
    pass_time(staged, 40)
    assert len(staged.runner.waiting) == 4  # after 0, 8, 16 and 32 seconds
    staged.runner.run_all()
    pass_time(staged, 40)
    assert (runs, staged.runner.waiting, services().store.pop_due()) == (["one"], [], [])


@pytest.mark.parametrize("key", ["", "import"])
def test_a_task_that_no_worker_begins_is_lost_at_the_time_limit(
    staged: LiveEnvironment, settings: Any, key: str
) -> None:
    settings.HTMX_LIVE = {"JOB_TIME_LIMIT": 60}
    session = create(key)
    session.run("a", work, "one")
    pass_time(staged, 61)
    left = list(staged.runner.waiting)
    assert (status(session), services().store.pop_due()) == (ProgressStatus.LOST, [])
    again = create(key)
    again.run("a", work, "two")
    for job in left:  # the worker comes after all
        staged.runner.run(job)
    staged.runner.run(staged.runner.waiting[-1])
    assert (again.is_joined, runs) == (False, ["two"] if key else ["one", "two"])


def test_a_task_of_celery_that_no_worker_begins_is_lost_at_the_time_limit(
    staged: LiveEnvironment, settings: Any
) -> None:
    settings.HTMX_LIVE = {"JOB_TIME_LIMIT": 60}
    session = create()
    session.queued("a", "celery-1")
    pass_time(staged, 61)
    assert status(session) == ProgressStatus.LOST


def test_a_cancellation_reaches_the_runner(staged: LiveEnvironment) -> None:
    session = create()
    session.run("a", work, "one")
    session.cancel("a")
    [job] = staged.runner.waiting
    assert staged.runner.is_cancelled(job.ref)


def test_work_with_a_key_that_waits_for_long_is_submitted_again_by_the_next_start(staged: LiveEnvironment) -> None:
    """Its process has died between the commit and the runner: no deadline says that it was submitted."""
    first = create("import")
    first.run("a", work, "one")
    lose_messages(staged)
    services().store.clear_deadline(f"progress:{first.session_id}:a:{first.load_snapshot().states['a'].ref}")
    staged.clock.advance(9)
    second = create("import")
    second.run("a", work, "two")
    staged.runner.run_all()
    assert (second.is_joined, runs) == (True, ["one"])


@pytest.mark.django_db(transaction=True)
def test_a_task_whose_transaction_is_rolled_back_is_never_submitted(staged: LiveEnvironment, settings: Any) -> None:
    settings.HTMX_LIVE = {"JOB_TIME_LIMIT": 60}
    session = create()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        session.run("a", work, "one")
        raise ZeroDivisionError
    pass_time(staged, 61)
    assert (staged.runner.waiting, status(session)) == ([], ProgressStatus.LOST)


def test_a_task_that_was_begun_and_lost_is_not_begun_by_a_late_copy(staged: LiveEnvironment) -> None:
    session = create()
    session.run("a", work, "one")
    [job] = staged.runner.waiting
    update_task(session.session_id, "a", mark_started)  # by a process that dies then
    pass_time(staged, 14)
    staged.runner.run(job)
    assert (runs, status(session)) == ([], ProgressStatus.LOST)


class Hesitant(MemoryProgressStore):
    """The thread "late" waits between reading a row and changing it."""

    def __init__(self, clock: Any) -> None:
        super().__init__(clock=clock)
        self.has_read, self.may_go_on = threading.Event(), threading.Event()

    def load_task(self, session: str, task: str) -> Any:
        found = super().load_task(session, task)
        if threading.current_thread().name == "late":
            self.has_read.set()
            assert self.may_go_on.wait(PATIENCE)
        return found


def test_two_workers_that_read_the_same_row_begin_it_once(staged: LiveEnvironment) -> None:
    with override_progress_store(Hesitant(staged.clock)) as place:
        assert isinstance(place, Hesitant)
        session = create()
        session.run("a", release_late, "one")
        [job] = staged.runner.waiting
        late = threading.Thread(target=staged.runner.run, args=[job], name="late")
        late.start()
        assert place.has_read.wait(PATIENCE)
        staged.runner.run(job)
        late.join(PATIENCE)
    assert runs == ["one"]


def release_late(word: str) -> None:
    """Runs while the other copy goes on, and ends after it."""
    runs.append(word)
    place = progress_store()
    assert isinstance(place, Hesitant) and current_task() is not None
    place.may_go_on.set()
    for thread in threading.enumerate():
        if thread.name == "late" and thread is not threading.current_thread():
            thread.join(PATIENCE)


@pytest.mark.faults
@pytest.mark.parametrize("step", ["RedisProgressStore.compare_and_set", "RedisStore.clear_deadline"])
def test_a_process_that_dies_while_it_begins_a_task_is_missed(
    redis_server: RedisServer, settings: Any, step: str
) -> None:
    settings.HTMX_LIVE = {"REDIS_URL": redis_server.url, "REDIS_PREFIX": "processes:"}
    reset_reporters()
    session = create()
    with override_services(store=RedisStore(), runner=ImmediateRunner):  # the other process performs it
        session.run("a", work, "one")
        row = session.load_snapshot().states["a"]
        command = [sys.executable, "-m", "tests.progress.dying", redis_server.url, session.session_id, row.ref, step]
        dead = subprocess.run(command, cwd=Path(__file__).parents[2], check=False, timeout=PATIENCE)
        assert dead.returncode == -signal.SIGKILL
        give_up = time.monotonic() + PATIENCE
        while status(session) is not ProgressStatus.LOST:
            assert time.monotonic() < give_up, status(session)
            DeadlineMonitor(lambda: services().store).poll()
            time.sleep(0.1)
    reset_reporters()
    assert runs == []
