"""Changes of a task: from each status to the next, and what of the row they keep."""

from dataclasses import replace

import pytest

from htmx_live.progress.model import LOST_AFTER, NO_RATE, ProgressStatus, TaskState
from htmx_live.progress.transitions import (
    Report,
    Transition,
    apply_report,
    if_current_start,
    mark_cancelled,
    mark_completed,
    mark_failed,
    mark_lost,
    mark_not_started,
    mark_queued,
    mark_retrying,
    mark_started,
    mark_waiting,
    mark_worker_lost,
    reopen,
)

NOW = 30.0
ALL = ("pending", "queued", "running", "retrying", "complete", "error", "cancelled", "lost")
CHANGES: dict[str, Transition] = {
    "queued": mark_queued("new"),
    "started": mark_started,
    "reported": apply_report(Report(advance=1)),
    "completed": mark_completed("", Report()),
    "failed": mark_failed("", Report()),
    "cancelled": mark_cancelled,
    "lost": mark_lost,
    "killed": mark_worker_lost,
    "given up": mark_not_started,
    "waiting": mark_waiting,
    "reopened": reopen,
    "retrying": mark_retrying,
}
#                pending     queued      running     retrying    complete  error       cancelled  lost
NEXT = {
    "queued":    ("queued",   "queued",   None,       None,       "queued", "queued",   "queued",  "queued"),
    "started":   ("running",  "running",  "running",  "running",  None,     None,       None,      "running"),
    "reported":  ("running",  "running",  "running",  "running",  None,     None,       None,      "running"),
    "completed": ("complete", "complete", "complete", "complete", None,     None,       None,      "complete"),
    "failed":    ("error",    "error",    "error",    "error",    None,     None,       None,      "error"),
    "cancelled": ("cancelled",) * 4 +                            (None,     None,       None,      None),
    "lost":      (None,       None,       "lost",     None,       None,     None,       None,      None),
    "killed":    ("lost",     "lost",     "lost",     "lost",     None,     None,       None,      None),
    "given up":  (None,       "lost",     None,       None,       None,     None,       None,      None),
    "waiting":   ("queued",   None,       None,       None,       None,     None,       None,      None),
    "reopened":  (None,       None,       None,       None,       None,     None,       "pending", None),
    "retrying":  ("retrying", "retrying", "retrying", "retrying", None,     "retrying", None,      "retrying"),
}  # fmt: skip

FULL = TaskState(
    status=ProgressStatus.RUNNING,
    message="Row 3",
    current=3.0,
    total=9.0,
    unit="rows",
    floor=33.0,
    since=10.0,
    started=10.0,
    beat=10.0,
    attempt=1,
    ref="old",
)
ANEW = replace(FULL, started=None, current=None, total=None, floor=0.0, message="")


def changed(change: Transition, row: TaskState, now: float = NOW) -> TaskState:
    after = change(row, now)
    assert after is not None
    return after


@pytest.mark.parametrize(("name", "nexts"), NEXT.items(), ids=list(NEXT))
def test_each_status_has_one_next_status(name: str, nexts: tuple[str | None, ...]) -> None:
    found = [CHANGES[name](TaskState(status=ProgressStatus(status)), NOW) for status in ALL]
    assert tuple(row and row.status.value for row in found) == nexts


# Starts


def test_a_task_that_is_queued_again_begins_from_nothing() -> None:
    ended = replace(
        FULL, status=ProgressStatus.ERROR, ended=20.0, result="/a", error="e1", rate=NO_RATE.with_sample(1, 2)
    )
    assert changed(mark_queued("new"), ended) == replace(
        ANEW, status=ProgressStatus.QUEUED, ref="new", attempt=2, since=NOW
    )


def test_a_start_keeps_what_was_said_while_the_task_waited() -> None:
    row = TaskState(message="Soon", total=9.0)
    assert changed(mark_started, row) == replace(row, status=ProgressStatus.RUNNING, started=NOW, since=NOW, beat=NOW)


def test_a_second_start_is_a_sign_of_life() -> None:
    assert changed(mark_started, FULL) == replace(FULL, beat=NOW)


@pytest.mark.parametrize("status", [ProgressStatus.LOST, ProgressStatus.RETRYING])
def test_a_start_after_a_loss_begins_from_nothing(status: ProgressStatus) -> None:
    row = replace(FULL, status=status, ended=20.0, error="e1")
    assert changed(mark_started, row) == replace(ANEW, status=ProgressStatus.RUNNING, started=NOW, since=NOW, beat=NOW)


def test_an_older_start_is_not_heard() -> None:
    assert if_current_start("older", mark_cancelled)(FULL, NOW) is None
    assert if_current_start("old", mark_cancelled)(FULL, NOW) == mark_cancelled(FULL, NOW)


# Figures


@pytest.mark.parametrize(
    ("report", "current", "floor"),
    [
        (Report(current=6), 6.0, pytest.approx(100 * 6 / 9)),
        (Report(advance=2), 5.0, pytest.approx(100 * 5 / 9)),
        (Report(current=6, advance=1), 7.0, pytest.approx(100 * 7 / 9)),
        (Report(current=1), 3.0, pytest.approx(100 * 3 / 9)),
        (Report(current=90), 90.0, 100.0),
        (Report(total=100), 3.0, 33.0),
        (Report(total=0), 3.0, 33.0),
        (Report(message="x"), 3.0, pytest.approx(100 * 3 / 9)),
    ],
)
def test_figures_rise(report: Report, current: float, floor: float) -> None:
    row = changed(apply_report(report), FULL)
    assert (row.current, row.floor, row.beat) == (current, floor, NOW)


def test_a_report_starts_a_task_and_keeps_what_it_leaves_out() -> None:
    row = changed(apply_report(Report(message="Hello")), TaskState(unit="rows"))
    assert row == TaskState(
        status=ProgressStatus.RUNNING, message="Hello", unit="rows", started=NOW, since=NOW, beat=NOW
    )


def test_a_report_brings_a_lost_task_back() -> None:
    row = changed(apply_report(Report(unit="files")), replace(FULL, status=ProgressStatus.LOST, ended=20.0))
    assert (row.status, row.ended, row.since, row.started, row.unit, row.message) == (
        "running", None, 10.0, 10.0, "files", "Row 3"
    )  # fmt: skip


@pytest.mark.parametrize("total", [4, 0])
def test_a_total_alone_shows_that_nothing_is_done(total: float) -> None:
    row = changed(apply_report(Report(total=total)), TaskState())
    assert (row.current, row.total, row.floor) == (0.0, total, 0.0)


def test_the_rate_is_measured_from_the_start() -> None:
    row = changed(apply_report(Report(current=6)), FULL)
    assert row.rate == NO_RATE.with_sample(0.0, 10.0).with_sample(6.0, NOW).with_prediction(3.0, NOW)
    later = changed(apply_report(Report(current=8)), row, NOW + 5)
    assert later.rate == row.rate.with_sample(8.0, NOW + 5).with_prediction(1.0, NOW + 5)


def test_without_a_total_no_end_is_predicted() -> None:
    row = changed(apply_report(Report(current=6)), replace(FULL, total=None))
    assert (row.rate, row.floor) == (NO_RATE.with_sample(0.0, 10.0).with_sample(6.0, NOW), 33.0)


@pytest.mark.parametrize("name", ["current", "advance", "total"])
@pytest.mark.parametrize("value", [-0.1, float("inf"), float("nan")])
def test_a_figure_below_0_is_refused_by_its_name(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"^{name}=.*: expected a number from 0 on\."):
        Report(**{name: value})
    assert getattr(Report(**{name: 0.0}), name) == 0.0


def test_a_report_without_a_figure_has_none() -> None:
    reports = [Report(), Report(total=3, message="x"), Report(current=0), Report(advance=0.5)]
    assert [report.has_figure for report in reports] == [False, False, True, True]


def test_two_reports_are_one() -> None:
    first = Report(current=3, advance=1, total=9, message="a", unit="b")
    assert first.merge(Report()) == first
    assert first.merge(Report(advance=2)) == replace(first, advance=3)
    later = Report(current=5, advance=2, total=8, message="", unit="c")
    assert first.merge(later) == later


# Ends


def test_a_complete_task_has_reached_its_total() -> None:
    row = changed(mark_completed(None, Report(message="Done"), result="/a"), FULL)
    assert (row.current, row.floor, row.ended, row.since) == (9.0, 100.0, NOW, NOW)
    assert (row.message, row.result, row.beat) == ("Done", "/a", NOW)


def test_more_than_the_total_stays_more() -> None:
    assert changed(mark_completed("", Report(current=12)), FULL).current == 12


def test_a_complete_task_without_a_total_climbs_from_where_it_is() -> None:
    row = changed(mark_completed("All", Report()), replace(FULL, total=None))
    assert (row.current, row.floor, row.message, row.result) == (3.0, 33.0, "All", "")
    row = changed(mark_completed("All", Report()), TaskState(started=10.0, status=ProgressStatus.RUNNING))
    assert (row.current, row.floor) == (None, 0.0)


def test_a_failure_keeps_the_figures() -> None:
    row = changed(mark_failed("No", Report(current=6), error="e1"), FULL)
    assert (row.current, row.ended, row.since, row.message, row.error) == (6.0, NOW, NOW, "No", "e1")
    assert row.beat == NOW


def test_a_task_that_fails_before_it_starts_was_never_started() -> None:
    row = changed(mark_failed("No", Report()), TaskState())
    assert row == TaskState(status=ProgressStatus.ERROR, ended=NOW, since=NOW, message="No")


@pytest.mark.parametrize("name", ["completed", "failed", "cancelled", "killed"])
def test_no_task_ends_before_it_starts(name: str) -> None:
    assert changed(CHANGES[name], FULL, 5.0).ended == 10.0
    assert changed(CHANGES[name], FULL).ended == NOW
    assert changed(CHANGES[name], FULL).since == NOW


def test_a_task_is_lost_when_its_lease_is_over() -> None:
    assert mark_lost(FULL, 10.0 + LOST_AFTER) is None
    row = changed(mark_lost, FULL, 10.5 + LOST_AFTER)
    assert (row.status, row.ended, row.since) == ("lost", 10.5 + LOST_AFTER, 10.5 + LOST_AFTER)


def test_a_task_that_was_given_up_has_ended() -> None:
    row = TaskState(status=ProgressStatus.QUEUED)
    assert changed(mark_not_started, row) == replace(row, status=ProgressStatus.LOST, ended=NOW, since=NOW)
    assert changed(mark_waiting, TaskState()) == replace(row, since=NOW)


def test_a_cancelled_task_waits_again_unless_it_had_begun_or_has_a_start_of_its_own() -> None:
    row = replace(FULL, status=ProgressStatus.CANCELLED, started=None, ended=20.0, error="e1")
    assert changed(reopen, row) == replace(ANEW, status=ProgressStatus.PENDING, since=NOW)
    assert reopen(replace(row, started=10.0), NOW) is None
    assert reopen(replace(row, callback="module:work"), NOW) is None


def test_a_retry_takes_back_the_failure() -> None:
    row = replace(FULL, status=ProgressStatus.ERROR, ended=20.0, error="e1")
    assert changed(mark_retrying, row) == replace(FULL, status=ProgressStatus.RETRYING, since=NOW)
