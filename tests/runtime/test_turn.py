"""Turns: one after the other, whatever threads do; what a failing one leaves behind.

Threads meet at events and barriers: ``HOOKS`` hold a handler or a job where the test wants it.
"""

import logging
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.test import RequestFactory

from htmx_live import LiveView, event_handler
from htmx_live.core.concurrency import DaemonPool
from htmx_live.core.exceptions import Busy, InstanceGone, TurnError
from htmx_live.core.records import Record
from htmx_live.jobs.runners.thread import ThreadRunner
from htmx_live.runtime.dispatch import dispatch, process_mailbox
from htmx_live.runtime.inbox_messages import AttachPage, Push, UserEvent
from htmx_live.runtime.services import override_services, services
from htmx_live.runtime.state import decode_state
from htmx_live.runtime.view import import_view
from htmx_live.testing import LiveClient
from tests.sample_views import Counter, Note
from tests.working_views import HOOKS, Work

Live = Callable[..., LiveClient]
PATIENCE = 30  # seconds until what does not happen fails the test


@pytest.fixture(autouse=True)
def without_database(settings: Any) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"


@pytest.fixture(autouse=True)
def no_hooks() -> Iterator[None]:
    HOOKS.clear()
    yield
    HOOKS.clear()


class Gate:
    """Holds who comes to it until it is opened; ``reached`` waits for somebody to come."""

    def __init__(self) -> None:
        self._came, self._opened = threading.Semaphore(0), threading.Event()

    def __call__(self) -> None:
        self._came.release()
        assert self._opened.wait(PATIENCE)

    def reached(self) -> None:
        assert self._came.acquire(timeout=PATIENCE)

    def open(self) -> None:
        self._opened.set()


class Ends:
    """Waits until an instance that had running jobs has none, as its pages are told."""

    def __init__(self) -> None:
        self._ended, self._busy = threading.Semaphore(0), set[str]()
        services().bus.subscribe(self)

    def deliver(self, channels: tuple[str, ...], message: Any) -> None:
        if 'data-live-pending=""' not in message.data:
            self._busy.add(message.target)
        elif message.target in self._busy:
            self._busy.remove(message.target)
            self._ended.release()

    def add_channels(self, page: str, channels: tuple[str, ...]) -> None: ...

    def close_streams(self, key: str) -> None: ...

    def resync(self) -> None: ...

    def wait(self) -> None:
        assert self._ended.acquire(timeout=PATIENCE)


@pytest.fixture
def page(live: Live) -> Iterator[LiveClient]:
    """A page whose jobs and background turns run on threads."""
    turns = DaemonPool("test-turn", lambda: 2)
    with override_services(runner=ThreadRunner, turn_pool=turns):
        yield live(Work).disconnect()


def record(page: LiveClient) -> Record:
    loaded = services().store.load(page.instance)
    assert loaded is not None
    return loaded.record


def call(instance: str, handler: str, *, nonce: str = "", **arguments: Any) -> Any:
    """A user's event, as the endpoint dispatches it; from any thread."""
    request = RequestFactory().post("/")
    request.user = AnonymousUser()
    loaded = services().store.load(instance)
    assert loaded is not None
    chosen = import_view(loaded.record.view).handlers[handler]
    event = UserEvent(handler=chosen, arguments=arguments, request=request, nonce=nonce, page=loaded.record.pages[-1])
    return dispatch(instance, event)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def in_thread(threads: ThreadPoolExecutor, page: LiveClient, handler: str, **arguments: Any) -> "Future[Any]":
    return threads.submit(call, page.instance, handler, **arguments)


# One after the other


def test_turns_of_one_instance_never_overlap(page: LiveClient, threads: ThreadPoolExecutor) -> None:
    inside: list[int] = []
    most: list[int] = []

    def count() -> None:
        inside.append(1)
        most.append(len(inside))
        inside.pop()

    HOOKS["click"] = count
    clicks = [in_thread(threads, page, "click") for _ in range(40)]
    for click in clicks:
        click.result(PATIENCE)
    assert (page.state["clicks"], record(page).rev, max(most)) == (40, 41, 1)


def test_turns_of_two_instances_run_side_by_side(live: Live, threads: ThreadPoolExecutor) -> None:
    one, two = live(Work), live(Work)
    HOOKS["click"] = threading.Barrier(2, timeout=PATIENCE).wait
    for click in [in_thread(threads, page, "click") for page in (one, two)]:
        click.result(PATIENCE)
    assert (one.state["clicks"], two.state["clicks"]) == (1, 1)


def test_who_waits_too_long_is_told_that_it_is_busy(
    page: LiveClient, threads: ThreadPoolExecutor, settings: Any
) -> None:
    settings.HTMX_LIVE = {"BUSY_TIMEOUT": 0.01}
    gate = HOOKS["click"] = Gate()
    first = in_thread(threads, page, "click")
    gate.reached()
    with pytest.raises(Busy, match=r"was busy for more than 0\.01 s"):
        call(page.instance, "set", value=5)
    gate.open()
    first.result(PATIENCE)
    assert (page.state["a"], page.state["clicks"]) == (0, 1)


def test_an_instance_that_ends_during_its_turn_saves_nothing(page: LiveClient) -> None:
    HOOKS["click"] = lambda: services().store.delete(page.instance)
    with pytest.raises(InstanceGone):
        call(page.instance, "click")
    assert services().store.load(page.instance) is None


# Users and jobs


def test_a_long_job_does_not_delay_another_users_click(page: LiveClient, live: Live) -> None:
    other, gate = live(Work), Gate()
    HOOKS["a"], ends = gate, Ends()
    call(page.instance, "start", job="set_a", name="job")
    gate.reached()
    assert call(other.instance, "click").record.rev == 2
    assert call(page.instance, "click").record.rev == 3  # nor one on its own page
    gate.open()
    ends.wait()
    assert (page.state["a"], page.state["clicks"]) == (1, 1)


def test_a_job_that_ends_during_a_users_event_waits_and_is_applied_after_it(
    page: LiveClient, threads: ThreadPoolExecutor
) -> None:
    job, click, posted = Gate(), Gate(), threading.Event()
    HOOKS["a"], HOOKS["click"], ends = job, click, Ends()
    store: Any = services().store
    enqueue = store.enqueue
    store.enqueue = lambda *args, **kwargs: (enqueue(*args, **kwargs), posted.set())[0]
    call(page.instance, "start", job="set_a", name="job")
    job.reached()
    user = in_thread(threads, page, "click")
    click.reached()  # the user's handler runs, and holds the lease
    job.open()
    assert posted.wait(PATIENCE)
    before = record(page)
    click.open()
    assert (user.result(PATIENCE).record.rev, len(before.jobs)) == (before.rev + 1, 1)
    ends.wait()
    assert (page.state["a"], page.state["clicks"], record(page).rev) == (1, 1, before.rev + 2)


def test_a_users_event_goes_before_mail_that_waits(page: LiveClient, threads: ThreadPoolExecutor) -> None:
    order: list[str] = []
    first, job, ends = Gate(), Gate(), Ends()
    HOOKS["a"] = job
    call(page.instance, "start", job="set_a", name="job")
    job.reached()
    HOOKS["click"] = lambda: (order.append("click"), first())
    HOOKS["result"] = lambda: order.append("result")
    one = in_thread(threads, page, "click")
    first.reached()
    two = in_thread(threads, page, "click")
    store: Any = services().store
    while not store._lease_queues[page.instance].waiters:  # until the second click waits for the first
        pass
    job.open()
    first.open()
    one.result(PATIENCE), two.result(PATIENCE)
    ends.wait()
    assert order == ["click", "click", "result"]


def test_a_handler_that_fails_with_mail_waiting_loses_none_of_it(page: LiveClient, threads: ThreadPoolExecutor) -> None:
    job, click, posted, ends = Gate(), Gate(), threading.Event(), Ends()

    def fail() -> None:
        click()
        raise RuntimeError("the handler failed")

    HOOKS["a"], HOOKS["click"] = job, fail
    store: Any = services().store
    enqueue = store.enqueue
    call(page.instance, "start", job="set_a", name="job")
    job.reached()
    user = in_thread(threads, page, "click")
    click.reached()
    store.enqueue = lambda *args, **kwargs: (enqueue(*args, **kwargs), posted.set())[0]
    job.open()
    assert posted.wait(PATIENCE)
    click.open()
    with pytest.raises(RuntimeError, match="the handler failed"):
        user.result(PATIENCE)
    ends.wait()
    assert (page.state["a"], page.state["clicks"], page.state["ended"]) == (1, 0, ["job: None"])


# Cancel against finish


def test_a_cancel_that_comes_first_is_the_jobs_one_end(page: LiveClient) -> None:
    gate, done = Gate(), threading.Event()
    HOOKS["a"] = gate
    runner: Any = services().runner
    discard = runner._discard
    runner._discard = lambda job: (discard(job), done.set())
    call(page.instance, "start", job="set_a", name="job")
    gate.reached()
    call(page.instance, "stop", name="job")
    gate.open()
    assert done.wait(PATIENCE)
    assert (page.state["a"], page.state["ended"], record(page).jobs) == (0, [], ())


def test_a_finish_that_comes_first_is_the_jobs_one_end(page: LiveClient) -> None:
    ends = Ends()
    call(page.instance, "start", job="set_a", name="job")
    ends.wait()
    call(page.instance, "stop", name="job")
    assert (page.state["a"], page.state["ended"]) == (1, ["job: None"])


def test_cancel_and_finish_at_once_come_to_one_end(page: LiveClient) -> None:
    runner: Any = services().runner
    discard, done = runner._discard, threading.Semaphore(0)
    runner._discard = lambda job: (discard(job), done.release())
    meet = threading.Barrier(2, timeout=PATIENCE)
    HOOKS["a"] = meet.wait
    for round_ in range(60):
        call(page.instance, "set", value=0)
        ended = len(page.state["ended"])
        call(page.instance, "start", job="set_a", name="job", value=round_ + 1)
        meet.wait()
        call(page.instance, "stop", name="job")
        assert done.acquire(timeout=PATIENCE)
        process_mailbox(page.instance, wait=PATIENCE)  # its last letter may lie there for the pool of turns
        loaded = services().store.load(page.instance)
        assert loaded is not None and (loaded.record.jobs, loaded.messages) == ((), ())
        state = decode_state(loaded.record.state)
        was_told = len(state["ended"]) - ended
        assert (state["a"], was_told) in [(0, 0), (round_ + 1, 1)]


def test_a_job_that_is_cancelled_while_it_is_queued_never_runs(page: LiveClient, settings: Any) -> None:
    settings.HTMX_LIVE = {"JOB_THREADS": 1}
    gate, reached, ends = Gate(), [], Ends()
    HOOKS["b"], HOOKS["a"] = gate, lambda: reached.append("a")
    call(page.instance, "start", job="set_b", name="first")
    gate.reached()
    call(page.instance, "start", job="set_a", name="second")
    call(page.instance, "stop", name="second")
    gate.open()
    ends.wait()
    assert (reached, page.state["a"], page.state["ended"]) == ([], 0, ["first: 42"])


def test_two_jobs_and_clicks_on_threads_lose_nothing(page: LiveClient, threads: ThreadPoolExecutor) -> None:
    meet, ends = threading.Barrier(3, timeout=PATIENCE), Ends()
    HOOKS["a"] = HOOKS["b"] = meet.wait
    call(page.instance, "start", job="set_a", name="one")
    call(page.instance, "start", job="set_b", name="two")
    clicks = [in_thread(threads, page, "click") for _ in range(20)]
    meet.wait()
    revs = sorted(click.result(PATIENCE).record.rev for click in clicks)
    ends.wait()
    state = page.state
    assert (state["a"], state["b"], state["clicks"], sorted(state["ended"])) == (1, 1, 20, ["one: None", "two: 42"])
    assert len(set(revs)) == 20


def test_an_async_job_that_is_cancelled_is_interrupted_and_ends_once(page: LiveClient) -> None:
    gate, done = Gate(), threading.Event()
    HOOKS["waiting"] = gate.open
    runner: Any = services().runner
    discard = runner._discard
    runner._discard = lambda job: (discard(job), done.set())
    reached = threading.Event()
    HOOKS["endless"] = reached.set
    call(page.instance, "start", job="wait_for_ever", name="job")
    assert reached.wait(PATIENCE)
    call(page.instance, "stop", name="job")
    assert done.wait(PATIENCE)
    assert (page.state["a"], page.state["ended"]) == (0, [])


def test_mail_of_an_instance_that_is_gone_is_dropped_and_logged(page: LiveClient, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG, "htmx_live.runtime")
    process_mailbox("0" * 32)
    assert [record.getMessage() for record in caplog.records] == [
        f"Mail for instance {'0' * 32}, which is gone, was dropped"
    ]


# What a user's turn leaves behind


def test_an_event_is_applied_once_however_often_it_is_sent(live: Live) -> None:
    page = live(Counter)
    for _ in range(5):
        page.send("add", {"amount": 2}, nonce="n" * 32)
        assert (page.status, page.text) == (200, "2 Add")
    assert page.state["count"] == 2


def test_the_last_sixteen_nonces_are_known(live: Live) -> None:
    page = live(Counter)
    for number in range(17):
        page.send("add", {}, nonce=f"n{number}")
    page.send("add", {}, nonce="n1")
    assert page.state["count"] == 17
    page.send("add", {}, nonce="n0")
    assert page.state["count"] == 18


def test_an_event_that_failed_may_be_sent_again_with_its_nonce(live: Live) -> None:
    page = live(Work)
    HOOKS["click"] = lambda: HOOKS.clear() or 1 / 0
    with pytest.raises(ZeroDivisionError):
        page.send("click", {}, nonce="n")
    page.send("click", {}, nonce="n")
    assert page.state["clicks"] == 1


def test_a_handler_that_fails_changes_and_sends_nothing(live: Live) -> None:
    page = live(Counter, raise_errors=False)
    before = services().store.load(page.instance)
    page.send("fail", {})
    assert (page.status, services().store.load(page.instance), page.fragments) == (500, before, [])


def test_an_event_that_changes_nothing_is_answered_with_204(live: Live) -> None:
    page = live(Counter)
    page.send("nothing", {})
    assert (page.status, page.rev, page.fragments) == (204, 1, [])


def test_skip_render_keeps_the_state_and_sends_nothing(live: Live) -> None:
    page = live(Counter)
    page.send("quietly", {})
    assert (page.status, page.text, page.state["count"], page.fragments) == (204, "0 Add", 1, [])
    page.send("add", {})
    assert page.text == "2 Add"


def test_a_view_that_asks_for_something_while_it_is_rendered_is_an_error(live: Live, monkeypatch: Any) -> None:
    page = live(Counter)
    monkeypatch.setattr(Counter, "get_context_data", lambda self, **kwargs: self.notify("Hello") or {})
    with pytest.raises(TurnError, match=r"Counter asked for ShowToast while it was rendered, in its template or"):
        page.send("add", {})
    assert (page.state["count"], page.notices) == (0, [])


def test_a_render_that_fails_in_a_users_event_changes_and_sends_nothing(live: Live, monkeypatch: Any) -> None:
    page = live(Counter, raise_errors=False)
    before = services().store.load(page.instance)
    monkeypatch.setattr(Counter, "get_context_data", lambda self, **kwargs: 1 / 0)
    page.send("add", {})
    assert (page.status, services().store.load(page.instance), page.fragments) == (500, before, [])


def test_an_async_handler_is_awaited(live: Live) -> None:
    page = live(Counter)
    page.send("add_later", {})
    assert page.text == "10 Add"


def test_every_turn_is_published_with_its_rev(live: Live) -> None:
    page = live(Counter)
    page.send("add", {})
    page.send("add", {})
    assert [f'data-live-rev="{rev}"' in text for rev, text in zip((2, 3), page.fragments, strict=True)] == [True, True]


def test_what_was_saved_is_followed_up_though_it_could_not_be_sent(live: Live, monkeypatch: Any) -> None:
    page = live(Work)

    def away(*args: Any, **kwargs: Any) -> int:
        raise ConnectionError("the bus is away")

    with monkeypatch.context() as patch:
        patch.setattr(services().bus, "publish", away)
        with pytest.raises(ConnectionError):
            page.send("start", {"job": "set_a", "name": "job"})
    page.run_jobs()
    assert (page.state["a"], record(page).jobs) == (1, ())


def test_a_state_that_cannot_be_read_after_a_deploy_is_mounted_again(live: Live, caplog: Any) -> None:
    page = live(Counter, start=3)
    _poison(page, count='{"$": "enum", "t": "app.old:Kind", "v": "GONE"}')
    page.click("add", amount=2)
    assert (page.status, page.is_remounted, page.text, page.rev) == (200, True, "3 Add", 2)
    assert "cannot be read; it will be mounted again" in caplog.text
    page.click("add", amount=2)
    assert (page.is_remounted, page.text) == (False, "5 Add")


def _poison(page: LiveClient, **state: str) -> None:
    store = services().store
    lease = store.acquire(page.instance, wait=0)
    assert lease is not None
    mine = record(page)
    assert store.save(replace(mine, rev=mine.rev + 1, state={**mine.state, **state}), lease=lease)
    store.release(lease)


@pytest.mark.django_db
def test_a_state_that_grows_too_large_is_413_and_changes_nothing(live: Any, settings: Any) -> None:
    client = live(Note, raise_errors=False)
    settings.HTMX_LIVE = {"MAX_RECORD_SIZE": 500}
    client.send("update_content", {"value": "x" * 1000})
    assert (client.status, client.state["content"]) == (413, "first")


def test_a_state_may_be_as_large_as_the_setting_says(live: Live, settings: Any) -> None:
    page = live(Counter)
    size = sum(map(len, record(page).state.values()))
    settings.HTMX_LIVE = {"MAX_RECORD_SIZE": size}
    assert page.send("nothing", {}).status == 204
    settings.HTMX_LIVE = {"MAX_RECORD_SIZE": size - 1}
    assert page.send("nothing", {}).status == 413


class Seeing(LiveView):
    """Notes what its code sees."""

    template_name = "views/plain.html"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.count = int(request.headers.get("X-Count", 0))
        self.seen: list[Any] = []

    @event_handler
    def spoil(self) -> None:
        self.count = 5
        raise RuntimeError("secret detail")

    @event_handler
    def look(self) -> None:
        self.check_cancelled()
        self.seen = [self.cancelled, self.request is None]


def test_a_background_event_that_fails_leaves_nothing_to_the_next_one(live: Live, caplog: Any) -> None:
    page = live(Seeing)
    lease = services().store.acquire(page.instance, wait=0)
    assert lease is not None
    for handler in ("spoil", "look"):
        dispatch(page.instance, Push(handler=handler))
    services().store.release(lease)
    process_mailbox(page.instance)
    assert (page.text, page.state) == ("0", {"count": 0, "seen": [False, False]})
    [line] = [one.getMessage() for one in caplog.records if one.name == "htmx_live.runtime"]
    assert re.fullmatch(r"spoil of tests\.runtime\.test_turn\.Seeing failed \(error [0-9a-f]{8}\)", line)


def test_mount_sees_the_request_of_the_user(live: Live) -> None:
    page = live(Seeing)
    assert b"<p>7</p>" in page.http.get("/", headers={"X-Count": "7"}).content


def test_a_handler_of_a_user_is_not_cancelled(live: Live) -> None:
    assert live(Seeing).send("look", {}).state["seen"] == [False, False]


def test_a_permission_that_is_lost_ends_events_and_reloads(live: Live, monkeypatch: Any) -> None:
    page = live(Counter)
    monkeypatch.setattr(Counter, "has_permission", lambda self: False)
    with pytest.raises(PermissionDenied):
        call(page.instance, "add")
    request = RequestFactory().get("/")
    request.user = AnonymousUser()
    with pytest.raises(PermissionDenied):
        dispatch(page.instance, AttachPage(page="another", request=request))
    assert (page.state["count"], len(record(page).pages)) == (0, 1)


def test_a_value_that_is_refused_names_the_handler(live: Live, caplog: Any) -> None:
    page = live(Work).send("go", {"to": "https://elsewhere.example/"})
    assert page.status == 422
    assert "answered 422: tests.working_views.Work.go(): redirect() got an address" in caplog.text


def test_mount_returns_nothing_or_a_redirect(live: Live, monkeypatch: Any) -> None:
    monkeypatch.setattr(Seeing, "mount", lambda self, request, **kwargs: "text")
    with pytest.raises(TypeError, match=r"Seeing\.mount\(\) returned str"):
        live(Seeing)


def test_a_job_of_mount_is_named_after_it(live: Live) -> None:
    assert live(Work, start="set_a").pending == [("mount", "first")]
