"""Notices about how tasks end."""

import pytest

from htmx_live.backends.notice_store import notice_store
from htmx_live.backends.wire import user_channel
from htmx_live.core.conf import settings
from htmx_live.core.exceptions import UserError
from htmx_live.core.records import Owner
from htmx_live.jobs.watchdog import DeadlineMonitor
from htmx_live.progress import ProgressSession, current_task
from htmx_live.progress.model import LOST_AFTER
from htmx_live.progress.reporter import reset_reporters
from htmx_live.progress.worker import check_session
from htmx_live.runtime.services import services
from htmx_live.testing.environment import LiveEnvironment


def do_well() -> None:
    pass


def do_well_with_words() -> None:
    task = current_task()
    assert task is not None
    task.complete("120 rows", result="/imports/3/")


def fail_for_the_user() -> None:
    raise UserError("The file ends early")


def fail() -> None:
    raise ValueError("secret")


def start(func: object, notify: bool | str = True) -> ProgressSession:
    session = ProgressSession.create({"a": "Import"}, owner=Owner(user="7"))
    session.run("a", func, notify=notify)  # type: ignore[arg-type]
    return session


def told() -> list[tuple[str, str, str]]:
    return [(one.level, one.message, one.url) for one in notice_store().unread(user_channel("7"))]


@pytest.mark.parametrize(
    ("func", "expected"),
    [
        (do_well, ("success", "Import: done.", "")),
        (do_well_with_words, ("success", "Import: 120 rows", "/imports/3/")),
        (fail_for_the_user, ("error", "Import: The file ends early", "")),
    ],
)
def test_the_owner_is_told_how_it_ended(staged: LiveEnvironment, func: object, expected: tuple[str, str, str]) -> None:
    start(func)
    assert told() == []
    staged.runner.run_all()
    assert told() == [expected]


def test_of_an_exception_only_the_id_is_told(staged: LiveEnvironment) -> None:
    session = start(fail, "Your import")
    staged.runner.run_all()
    error = session.load_snapshot().states["a"].error
    assert told() == [("error", f"Your import: Something went wrong. (error {error})", "")]


def test_a_task_that_takes_its_time_says_so_until_its_end(staged: LiveEnvironment) -> None:
    start(do_well)
    staged.clock.advance(settings().SLOW_AFTER)
    DeadlineMonitor(lambda: services().store).poll()
    assert told() == [("info", "Import: still going…", "")]
    staged.runner.run_all()
    assert told() == [("success", "Import: done.", "")]


def test_after_its_end_nobody_says_that_it_goes_on(staged: LiveEnvironment) -> None:
    start(do_well)
    staged.runner.run_all()
    staged.clock.advance(settings().SLOW_AFTER)
    DeadlineMonitor(lambda: services().store).poll()
    assert told() == [("success", "Import: done.", "")]


def test_a_lost_task_is_told_of(staged: LiveEnvironment) -> None:
    session = start(do_well)
    session.start("a")
    reset_reporters()  # its process is dead
    staged.clock.advance(LOST_AFTER + 1)
    check_session({"name": "x", "session": session.session_id})
    assert told() == [("error", "Import was interrupted and did not finish", "")]


def test_a_cancelled_task_tells_nothing(staged: LiveEnvironment) -> None:
    start(do_well).cancel()
    staged.runner.run_all()
    assert told() == []


def test_without_notify_nothing_is_told(staged: LiveEnvironment) -> None:
    start(do_well, notify=False)
    staged.runner.run_all()
    assert told() == []


def test_a_session_of_nobody_can_tell_nobody(staged: LiveEnvironment) -> None:
    session = ProgressSession.create({"a": "Import"})
    with pytest.raises(ValueError, match=r"notify='Import'.*owner=request"):
        session.run("a", do_well, notify=True)
