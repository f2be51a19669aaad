"""What the database remembers of sessions, from their first step to their end."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from htmx_live.contrib.task_history import recorder as losses
from htmx_live.contrib.task_history import recorder as records
from htmx_live.contrib.task_history import recorder as writing
from htmx_live.contrib.task_history.models import TaskRecord
from htmx_live.contrib.task_history.recorder import get_changing_fields
from htmx_live.core.records import Owner
from htmx_live.progress import ProgressSession, current_task
from htmx_live.progress.reporter import reset_reporters
from htmx_live.testing.environment import LiveEnvironment

pytestmark = pytest.mark.django_db(transaction=True)


def create(user: Any = None, **options: Any) -> ProgressSession:
    return ProgressSession.create({"import": "Import products"}, owner=user, **options)


def only() -> TaskRecord:
    return TaskRecord.objects.get()


def test_no_migration_is_missing() -> None:
    call_command("makemigrations", "htmx_live_tasks", "--check", "--dry-run", verbosity=0)


def test_what_has_not_begun_leaves_no_record(staged: LiveEnvironment, user: Any) -> None:
    create(user)
    staged.clock.advance(5)
    assert TaskRecord.objects.count() == 0
    assert writing.tracked_sessions() == []


def test_a_record_tells_the_whole_story(staged: LiveEnvironment, user: Any) -> None:
    session = create(user, key="import-2026")
    staged.clock.advance(1)
    session.update("import", current=3, total=10, message="Reading")
    staged.clock.advance(1)
    record = only()
    assert (record.owner, record.name, record.key) == (user, "Import products", "import-2026")
    assert (record.status, record.percent, record.message, record.finished) == ("running", 30, "Reading", None)
    session.complete("import", "1,200 rows", result="/imports/3/")
    staged.clock.advance(1)
    record = only()
    assert (record.status, record.percent, record.message) == ("complete", 100, "1,200 rows")
    assert record.result_url == "/imports/3/"
    assert record.started is not None and record.finished is not None
    assert record.finished - record.started == timedelta(seconds=1)
    assert writing.tracked_sessions() == []


def fail() -> None:
    task = current_task()
    assert task is not None
    task.update(current=4, total=10)
    raise ValueError("secret")


def test_a_failure_has_the_id_that_the_log_has(
    staged: LiveEnvironment, user: Any, caplog: pytest.LogCaptureFixture
) -> None:
    session = create(user)
    session.run("import", fail)
    staged.runner.run_all()
    staged.clock.advance(1)
    record = only()
    assert (record.status, record.percent, record.message) == ("error", 40, "")
    assert f"(error {record.error_id})" in caplog.text
    session.retry()
    staged.clock.advance(1)
    record = only()
    assert (record.status, record.error_id, record.finished) == ("queued", "", None)


def test_a_cancelled_one_says_so(staged: LiveEnvironment, user: Any) -> None:
    session = create(user)
    session.start("import")
    session.cancel()
    staged.clock.advance(1)
    assert only().status == "cancelled"
    assert only().finished is not None


def test_many_updates_are_few_writes(staged: LiveEnvironment, user: Any, django_assert_max_num_queries: Any) -> None:
    session = create(user)
    session.start("import")
    staged.clock.advance(1)
    with django_assert_max_num_queries(12):  # two for each of 5 writes in 10 seconds
        for number in range(100):
            session.update("import", current=number, total=100)
            staged.clock.advance(0.1)
    assert only().percent >= 80


def test_an_older_state_does_not_replace_a_newer_one(staged: LiveEnvironment, user: Any) -> None:
    session = create(user)
    session.start("import")
    old = session.load_snapshot()
    session.complete("import")
    staged.clock.advance(1)
    records.save_record(old)
    assert only().status == "complete"


def test_a_session_of_nobody_is_recorded_too(staged: LiveEnvironment) -> None:
    session = create()
    session.start("import")
    staged.clock.advance(1)
    assert only().owner is None


def test_a_user_who_is_gone_owns_nothing(staged: LiveEnvironment) -> None:
    for word in ("4711", "no number"):
        ProgressSession.create({"a": "A"}, owner=Owner(user=word)).start("a")
    staged.clock.advance(1)
    assert [record.owner for record in TaskRecord.objects.all()] == [None, None]


def test_any_name_and_message_can_be_kept(staged: LiveEnvironment, user: Any) -> None:
    session = ProgressSession.create({"a": "N" * 10_000 + "\0"}, owner=user, key="k" * 500)
    session.update("a", current=1, message="\0\ud800" + "m" * 10_000)
    staged.clock.advance(1)
    assert len(only().name) == len(only().message) == 300
    assert only().message.startswith("?m")


def test_two_with_one_key_are_recorded_and_told(
    staged: LiveEnvironment, user: Any, caplog: pytest.LogCaptureFixture
) -> None:
    first = create(user, key="k")
    first.start("import")
    staged.clock.advance(1)
    TaskRecord.objects.update(session="elsewhere")  # as a process that keeps progress apart has it
    reset_reporters()
    first.update("import", current=1)
    staged.clock.advance(3)
    assert sorted(TaskRecord.objects.values_list("key", flat=True)) == ["", "k"]
    assert "REDIS_URL" in caplog.text


def test_while_the_work_is_in_a_transaction_on_sqlite_nothing_is_written(staged: LiveEnvironment, user: Any) -> None:
    session = create(user)
    with transaction.atomic():
        session.update("import", current=3, total=10)
        staged.clock.advance(5)
        assert TaskRecord.objects.count() == 0
    staged.clock.advance(1)
    assert only().percent == 30


def test_a_rollback_takes_nothing_with_it(staged: LiveEnvironment, user: Any) -> None:
    session = create(user)
    session.start("import")
    staged.clock.advance(1)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        session.complete("import")
        raise ZeroDivisionError
    staged.clock.advance(1)
    assert only().status == "complete"


class Locked:
    """A wrapper of queries that fails as a database does that is busy."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.count += 1
        raise DatabaseError("database is locked")


def test_a_busy_database_is_tried_again_until_the_end_is_written(staged: LiveEnvironment, user: Any) -> None:
    session, locked = create(user), Locked()
    session.start("import")
    with connection.execute_wrapper(locked):
        session.complete("import")
        staged.clock.advance(40)
    assert 3 <= locked.count <= 10
    staged.clock.advance(31)
    assert only().status == "complete"


def test_a_database_that_stays_away_is_given_up(
    staged: LiveEnvironment, user: Any, caplog: pytest.LogCaptureFixture
) -> None:
    session = create(user)
    with connection.execute_wrapper(Locked()):
        session.complete("import")
        staged.clock.advance(writing.RECORD_RETRY_TIMEOUT + 60)
    assert writing.tracked_sessions() == []
    assert "given up" in caplog.text


def test_silent_work_is_vouched_for(staged: LiveEnvironment, user: Any) -> None:
    session = create(user)
    session.run("import", fail)  # nobody begins it
    staged.clock.advance(1)
    before = only().seen
    staged.clock.advance(writing.RECORD_HEARTBEAT + 1)
    assert only().seen > before


def later(seconds: float = losses.UNSEEN_AFTER + 1) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def test_a_record_whose_process_died_is_lost_by_the_lease(staged: LiveEnvironment, user: Any) -> None:
    session = create(user)
    session.start("import")
    staged.clock.advance(1)
    reset_reporters()
    writing.reset_recorder()
    staged.clock.advance(20)
    assert losses.reconcile(now=later()) == 1
    assert only().status == "lost"
    assert only().finished is not None


def test_a_record_whose_session_is_gone_is_lost_since_it_was_seen(staged: LiveEnvironment, user: Any) -> None:
    session = create(user)
    session.start("import")
    staged.clock.advance(1)
    TaskRecord.objects.update(session="of another process")
    assert losses.reconcile() == 0  # it was seen just now
    assert losses.reconcile(now=later()) == 1
    record = only()
    assert record.status == "lost"
    assert record.finished is not None and record.finished < record.seen


def test_a_record_that_missed_its_end_gets_it(staged: LiveEnvironment, user: Any) -> None:
    session = create(user)
    session.start("import")
    staged.clock.advance(1)
    session.complete("import", "Done")
    writing.reset_recorder()  # the process died before it wrote this
    assert losses.reconcile(now=later()) == 1
    assert (only().status, only().message) == ("complete", "Done")


def test_what_was_taken_for_lost_comes_back(staged: LiveEnvironment, user: Any) -> None:
    session = create(user)
    session.start("import")
    staged.clock.advance(1)
    TaskRecord.objects.update(status="lost", finished=timezone.now())
    session.update("import", current=5, total=10)
    staged.clock.advance(3)
    assert (only().status, only().finished) == ("running", None)


def old(status: str, days: float, **fields: Any) -> TaskRecord:
    at = timezone.now() - timedelta(days=days)
    given = {"session": f"{status}{days}", "name": "Old", "created": at, "finished": at, "seen": at, **fields}
    return TaskRecord.objects.create(status=status, **given)


def purge(*options: str) -> str:
    out = io.StringIO()
    call_command("purge_tasks", *options, stdout=out)
    return out.getvalue().strip()


def left() -> list[str]:
    return sorted(TaskRecord.objects.values_list("session", flat=True))


def test_old_records_are_purged_and_what_failed_may_stay_longer(staged: LiveEnvironment) -> None:
    for status, days in (("complete", 31), ("complete", 29), ("error", 31), ("lost", 91), ("cancelled", 40)):
        old(status, days)
    assert purge("--failed-days", "90", "--dry-run") == "3 tasks would be deleted."
    assert len(left()) == 5
    assert purge("--failed-days", "90") == "3 tasks were deleted."
    assert left() == ["complete29", "error31"]
    assert purge() == "1 tasks were deleted."
    assert left() == ["complete29"]


def test_a_purge_keeps_what_runs_and_finds_what_was_lost(staged: LiveEnvironment, user: Any) -> None:
    session = create(user)
    session.start("import")
    staged.clock.advance(1)
    old("running", 50, finished=None)
    assert purge() == "1 tasks were deleted."
    assert left() == [session.session_id]


@pytest.mark.parametrize("option", ["--days=-1", "--failed-days=nan", "--days=1e9"])
def test_a_purge_refuses_days_that_are_none(option: str) -> None:
    with pytest.raises(CommandError, match="expected a number of days"):
        purge(option)


def test_one_task_that_fails_while_another_runs_is_not_the_end(staged: LiveEnvironment, user: Any) -> None:
    session = ProgressSession.create({"a": "A", "b": "B"}, owner=user)
    session.start("a")
    session.start("b")
    session.error("a", "No disk")
    facts = get_changing_fields(session.load_snapshot())
    assert (facts["status"], facts["finished"], facts["message"]) == ("running", None, "No disk")
    session.complete("b")
    assert get_changing_fields(session.load_snapshot())["status"] == "error"
