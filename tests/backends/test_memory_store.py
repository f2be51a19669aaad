"""``MemoryStore``: what it keeps is bounded."""

from typing import Any

import pytest

from htmx_live.backends.memory import store as memory
from htmx_live.backends.memory.store import MemoryStore
from htmx_live.core.records import Owner, Record
from htmx_live.testing import ManualClock


def record(number: int) -> Record:
    return Record(instance=str(number), view="app.View", owner=Owner(token=str(number)), pages=(f"p{number}",))


def test_beyond_the_cap_of_all_records_the_one_used_longest_ago_goes(settings: Any) -> None:
    settings.HTMX_LIVE = {"MAX_RECORDS": 3}
    store = MemoryStore()
    for number in range(10):
        store.create(record(number))
    assert [number for number in range(10) if store.load(str(number))] == [7, 8, 9]


def test_a_record_that_is_loaded_is_not_the_first_to_go(settings: Any) -> None:
    settings.HTMX_LIVE = {"MAX_RECORDS": 2}
    store = MemoryStore()
    for number in (0, 1):
        store.create(record(number))
    store.load("0")
    store.create(record(2))
    assert [store.load(str(number)) is None for number in range(3)] == [False, True, False]


def test_what_is_kept_until_a_moment_has_gone_at_it(settings: Any) -> None:
    settings.HTMX_LIVE = {"STATE_TTL": 5}
    clock = ManualClock()
    store = MemoryStore(clock=clock)
    store.create(record(1))
    store.touch_page("p1", present_for=10, retain_for=20)
    clock.advance(10)
    assert (store.is_viewed("1"), store.find_by_view("app.View") == ()) == (False, False)
    clock.advance(10)
    assert store.find_by_view("app.View") == ()


def test_beyond_the_cap_the_page_heard_of_longest_ago_loses_its_channels(settings: Any) -> None:
    settings.HTMX_LIVE = {"MAX_RECORDS": 2}
    store = MemoryStore()
    for page in ("one", "two"):
        store.add_subscription(page, "topic:a")
    store.touch_page("one", present_for=45, retain_for=0)
    store.add_subscription("three", "topic:a")
    assert [page for page in ("one", "two", "three") if store.subscribed_channels(page)] == ["one", "three"]


def test_nothing_is_left_of_expired_records_once_another_is_created() -> None:
    clock = ManualClock()
    store = MemoryStore(clock=clock)
    for number in range(100):
        store.create(record(number))
    clock.advance(10_000)
    store.create(record(100))
    assert [len(table) for table in (store._entries, store._instances_by_owner, store._pages)] == [1, 1, 1]


def test_no_lease_leaves_a_trace() -> None:
    store = MemoryStore()
    for number in range(100):
        lease = store.acquire(str(number), wait=0)
        assert lease is not None
        store.release(lease)
    assert store._lease_queues == {}


def test_two_stores_have_two_epochs() -> None:
    assert MemoryStore().epoch != MemoryStore().epoch


SHARED = Record(instance="shared", view="app.View", owner=Owner(), shared=True)


def test_a_viewer_that_sleeps_for_hours_among_many_stays_one() -> None:
    clock = ManualClock()
    store = MemoryStore(clock=clock)
    store.create(SHARED)
    store.add_viewer("sleeping", "shared")
    clock.advance(20 * 3600)
    for number in range(500):
        store.add_viewer(f"p{number}", "shared")
    assert store.instances_on("sleeping") == ("shared",)


def test_viewers_that_cannot_return_are_forgotten(settings: Any) -> None:
    settings.HTMX_LIVE = {"MAX_RECORDS": 100}
    clock = ManualClock()
    store = MemoryStore(clock=clock)
    store.create(SHARED)
    for number in range(2000):
        store.add_viewer(f"p{number}", "shared")
    assert len(store._pages) <= 201
    clock.advance(90_000)
    store.create(SHARED, once=True)
    for number in range(200):
        store.add_viewer(f"late{number}", "shared")
    assert (len(store._pages) <= 201, store.instances_on("p1999"), store.instances_on("late199")) == (
        True,
        (),
        ("shared",),
    )


def test_a_shared_instance_is_shown_when_one_of_many_viewers_is_there() -> None:
    clock = ManualClock()
    store = MemoryStore(clock=clock)
    store.create(SHARED)
    for number in range(300):
        store.add_viewer(f"p{number}", "shared")
        store.touch_page(f"p{number}", present_for=10, retain_for=0)
    clock.advance(11)
    assert store.is_viewed("shared") is False
    store.touch_page("p17", present_for=10, retain_for=0)
    assert store.is_viewed("shared") is True


# Deadlines


def test_a_live_jobs_deadline_outlives_any_number_of_others(settings: Any) -> None:
    """The deadline that is due first is the one renewed most often: a live job's."""
    settings.HTMX_LIVE = {"MAX_RECORDS": 10}
    clock = ManualClock()
    store = MemoryStore(clock=clock)
    for number in range(200):
        store.set_deadline("job:live", "live", within=5)
        store.set_deadline(f"notice:{number}", "waits", within=3600)
        clock.advance(1)
    clock.advance(5)
    assert store.pop_due() == [("job:live", "live")]


def test_deadlines_that_nobody_asks_for_are_bounded_and_the_oldest_go(settings: Any) -> None:
    settings.HTMX_LIVE = {"MAX_RECORDS": 10}
    clock = ManualClock()
    store = MemoryStore(clock=clock)
    for number in range(500):
        store.set_deadline(f"job:{number}", "", within=5)
        clock.advance(1)
    clock.advance(5)
    names = [name for name, _ in store.pop_due()]
    assert (len(names) <= 20, names[-1]) == (True, "job:499")


# Sweeping, while nothing new comes


def sweep_for(store: MemoryStore, clock: ManualClock, seconds: float) -> None:
    for _ in range(int(seconds / 10)):
        clock.advance(10)
        store.sweep()


def test_nothing_is_left_of_expired_records_though_no_other_is_created() -> None:
    clock = ManualClock()
    store = MemoryStore(clock=clock)
    for number in range(1200):
        store.create(record(number))
        store.add_subscription(f"p{number}", "topic:a")
    sweep_for(store, clock, 1900)
    assert [
        len(table) for table in (store._entries, store._instances_by_owner, store._instances_by_view, store._pages)
    ] == [0, 0, 0, 0]
    sweep_for(store, clock, 90_000)
    assert len(store._subscriptions._pages) == 0


def test_a_sweep_goes_on_behind_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_SWEEP_SIZE", 2)
    clock = ManualClock()
    store = MemoryStore(clock=clock)
    for number in range(4):
        store.create(record(number))
    store.create(SHARED)
    for number in range(3):
        store.touch_page(f"p{number}", present_for=0, retain_for=90_000)
    store.add_viewer("unopened", "shared")
    sweep_for(store, clock, 2000)
    assert ([*sorted(store._entries)], sorted(store._pages)) == (["0", "1", "2"], ["p0", "p1", "p2"])


def test_a_sweep_leaves_the_order_of_use(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.HTMX_LIVE = {"MAX_RECORDS": 2}
    monkeypatch.setattr(memory, "_SWEEP_SIZE", 1)
    clock = ManualClock()
    store = MemoryStore(clock=clock)
    for number in range(2):
        store.create(record(number))
    store.load("0")
    clock.advance(10)
    store.sweep()
    store.create(record(2))
    assert [store.load(str(number)) is None for number in range(3)] == [False, True, False]


def test_a_page_that_no_browser_showed_is_forgotten_like_a_record() -> None:
    clock = ManualClock()
    store = MemoryStore(clock=clock)
    store.create(SHARED)
    for number in range(1200):
        store.add_viewer(f"p{number}", "shared")
    store.touch_page("p7", present_for=100_000, retain_for=0)
    sweep_for(store, clock, 1900)
    assert (list(store._pages), store.instances_on("p7")) == (["p7"], ("shared",))


def test_a_page_that_was_closed_is_forgotten_when_it_has_been_hidden_for_too_long(settings: Any) -> None:
    settings.HTMX_LIVE = {"HIDDEN_TTL": 7200}
    clock = ManualClock()
    store = MemoryStore(clock=clock)
    store.create(SHARED)
    store.add_viewer("open", "shared")
    store.add_viewer("closed", "shared")
    store.touch_page("open", present_for=100_000, retain_for=0)
    store.touch_page("closed", present_for=10, retain_for=0)
    sweep_for(store, clock, 7200)
    assert store.instances_on("closed") == ("shared",)
    sweep_for(store, clock, 20)
    assert (list(store._pages), list(store._entries["shared"].viewers)) == (["open"], ["open"])
