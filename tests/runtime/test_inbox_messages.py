"""Mail: what waits for an instance is bounded, and nothing of it is lost."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from htmx_live import LiveView, background, event_handler
from htmx_live.core.concurrency import DaemonPool
from htmx_live.jobs.runners.thread import ThreadRunner
from htmx_live.runtime.dispatch import dispatch, process_mailbox
from htmx_live.runtime.inbox_messages import Push
from htmx_live.runtime.services import override_services, services
from htmx_live.testing import LiveClient

PATIENCE = 30  # seconds until what does not happen fails the test
FLUSHES = 50

is_clicked, may_go_on = threading.Event(), threading.Event()


class Flushing(LiveView):
    template_name = "views/clock.html"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.count = self.clicks = 0
        is_clicked.clear(), may_go_on.clear()

    @event_handler
    @background
    def work(self) -> None:
        assert is_clicked.wait(PATIENCE)
        for number in range(FLUSHES):
            self.count = number + 1
            self.flush()

    @event_handler
    def click_long(self) -> None:
        self.clicks += 1
        is_clicked.set()
        assert may_go_on.wait(PATIENCE)


@pytest.fixture
def page(live: Any, settings: Any) -> Iterator[LiveClient]:
    """A page whose jobs and background turns run on threads."""
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    settings.HTMX_LIVE = {"MAX_PENDING_MESSAGES": 5}
    with override_services(runner=ThreadRunner, turn_pool=DaemonPool("test-turn", lambda: 2)):
        yield live(Flushing).disconnect()


def test_a_job_that_flushes_during_a_long_event_is_slowed_down_and_loses_nothing(page: LiveClient) -> None:
    page.send("work", {})
    with ThreadPoolExecutor() as threads:
        clicked = threads.submit(page.send, "click_long", {})
        until(lambda: _is_waited_for(page.instance))  # by the job, for the event to end
        assert len(services().store.load(page.instance).messages) == 6
        may_go_on.set()
        clicked.result(PATIENCE)
    until(lambda: not services().store.load(page.instance).record.jobs)
    assert (page.state["count"], page.state["clicks"]) == (FLUSHES, 1)


def _is_waited_for(instance: str) -> bool:
    queue = services().store._lease_queues.get(instance)
    return queue is not None and len(queue.waiters) > 0


def until(is_so: Callable[[], bool]) -> None:
    """Wait for what another thread brings about."""
    give_up = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < give_up, "It did not come to that."
        time.sleep(0.002)


def test_mail_that_comes_when_a_drain_has_just_found_none_is_looked_after(page: LiveClient) -> None:
    store: Any = services().store
    load = store.load

    def overtaken(instance: str) -> Any:
        loaded = load(instance)
        store.load = load
        dispatch(instance, Push(state={"count": "7"}))  # its own drain finds the lease taken
        return loaded

    store.load = overtaken
    process_mailbox(page.instance)
    until(lambda: page.state["count"] == 7)


def test_who_posts_waits_for_a_turn_only_where_the_mailbox_is_full(page: LiveClient, settings: Any) -> None:
    settings.HTMX_LIVE = {"MAX_PENDING_MESSAGES": 2, "BUSY_TIMEOUT": 0.01}
    store: Any = services().store
    lease, acquire, waits = store.acquire(page.instance, wait=0), store.acquire, []

    def note(instance: str, *, wait: float, **kwargs: Any) -> Any:
        waits.append(wait)
        return acquire(instance, wait=wait, **kwargs)

    store.acquire = note
    for number in range(3):
        dispatch(page.instance, Push(state={"count": str(number)}, handler="click"))
    process_mailbox(page.instance)
    assert waits == [0, 0, 0.01, 0]
    store.release(lease)
