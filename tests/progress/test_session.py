"""Sessions of progress in one process, on a clock of the test."""

import asyncio
import json
import threading
from concurrent.futures import Future
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import floats, lists, one_of, tuples
from hypothesis.strategies import just as always

from htmx_live.core.exceptions import Cancelled, StoreUnavailable
from htmx_live.core.records import Owner
from htmx_live.progress import ProgressSession, ProgressStatus, current_task, track
from htmx_live.progress import transitions as changes
from htmx_live.progress.memory_store import MemoryProgressStore
from htmx_live.progress.reporter import running_tasks
from htmx_live.progress.store import override_progress_store, progress_store, update_task
from htmx_live.testing.environment import LiveEnvironment, ManualClock, live_environment


def made(**tasks: str) -> ProgressSession:
    return ProgressSession.create(tasks=tasks or {"a": "First", "b": "Second"})


def shown(session: ProgressSession, task: str = "a") -> tuple[str, int, str]:
    found = session.to_dict()["tasks"][task]
    return found["status"], found["percent"], found["message"]


def again(session: ProgressSession) -> ProgressSession:
    found = ProgressSession.get(session.session_id)
    assert found is not None
    return found


def test_a_new_session_waits(staged: LiveEnvironment) -> None:
    session = made(a="First")
    snapshot = session.to_dict()
    assert {name: snapshot[name] for name in ("overall_percent", "session_id", "status")} == {
        "overall_percent": 0,
        "session_id": session.session_id,
        "status": "pending",
    }
    task = snapshot["tasks"]["a"]
    assert {name: task[name] for name in ("message", "name", "percent", "status")} == {
        "message": "Waiting...",
        "name": "First",
        "percent": 0,
        "status": "pending",
    }


def test_a_session_without_tasks_is_an_error(staged: LiveEnvironment) -> None:
    with pytest.raises(ValueError, match="at least one task"):
        ProgressSession.create(tasks={})


def test_a_weight_of_an_unknown_task_is_an_error_that_names_the_known_ones(staged: LiveEnvironment) -> None:
    with pytest.raises(KeyError, match=r"weights has 'c', but the session has no such task\. It has: a, b\."):
        ProgressSession.create({"a": "A", "b": "B"}, weights={"c": 1})


@pytest.mark.parametrize("weight", [0, -1, float("inf"), float("nan")])
def test_a_weight_is_a_number_above_0(staged: LiveEnvironment, weight: float) -> None:
    with pytest.raises(ValueError, match=r"weights\['a'\] is .*: expected a number above 0\."):
        ProgressSession.create({"a": "A"}, weights={"a": weight})
    assert ProgressSession.create({"a": "A"}, weights={"a": 0.1}).header.weights == {"a": 0.1}


def test_a_session_belongs_to_its_owner(staged: LiveEnvironment) -> None:
    session = ProgressSession.create({"a": "A"}, owner=Owner(user="7"))
    found = [ProgressSession.get(session.session_id, owner=owner) for owner in (None, Owner(user="7"), Owner(user="8"))]
    assert [one is not None for one in found] == [True, True, False]


def test_what_a_session_says_of_all_its_tasks(staged: LiveEnvironment) -> None:
    session = made()
    facts = []
    for act in (lambda: None, lambda: session.start("a"), lambda: session.error("a", "No"), session.cancel):
        act()
        facts.append((session.is_running, session.has_error, session.is_complete, session.status.value))
    assert facts == [
        (False, False, False, "pending"),
        (True, False, False, "running"),
        (False, True, False, "error"),
        (False, True, False, "error"),
    ]


def test_cancelling_names_its_tasks(staged: LiveEnvironment) -> None:
    session = made()
    session.cancel("b")
    assert [shown(session, task)[0] for task in ("a", "b")] == ["pending", "cancelled"]
    session.check_cancelled("a")
    with pytest.raises(Cancelled):
        session.check_cancelled("b")
    session.cancel()
    assert [shown(session, task)[0] for task in ("a", "b")] == ["cancelled", "cancelled"]


@pytest.mark.parametrize("word", [
    "start", "complete", "error", "advance", "update", "retrying", "retry", "cancel", "check_cancelled", "task",
    "run", "add_sequential", "add_parallel", "queued",
])  # fmt: skip
def test_an_unknown_task_is_an_error_that_names_the_known_ones(staged: LiveEnvironment, word: str) -> None:
    session = made()
    more = {"run": [made], "add_sequential": [made], "add_parallel": [Future()], "queued": ["job"]}
    with pytest.raises(KeyError, match=r"no task 'c'\. It has: a, b\."):
        getattr(session, word)("c", *more.get(word, []))
    assert progress_store().find_by_celery_task("job") == []


def test_the_error_of_an_unknown_task_names_20_known_ones_at_most(staged: LiveEnvironment) -> None:
    names = [f"t{number}" for number in range(30)]
    with pytest.raises(KeyError, match=rf"It has: {', '.join(names[:20])}\."):
        ProgressSession.create(dict.fromkeys(names, "Task")).start("x")


def test_a_session_that_is_not_there_is_none(staged: LiveEnvironment) -> None:
    assert ProgressSession.get("nothing") is None


def test_a_running_task_moves_without_being_written(staged: LiveEnvironment) -> None:
    session = made()
    session.start("a")
    staged.clock.advance(12.9)
    assert shown(session) == ("running", 25, "Processing...")


def test_starting_twice_changes_nothing(staged: LiveEnvironment) -> None:
    session = made()
    session.start("a")
    staged.clock.advance(13)
    session.start("a")
    assert shown(session)[1] == 25


def test_a_task_that_has_ended_does_not_run_by_a_start(staged: LiveEnvironment) -> None:
    session = made()
    session.cancel("a")
    session.start("a")
    assert running_tasks() == []


def test_a_session_that_is_gone_takes_a_start_and_a_cancellation_without_harm(staged: LiveEnvironment) -> None:
    session = made()
    staged.clock.advance(3600)
    session.start("a")
    session.cancel()
    assert (running_tasks(), session.to_dict()["status"]) == ([], "error")


def test_what_was_said_before_a_retry_does_not_start_it(staged: LiveEnvironment) -> None:
    session = made()
    session.update("a", current=1, total=10)
    session.update("a", current=5)  # is written a tenth of a second later
    session.retrying("a")
    staged.clock.advance(1)
    row = session.load_snapshot().states["a"]
    assert (row.status, row.current) == (ProgressStatus.RETRYING, 1)


def test_a_task_of_celery_is_queued_and_known_by_its_job(staged: LiveEnvironment) -> None:
    session = made()
    session.queued("a", "celery-1")
    assert (shown(session)[0], progress_store().find_by_celery_task("celery-1")) == (
        "queued",
        [(session.session_id, "a")],
    )


def test_a_failure_without_an_id_has_none(staged: LiveEnvironment) -> None:
    session = made()
    session.error("a")
    assert session.load_snapshot().states["a"].error == ""


def test_completing_climbs_to_100_and_is_called_running_until_then(staged: LiveEnvironment) -> None:
    session = made(a="First")
    session.start("a")
    staged.clock.advance(12.9)
    session.complete("a")
    assert shown(session) == ("running", 25, "Completing…")
    staged.clock.advance(0.3)
    assert (shown(session)[:2], session.is_complete) == (("running", 55), False)
    staged.clock.advance(0.7)
    assert (shown(session)[:2], session.is_complete, session.overall_percent) == (("complete", 100), True, 100)


def test_a_failure_keeps_the_percentage_and_shows_the_message_that_was_given(staged: LiveEnvironment) -> None:
    session = made()
    session.update("a", current=3, total=10)
    session.error("a", "The file ends early")
    staged.clock.advance(60)
    assert shown(session) == ("error", 30, "The file ends early")
    assert (session.has_error, session.status) == (True, ProgressStatus.ERROR)


def test_without_a_message_a_failure_says_no_more_than_its_name(staged: LiveEnvironment) -> None:
    session = made()

    def fail() -> None:
        raise ValueError("password=hunter2")

    task = session.add_sequential("a", fail)
    assert shown(session) == ("error", 0, "First failed")
    with pytest.raises(ValueError, match="hunter2"):
        task.result  # noqa: B018


def test_a_sequential_task_runs_now_and_gives_its_result(staged: LiveEnvironment) -> None:
    session = made()
    assert session.add_sequential("a", lambda x, y: x + y, 1, y=2).result == 3
    staged.clock.advance(2)
    assert shown(session)[0] == "complete"


def test_a_parallel_task_ends_with_its_future(staged: LiveEnvironment) -> None:
    session, future = made(), Future[int]()
    task = session.add_parallel("a", future)
    staged.clock.advance(3)
    assert shown(session)[0] == "running"
    future.set_result(7)
    staged.clock.advance(2)
    assert (shown(session)[0], task.result) == ("complete", 7)


def test_a_future_that_fails_is_an_error(staged: LiveEnvironment) -> None:
    session, future = made(), Future[int]()
    task = session.add_parallel("a", future)
    future.set_exception(KeyError("x"))
    assert shown(session)[0] == "error"
    with pytest.raises(KeyError):
        task.result  # noqa: B018


def test_a_future_that_is_cancelled_cancels_its_task(staged: LiveEnvironment) -> None:
    session, future = made(), Future[int]()
    session.add_parallel("a", future)
    future.cancel()
    assert shown(session)[0] == "cancelled"


def test_real_figures_take_the_place_of_simulated_ones(staged: LiveEnvironment) -> None:
    session = made()
    session.start("a")
    staged.clock.advance(62.3)
    session.update("a", current=1, total=4)
    staged.clock.advance(60)
    assert shown(session)[1] == 25


def test_real_percentages_never_fall(staged: LiveEnvironment) -> None:
    session = made()
    for current, total in [(50, 100), (10, 100), (60, 1000)]:
        session.update("a", current=current, total=total)
        staged.clock.advance(1)
    assert shown(session)[1] == 50


def test_without_a_total_the_extent_is_unknown(staged: LiveEnvironment) -> None:
    session = made()
    session.advance("a", 5)
    task = session.to_dict()["tasks"]["a"]
    assert (task["is_indeterminate"], task["current"], task["percent"]) == (True, 5, 0)


@pytest.mark.parametrize(("current", "total", "percent"), [(0, 0, 0), (5, 0, 0), (150, 100, 100), (1e300, 1, 100)])
def test_odd_totals_are_harmless(staged: LiveEnvironment, current: float, total: float, percent: int) -> None:
    session = made()
    session.update("a", current=current, total=total)
    assert shown(session)[1] == percent
    session.complete("a")
    staged.clock.advance(2)
    assert shown(session)[:2] == ("complete", 100)


@pytest.mark.parametrize("bad", [-1, float("nan"), float("inf")])
def test_figures_that_cannot_be_are_refused(staged: LiveEnvironment, bad: float) -> None:
    session = made()
    for given_figures in ({"total": bad}, {"current": bad}):
        with pytest.raises(ValueError, match="expected a number from 0 on"):
            session.update("a", **given_figures)
    with pytest.raises(ValueError, match="advance="):
        session.advance("a", bad)


def test_the_whole_is_weighted(staged: LiveEnvironment) -> None:
    session = ProgressSession.create({"a": "A", "b": "B"}, weights={"a": 3})
    session.complete("a")
    staged.clock.advance(2)
    assert session.overall_percent == 75
    with pytest.raises(KeyError, match="has no such task"):
        ProgressSession.create({"a": "A"}, weights={"b": 3})
    with pytest.raises(ValueError, match="above 0"):
        ProgressSession.create({"a": "A"}, weights={"a": 0})


def test_of_a_thousand_updates_a_second_ten_are_written_and_the_last_one_is(staged: LiveEnvironment) -> None:
    session = made()
    session.update("a", total=1000)
    before = session.load_snapshot().number
    for _ in range(1000):
        session.advance("a")
        staged.clock.advance(0.001)
    staged.clock.advance(0.2)
    assert session.load_snapshot().number - before <= 12
    assert session.to_dict()["tasks"]["a"]["current"] == 1000


def test_what_was_said_last_is_written_with_the_end(staged: LiveEnvironment) -> None:
    session = made()
    session.update("a", total=10)
    session.advance("a", 4)
    session.error("a")
    assert shown(session)[:2] == ("error", 40)


def test_threads_that_advance_one_task_lose_nothing(staged: LiveEnvironment) -> None:
    session = made()
    threads = [threading.Thread(target=lambda: [session.advance("a") for _ in range(500)] and None) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    staged.clock.advance(1)
    assert session.to_dict()["tasks"]["a"]["current"] == 4000


def test_a_tracked_loop_is_counted_and_completed(staged: LiveEnvironment) -> None:
    session, percents = made(), []
    for _ in session.track("a", range(4), unit="rows"):
        staged.clock.advance(1)
        percents.append(shown(session)[1])
    assert percents == [0, 25, 50, 75]
    assert shown(session)[:2] == ("complete", 100)


def test_a_tracked_loop_that_is_empty_is_complete(staged: LiveEnvironment) -> None:
    session = made()
    assert list(session.track("a", [])) == []
    assert shown(session)[:2] == ("complete", 100)


def test_a_tracked_loop_that_is_left_has_failed(staged: LiveEnvironment) -> None:
    session = made()
    for row in session.track("a", range(4)):
        if row == 2:
            break
    assert shown(session)[:2] == ("error", 50)


def test_an_error_of_the_iterated_is_the_tasks(staged: LiveEnvironment) -> None:
    session = made()

    def rows() -> Any:
        yield 1
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        list(session.track("a", rows()))
    assert shown(session)[0] == "error"


def test_track_makes_a_session_of_its_own(staged: LiveEnvironment) -> None:
    tracked = track([1, 2], "Import")
    assert (list(tracked), len(tracked)) == ([1, 2], 2)
    assert tracked.session.to_dict()["tasks"]["track"]["message"] == "Import complete"


def test_a_block_completes_its_task(staged: LiveEnvironment) -> None:
    session = made()
    with session.task("a") as task:
        assert current_task() is task
        assert list(task.track([1, 2])) == [1, 2]
        task.update(message="Two rows")
        task.check_cancelled()
    assert (shown(session)[:2], current_task()) == (("complete", 100), None)


def test_a_block_that_raises_fails_its_task(staged: LiveEnvironment) -> None:
    session = made()
    with pytest.raises(ZeroDivisionError), session.task("a"):
        1 / 0  # noqa: B018
    assert shown(session)[0] == "error"


def test_cancelling_stops_the_work_where_it_reports(staged: LiveEnvironment) -> None:
    session, done = made(), []
    with pytest.raises(Cancelled), session.task("a") as task:
        for row in task.track(range(10)):
            done.append(row)
            if row == 3:
                again(session).cancel()
    assert (done, shown(session)[0], session.status) == ([0, 1, 2, 3], "cancelled", ProgressStatus.CANCELLED)


def test_what_was_cancelled_elsewhere_is_learnt_with_the_next_write(staged: LiveEnvironment) -> None:
    session = made()
    session.start("a")
    update_task(session.session_id, "a", changes.mark_cancelled)
    with pytest.raises(Cancelled):
        session.advance("a")


def test_what_was_cancelled_elsewhere_is_learnt_with_the_next_beat(staged: LiveEnvironment) -> None:
    session = made()
    with pytest.raises(Cancelled), session.task("a") as task:
        update_task(session.session_id, "a", changes.mark_cancelled)
        staged.clock.advance(3)
        list(task.track(range(3)))


def test_a_cancelled_task_cannot_be_completed(staged: LiveEnvironment) -> None:
    session = made()
    session.start("a")
    session.cancel("a")
    session.complete("a")
    assert shown(session)[0] == "cancelled"
    with pytest.raises(Cancelled), session.task("a"):
        raise AssertionError("the block does not run")


def test_an_end_that_came_first_stays(staged: LiveEnvironment) -> None:
    session = made()
    session.error("a", "first")
    session.complete("a")
    session.cancel("a")
    assert shown(session) == ("error", 0, "first")


def test_nothing_is_left_running_after_the_end(staged: LiveEnvironment) -> None:
    session = made()
    session.start("a")
    session.start("b")
    session.complete("a")
    session.cancel("b")
    assert running_tasks() == []


def test_a_task_without_a_sign_of_life_is_stalled_and_then_lost() -> None:
    clock = ManualClock()
    with (
        live_environment(),
        override_progress_store(MemoryProgressStore(clock=clock)),
    ):  # its beats are on another clock
        session = made()
        session.start("a")
        states = []
        for _ in range(5):
            clock.advance(3)
            states.append(shown(session)[0])
        assert (states, session.to_dict()["status"]) == (["running"] * 3 + ["stalled", "lost"], "error")


def test_between_running_and_lost_it_is_stalled() -> None:
    clock = ManualClock()
    with live_environment(), override_progress_store(MemoryProgressStore(clock=clock)):
        session = made()
        session.start("a")
        clock.advance(11)
        assert shown(session) == ("stalled", 22, "No sign of life, waiting…")


def test_beats_keep_a_task_alive_for_longer_than_its_time_to_live(staged: LiveEnvironment) -> None:
    session = made()
    session.start("a")
    staged.clock.advance(4000)
    assert shown(again(session))[:2] == ("running", 85)


def test_a_session_goes_an_hour_after_its_end(staged: LiveEnvironment) -> None:
    session = made(a="A")
    staged.clock.advance(3000)
    session.complete("a")
    staged.clock.advance(3599)
    assert ProgressSession.get(session.session_id) is not None
    staged.clock.advance(1)
    assert ProgressSession.get(session.session_id) is None
    assert session.to_dict()["status"] == "error"


def test_a_lost_task_that_reports_is_back(staged: LiveEnvironment) -> None:
    session = made()
    session.update("a", current=3, total=10)
    update_task(session.session_id, "a", lambda row, now: changes.mark_lost(row, row.beat + 60))
    assert shown(session)[:2] == ("lost", 30)
    session.update("a", current=4)
    staged.clock.advance(1)
    assert shown(session)[:2] == ("running", 40)


def test_two_viewers_and_one_who_comes_late_see_the_end(staged: LiveEnvironment) -> None:
    session = made(a="A")
    one, other = session.stream(), session.stream()
    session.complete("a")
    staged.clock.advance(2)
    lines = [list(one), list(other), list(again(session).stream())]
    assert [[json.loads(line)["status"] for line in viewer] for viewer in lines] == [["complete"]] * 3
    assert lines[0][0].endswith("}\n")


def test_a_stream_ends_when_a_task_has_failed(staged: LiveEnvironment) -> None:
    session = made()
    lines = session.stream(poll_interval=0)
    assert json.loads(next(lines))["status"] == "pending"
    session.error("a")
    assert [json.loads(line)["status"] for line in lines] == ["error"]


def test_a_stream_asks_ten_times_a_second(staged: LiveEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    def rest(seconds: float) -> None:
        pauses.append(seconds)
        session.error("a")

    async def arest(seconds: float) -> None:
        rest(seconds)

    async def follow() -> int:
        return len([line async for line in session.astream()])

    monkeypatch.setattr("htmx_live.progress.snapshots.time.sleep", rest)
    monkeypatch.setattr("htmx_live.progress.snapshots.asyncio.sleep", arest)
    session = made()
    assert len(list(session.stream())) == 2
    session = made()
    assert (asyncio.run(follow()), pauses) == (2, [0.1, 0.1])


def test_names_may_be_long_and_tasks_many(staged: LiveEnvironment) -> None:
    session = ProgressSession.create({f"t{number}": "x" * 10_240 for number in range(500)})
    for number in range(500):
        session.complete(f"t{number}")
    staged.clock.advance(2)
    assert (session.overall_percent, session.is_complete) == (100, True)


class Away(MemoryProgressStore):
    """A place that cannot be reached while ``is_away``."""

    is_away = False

    def load_task(self, session: str, task: str) -> Any:
        if self.is_away:
            raise StoreUnavailable("away")
        return super().load_task(session, task)


def test_work_goes_on_while_the_store_is_away_and_its_end_is_written_later() -> None:
    with live_environment() as staged, override_progress_store(Away(clock=staged.clock)) as place:
        assert isinstance(place, Away)
        session = made(a="A")
        session.update("a", total=10)
        place.is_away = True
        staged.clock.advance(1)
        session.advance("a", 3)
        session.complete("a", "All there")
        place.is_away = False
        staged.clock.advance(5)
        assert shown(session) == ("complete", 100, "All there")
        assert running_tasks() == []


FIGURES = floats(0, 1000)
STEPS = lists(
    one_of(
        tuples(always("update"), FIGURES, FIGURES),
        tuples(always("advance"), FIGURES, FIGURES),
        tuples(always("wait"), FIGURES, FIGURES),
    ),
    max_size=20,
)


@given(STEPS)
@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=50)
def test_no_order_of_real_figures_lets_the_bar_fall(steps: list[tuple[str, float, float]]) -> None:
    with live_environment() as staged, override_progress_store(MemoryProgressStore(clock=staged.clock)):
        session, seen = made(), [0]
        session.update("a", current=0, total=100)
        for word, one, other in steps:
            if word == "wait":
                staged.clock.advance(one)
            elif word == "update":
                session.update("a", current=one, total=other)
            else:
                session.advance("a", one)
            seen.append(shown(session)[1])
        assert seen == sorted(seen)
