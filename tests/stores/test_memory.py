"""``MemoryStore``: what it keeps is bounded."""

from typing import Any

from htmx_live.records import Owner, Record
from htmx_live.stores.memory import MemoryStore
from htmx_live.testing import ManualClock


def record(number: int) -> Record:
    return Record(instance=str(number), view="app.View", owner=Owner(token=str(number)), pages=(f"p{number}",))


def test_beyond_the_cap_of_all_records_the_one_used_longest_ago_goes(settings: Any) -> None:
    settings.HTMX_LIVE = {"MAX_RECORDS": 3}
    store = MemoryStore()
    for number in range(10):
        store.create(record(number))
    assert [number for number in range(10) if store.load(str(number))] == [7, 8, 9]


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
