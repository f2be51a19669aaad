"""Background work: how jobs start, what they change, and that each ends exactly once.

Jobs run where ``run_jobs()`` says so; ``HOOKS`` let a test act in the middle of one.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from htmx_live.core.exceptions import RunnerUnavailable, StateError, TurnError
from htmx_live.runtime.services import override_services, services
from htmx_live.testing import LiveClient
from tests.working_views import HOOKS, Fragile, Plain, Work

Live = Callable[..., LiveClient]


@pytest.fixture(autouse=True)
def without_database(settings: Any) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"


@pytest.fixture(autouse=True)
def no_hooks() -> Iterator[None]:
    HOOKS.clear()
    yield
    HOOKS.clear()


@pytest.fixture
def page(live: Live) -> LiveClient:
    return live(Work)


def start(page: LiveClient, job: str, **values: Any) -> LiveClient:
    return page.send("start", {"job": job, **values})


def values(page: LiveClient, *names: str) -> list[Any]:
    state = page.state
    return [state[name] for name in names]


def finish(page: LiveClient) -> LiveClient:
    """Run what waits, failures included, and be sure that nothing is left of it."""
    page.run_jobs(raise_errors=False)
    assert page.pending == []
    loaded = services().store.load(page.instance)
    assert loaded is not None and (loaded.record.jobs, loaded.messages) == ((), ())
    return page


# Starting


def test_the_answer_comes_before_the_work(page: LiveClient) -> None:
    start(page, "set_a", name="job")
    assert (page.status, page.pending, values(page, "a")) == (200, [("start", "job")], [0])


def test_work_is_shown_when_it_ends(page: LiveClient) -> None:
    finish(start(page, "set_a", name="job"))
    assert (page.text.split(" Alone")[0], page.rev) == ("1 | 0 | 0 | job: None", 3)


def test_arguments_reach_the_callback_as_they_are(page: LiveClient) -> None:
    finish(page.send("start_with_everything", {}))
    assert values(page, "a") == [[[1, (2, 3), {4}], {"word": None}]]


def test_a_function_at_module_level_is_a_callback(page: LiveClient) -> None:
    finish(page.send("start_function", {}))
    assert values(page, "ended") == [["shout: 'HELLO'"]]


def test_an_async_callback_is_awaited(page: LiveClient) -> None:
    finish(start(page, "set_both"))
    assert values(page, "a", "b") == [5, 5]


def test_two_jobs_without_names_both_run(page: LiveClient) -> None:
    page.send("start_two", {})
    assert len(page.pending) == 2
    finish(page)
    assert values(page, "a", "b") == [1, 1]


def test_a_lambda_is_refused_with_the_reason(page: LiveClient) -> None:
    with pytest.raises(TurnError, match="a lambda or a local function cannot be found by another process"):
        page.send("start_lambda", {})
    assert page.rev == 1


def test_an_argument_that_cannot_be_kept_is_refused_by_its_place(page: LiveClient) -> None:
    with pytest.raises(StateError, match=r"argument 1 of take\(\) is a builtins.object"):
        page.send("start_with_nonsense", {})


def test_a_job_started_in_mount_loads_for_mount(live: Live) -> None:
    page = live(Work, start="set_a")
    assert page.is_loading("mount")
    finish(page)
    assert values(page, "a", "ended") == [1, ["first: None"]]


def test_a_job_starts_another(page: LiveClient) -> None:
    finish(start(page, "start_another", name="job"))
    assert values(page, "a", "b", "ended") == [1, 1, ["job: None", "second: 42"]]


def test_a_job_that_replaces_itself_leaves_the_rest_to_its_heir(page: LiveClient) -> None:
    finish(start(page, "restart_itself", name="job"))
    assert values(page, "a", "b", "ended") == [0, 1, ["job: 42"]]


def test_beyond_the_limit_of_one_instance_a_start_is_refused(page: LiveClient, settings: Any) -> None:
    settings.HTMX_LIVE = {"MAX_JOBS_PER_INSTANCE": 1}
    start(page, "set_a")
    with pytest.raises(TurnError, match="already runs 1 jobs"):
        start(page, "set_b")
    assert len(page.pending) == 1


# Names


def test_starting_under_a_running_name_replaces_that_job(page: LiveClient) -> None:
    start(page, "set_a", name="job", value=1)
    start(page, "set_a", name="job", value=2)
    assert len(page.pending) == 1
    finish(page)
    assert values(page, "a", "ended") == [2, ["job: None"]]


def test_a_replaced_job_that_runs_already_changes_nothing(page: LiveClient) -> None:
    HOOKS["between"] = lambda: HOOKS.clear() or start(page, "set_b", name="job")
    start(page, "check_between", name="job")
    finish(page)
    assert values(page, "a", "b", "ended") == [0, 1, ["job: 42"]]


def test_equal_names_with_two_keys_are_two_jobs(page: LiveClient) -> None:
    start(page, "set_a", name="job", key="1")
    start(page, "set_b", name="job", key="2")
    assert page.pending == [("start", "job", "1"), ("start", "job", "2")]
    finish(page)
    assert values(page, "a", "b") == [1, 1]


def test_background_makes_the_whole_handler_a_job_named_after_it(page: LiveClient) -> None:
    page.click("alone")
    assert (page.pending, values(page, "a")) == ([("alone", "alone")], [0])
    finish(page)
    assert values(page, "a", "ended") == [3, ["alone: None"]]


@pytest.mark.parametrize(("handler", "value"), [("debounced_outside", 10), ("debounced_inside", 100)])
def test_background_goes_with_debounce_in_either_order(page: LiveClient, handler: str, value: int) -> None:
    assert Work.handlers[handler].modifier == "delay:500ms"
    finish(page.click(handler))
    assert values(page, "a") == [value]


def test_an_async_background_handler_runs(page: LiveClient) -> None:
    finish(page.send("alone_async", {}))
    assert values(page, "a") == [1000]


def test_a_key_from_an_argument_keeps_rows_apart(page: LiveClient) -> None:
    for pk in (7, 8, 7):
        page.send("row", {"pk": pk})
    assert (page.is_loading("row", key=7), page.is_loading("row", key=9)) == (True, False)
    assert page.pending == [("row", "row", "7"), ("row", "row", "8")]
    finish(page)
    assert "row 8" in values(page, "ended")[0]


# Cancelling


def test_cancelling_ends_loading_at_once(page: LiveClient) -> None:
    start(page, "set_a", name="job")
    page.send("stop", {"name": "job"})
    assert page.pending == []
    finish(page)
    assert values(page, "a", "ended") == [0, []]


def test_cancelling_by_the_handler_that_started_them_ends_all_its_jobs(page: LiveClient) -> None:
    page.send("start_two", {})
    page.send("stop", {"name": "start_two"})
    finish(page)
    assert values(page, "a", "b") == [0, 0]


def test_cancelling_one_key_leaves_the_others(page: LiveClient) -> None:
    start(page, "set_a", name="job", key="1")
    start(page, "set_b", name="job", key="2")
    page.send("stop", {"name": "job", "key": "1"})
    assert page.pending == [("start", "job", "2")]
    finish(page)
    assert values(page, "a", "b") == [0, 1]


def test_cancelling_nothing_is_harmless_and_leaves_the_next_start_alone(page: LiveClient) -> None:
    page.send("stop", {"name": "job"})
    finish(start(page, "set_a", name="job"))
    assert values(page, "a", "ended") == [1, ["job: None"]]


def test_a_job_that_is_started_and_cancelled_in_one_turn_never_starts(page: LiveClient) -> None:
    page.send("start_and_cancel", {})
    assert (page.pending, page.run_jobs()) == ([], 0)


def test_late_writes_of_a_cancelled_job_are_dropped(page: LiveClient) -> None:
    HOOKS["a"] = lambda: page.send("stop", {"name": "job"})
    finish(start(page, "set_a", name="job"))
    assert values(page, "a", "ended") == [0, []]


def test_check_cancelled_stops_a_cancelled_job(page: LiveClient) -> None:
    HOOKS["between"] = lambda: page.send("stop", {"name": "job"})
    finish(start(page, "check_between", name="job"))
    assert values(page, "a", "b", "ended") == [0, 0, []]


def test_flush_stops_a_cancelled_job_and_keeps_what_was_flushed(page: LiveClient) -> None:
    HOOKS["between"] = lambda: page.send("stop", {"name": "job"})
    finish(start(page, "flush_between", name="job"))
    assert values(page, "a", "b", "ended") == [1, 0, []]


def test_cancelled_passes_by_an_except_exception(page: LiveClient) -> None:
    swallowed: list[bool] = []
    HOOKS["between"] = lambda: page.send("stop", {"name": "job"})
    HOOKS["swallowed"] = lambda: swallowed.append(True)
    finish(start(page, "swallow_everything", name="job"))
    assert swallowed == []


def test_a_job_that_gives_up_by_itself_keeps_its_changes_and_tells_nobody(page: LiveClient) -> None:
    finish(start(page, "give_up", name="job"))
    assert values(page, "a", "ended") == [9, []]


def test_a_cancelled_job_leaves_the_next_one_of_its_name_unharmed(page: LiveClient) -> None:
    def stop_and_start() -> None:
        HOOKS.clear()
        page.send("stop", {"name": "job"})
        start(page, "set_b", name="job")

    HOOKS["a"] = stop_and_start
    finish(start(page, "set_a", name="job"))
    assert values(page, "a", "b", "ended") == [0, 1, ["job: 42"]]


def test_raising_cancelled_outside_of_a_job_is_an_error_that_says_so(page: LiveClient) -> None:
    with pytest.raises(TurnError, match="which only a background job may do"):
        page.send("raise_cancelled", {})


# Merging


def test_two_jobs_and_a_click_lose_nothing(page: LiveClient) -> None:
    start(page, "set_a", name="one")
    start(page, "set_b", name="two")
    revs = [page.rev]
    HOOKS["a"] = lambda: page.click("click")
    HOOKS["b"] = lambda: page.click("click")
    page.run_jobs()
    revs.append(page.rev)
    assert values(page, "a", "b", "clicks") == [1, 1, 2]
    assert revs == [3, 7]


def test_of_one_attribute_the_later_write_wins(page: LiveClient) -> None:
    HOOKS["a"] = lambda: page.send("set", {"value": 50})
    finish(start(page, "set_a", name="job"))
    assert values(page, "a") == [1]


def test_an_assignment_of_an_equal_value_is_a_write_too(page: LiveClient) -> None:
    HOOKS["a"] = lambda: page.send("set", {"value": 50})
    finish(start(page, "set_a_as_it_was", name="job"))
    assert values(page, "a") == [0]


def test_what_a_job_did_not_touch_is_left_as_a_click_made_it(page: LiveClient) -> None:
    HOOKS["b"] = lambda: page.send("set", {"value": 50})
    finish(start(page, "set_b", name="job"))
    assert values(page, "a", "b") == [50, 1]


def test_a_job_starts_from_the_newest_state(page: LiveClient) -> None:
    page.click("alone")
    page.send("set", {"value": 10})
    finish(page)
    assert values(page, "a") == [13]


def test_flush_shows_what_is_set_so_far(page: LiveClient) -> None:
    seen: list[Any] = []
    HOOKS["between"] = lambda: seen.append((page.text[:1], page.pending))
    finish(start(page, "flush_between", name="job"))
    assert seen == [("1", [("start", "job")])]
    assert values(page, "a", "b") == [2, 1]


def test_what_was_flushed_and_changed_by_a_click_since_is_left_alone(page: LiveClient) -> None:
    HOOKS["between"] = lambda: page.send("set", {"value": 50})
    finish(start(page, "flush_then_b", name="job"))
    assert values(page, "a", "b") == [50, 1]


def test_a_deleted_attribute_is_gone(page: LiveClient) -> None:
    finish(start(page, "forget_b", name="job"))
    assert "b" not in page.state


def test_a_wish_of_a_job_reaches_the_page_while_it_runs(page: LiveClient) -> None:
    said: list[Any] = []
    HOOKS["said"] = lambda: said.extend(page.notices)
    finish(start(page, "say_something", name="job"))
    assert said == [{"message": "Half of it is done.", "level": "info"}]


def test_a_job_that_returns_a_redirect_sends_its_page_there(page: LiveClient) -> None:
    finish(start(page, "leave", name="job"))
    assert (page.redirected_to, values(page, "ended")) == ("/elsewhere/", [["job: None"]])


# Failing


def test_a_failed_jobs_changes_are_merged_and_the_view_is_told(page: LiveClient, caplog: Any) -> None:
    finish(start(page, "fail_after_a", name="job"))
    told = values(page, "ended")[0][0]
    error = told.removesuffix(")").rpartition(" ")[2]
    assert (values(page, "a"), told) == ([7], f"job: error Something went wrong. (error {error})")
    assert len(error) == 8
    assert f"failed (error {error})" in caplog.text and "secret detail" in caplog.text
    assert "secret detail" not in page.html


def test_a_user_errors_text_reaches_the_view(page: LiveClient) -> None:
    finish(start(page, "refuse", name="job"))
    assert values(page, "ended") == [["job: user The file is empty."]]


def test_a_value_that_cannot_be_kept_fails_the_job_and_keeps_the_rest(page: LiveClient, caplog: Any) -> None:
    finish(start(page, "keep_nonsense", name="job"))
    assert values(page, "a", "b") == [3, 0]
    assert values(page, "ended")[0][0].startswith("job: error Something went wrong.")
    assert "b is a builtins.object, which a record cannot keep" in caplog.text


def test_a_result_that_cannot_be_kept_fails_a_job_whose_view_wants_it(page: LiveClient) -> None:
    finish(start(page, "return_nonsense", name="job"))
    assert values(page, "a") == [3]
    assert values(page, "ended")[0][0].startswith("job: error")


def test_a_result_that_nobody_wants_may_be_anything(live: Live) -> None:
    page = live(Plain)
    page.send("odd", {})
    page.run_jobs()
    assert (page.text, page.notices) == ("6", [])


def test_without_a_handler_the_page_shows_a_text_with_the_errors_id(live: Live) -> None:
    page = finish(live(Plain).send("fail", {}))
    [notice] = page.notices
    assert (page.text, notice["level"]) == ("5", "error")
    assert notice["message"].startswith("Something went wrong. (error ")


def test_without_a_handler_the_page_shows_a_user_errors_text(live: Live) -> None:
    page = finish(live(Plain).send("refuse", {}))
    assert page.notices == [{"message": "The file is empty.", "level": "error"}]


def test_run_jobs_raises_what_a_job_raised(page: LiveClient) -> None:
    start(page, "fail_after_a", name="job")
    with pytest.raises(RuntimeError, match="secret detail"):
        page.run_jobs()


def test_a_job_that_cannot_be_started_is_told_to_the_page(live: Live) -> None:
    class Full:
        def submit(self, job: Any) -> None:
            raise RunnerUnavailable("The queue is full.")

        def cancel(self, ref: str) -> None: ...

    page = live(Work)
    with override_services(runner=Full()):
        start(page, "set_a", name="job")
    assert page.pending == []
    assert values(page, "ended")[0][0].startswith("job: refused This cannot be done at the moment.")


def test_a_job_whose_user_may_not_any_more_fails_without_running(page: LiveClient, monkeypatch: Any) -> None:
    start(page, "set_a", name="job")
    monkeypatch.setattr(Work, "has_permission", lambda self: False)
    finish(page)
    assert values(page, "a") == [0]
    assert values(page, "ended")[0][0].startswith("job: error Something went wrong.")


# Ends


def test_a_job_ends_when_its_record_is_deleted_while_it_runs(page: LiveClient) -> None:
    reached: list[str] = []
    HOOKS["between"] = lambda: services().store.delete(page.instance)
    HOOKS["result"] = lambda: reached.append("result")
    start(page, "check_between", name="job")
    page.run_jobs()
    assert (services().store.load(page.instance), reached) == (None, [])


def test_a_job_whose_record_is_gone_when_it_starts_does_nothing(page: LiveClient) -> None:
    reached: list[str] = []
    HOOKS["a"] = lambda: reached.append("a")
    start(page, "set_a", name="job")
    services().store.delete(page.instance)
    page.run_jobs()
    assert reached == []


def test_a_template_that_fails_in_a_background_turn_ends_the_loading(live: Live, caplog: Any) -> None:
    page = finish(live(Fragile).send("break_it", {}))
    assert page.text.startswith("Something went wrong. (error ")
    assert "secret detail" in caplog.text and "secret detail" not in page.html
    page.send("mend", {})
    assert page.text == "fine 0"


def test_a_result_handler_that_fails_is_undone_and_the_jobs_changes_stay(live: Live) -> None:
    page = live(Fragile)
    page.send("refuse", {})
    finish(page.send("work", {}))
    assert values(page, "a") == [1]
    assert page.notices[0]["message"].startswith("Something went wrong. (error ")


@pytest.mark.parametrize("job", ["set_a", "set_both", "fail_after_a", "refuse", "give_up", "keep_nonsense"])
def test_a_job_that_is_delivered_again_changes_nothing(page: LiveClient, job: str) -> None:
    start(page, job, name="job")
    runner: Any = services().runner
    [twice] = runner.waiting
    finish(page)
    before = services().store.load(page.instance)
    runner.run(twice)
    assert services().store.load(page.instance) == before


@pytest.mark.django_db(transaction=True)
def test_a_flush_inside_a_transaction_that_is_rolled_back_waits_for_the_end(page: LiveClient) -> None:
    seen: list[Any] = []
    HOOKS["inside"] = HOOKS["rolled back"] = lambda: seen.append(page.state["a"])
    finish(start(page, "flush_in_a_transaction", name="job"))
    assert (seen, values(page, "a")) == ([0, 0], [1])


def test_a_surrounding_that_fails_still_ends_the_job(page: LiveClient, settings: Any, caplog: Any) -> None:
    start(page, "set_a", name="job")
    settings.HTMX_LIVE = {"TURN_CONTEXT": "tests.runtime.test_job_control.no_surroundings"}
    page.run_jobs(raise_errors=False)
    found = re.match(r"Something went wrong\. \(error ([0-9a-f]{8})\)", page.text)
    assert (page.pending, found is not None) == ([], True)
    said = f"A background turn of tests.working_views.Work failed (error {found and found[1]})"
    assert said in [one.getMessage() for one in caplog.records]


def no_surroundings(record: Any) -> Any:
    raise RuntimeError("no such tenant")
