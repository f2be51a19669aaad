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
    store.show("p1", present=10, kept=20)
    clock.advance(10)
    assert (store.is_shown("1"), store.of_view("app.View") == ()) == (False, False)
    clock.advance(10)
    assert store.of_view("app.View") == ()


def test_beyond_the_cap_the_page_heard_of_longest_ago_loses_its_channels(settings: Any) -> None:
    settings.HTMX_LIVE = {"MAX_RECORDS": 2}
    store = MemoryStore()
    for page in ("one", "two"):
        store.subscribe(page, "topic:a")
    store.show("one", present=45, kept=0)
    store.subscribe("three", "topic:a")
    assert [page for page in ("one", "two", "three") if store.channels(page)] == ["one", "three"]


def test_nothing_is_left_of_expired_records_once_another_is_created() -> None:
    clock = ManualClock()
    store = MemoryStore(clock=clock)
    for number in range(100):
        store.create(record(number))
    clock.advance(10_000)
    store.create(record(100))
    assert [len(table) for table in (store._entries, store._owners, store._pages)] == [1, 1, 1]


def test_no_lease_leaves_a_trace() -> None:
    store = MemoryStore()
    for number in range(100):
        lease = store.acquire(str(number), wait=0)
        assert lease is not None
        store.release(lease)
    assert store._queues == {}


def test_two_stores_have_two_epochs() -> None:
    assert MemoryStore().epoch != MemoryStore().epoch


SHARED = Record(instance="shared", view="app.View", owner=Owner(), shared=True)


def test_a_viewer_that_sleeps_for_hours_among_many_stays_one() -> None:
    clock = ManualClock()
    store = MemoryStore(clock=clock)
    store.create(SHARED)
    store.link("sleeping", "shared")
    clock.advance(20 * 3600)
    for number in range(500):
        store.link(f"p{number}", "shared")
    assert store.members("sleeping") == ("shared",)


def test_viewers_that_cannot_return_are_forgotten(settings: Any) -> None:
    settings.HTMX_LIVE = {"MAX_RECORDS": 100}
    clock = ManualClock()
    store = MemoryStore(clock=clock)
    store.create(SHARED)
    for number in range(2000):
        store.link(f"p{number}", "shared")
    assert len(store._pages) <= 201
    clock.advance(90_000)
    store.create(SHARED, once=True)
    for number in range(200):
        store.link(f"late{number}", "shared")
    assert (len(store._pages) <= 201, store.members("p1999"), store.members("late199")) == (True, (), ("shared",))


def test_a_shared_instance_is_shown_when_one_of_many_viewers_is_there() -> None:
    clock = ManualClock()
    store = MemoryStore(clock=clock)
    store.create(SHARED)
    for number in range(300):
        store.link(f"p{number}", "shared")
        store.show(f"p{number}", present=10, kept=0)
    clock.advance(11)
    assert store.is_shown("shared") is False
    store.show("p17", present=10, kept=0)
    assert store.is_shown("shared") is True


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
    assert store.overdue() == [("job:live", "live")]


def test_deadlines_that_nobody_asks_for_are_bounded_and_the_oldest_go(settings: Any) -> None:
    settings.HTMX_LIVE = {"MAX_RECORDS": 10}
    clock = ManualClock()
    store = MemoryStore(clock=clock)
    for number in range(500):
        store.set_deadline(f"job:{number}", "", within=5)
        clock.advance(1)
    clock.advance(5)
    names = [name for name, _ in store.overdue()]
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
        store.subscribe(f"p{number}", "topic:a")
    sweep_for(store, clock, 1900)
    assert [len(table) for table in (store._entries, store._owners, store._views, store._pages)] == [0, 0, 0, 0]
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
        store.show(f"p{number}", present=0, kept=90_000)
    store.link("unopened", "shared")
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
        store.link(f"p{number}", "shared")
    store.show("p7", present=100_000, kept=0)
    sweep_for(store, clock, 1900)
    assert (list(store._pages), store.members("p7")) == (["p7"], ("shared",))


def test_a_page_that_was_closed_is_forgotten_when_it_has_been_hidden_for_too_long(settings: Any) -> None:
    settings.HTMX_LIVE = {"HIDDEN_TTL": 7200}
    clock = ManualClock()
    store = MemoryStore(clock=clock)
    store.create(SHARED)
    store.link("open", "shared")
    store.link("closed", "shared")
    store.show("open", present=100_000, kept=0)
    store.show("closed", present=10, kept=0)
    sweep_for(store, clock, 7200)
    assert store.members("closed") == ("shared",)
    sweep_for(store, clock, 20)
    assert (list(store._pages), list(store._entries["shared"].viewers)) == (["open"], ["open"])
