"""What every store promises about named leases and deadlines."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from htmx_live.testing import ManualClock

DAY = 86_400

# Named leases


def test_a_named_lease_is_held_by_one_and_renewed_by_it(store: Any) -> None:
    assert [store.acquire_lock("tick", holder, ttl=10) for holder in ("a", "b", "a")] == [True, False, True]


def test_two_named_leases_are_apart(store: Any) -> None:
    assert (store.acquire_lock("tick", "a", ttl=10), store.acquire_lock("tock", "b", ttl=10)) == (True, True)


def test_a_named_lease_lasts_from_its_last_renewal(store: Any, clock: ManualClock) -> None:
    store.acquire_lock("tick", "a", ttl=10)
    clock.advance(9)
    store.acquire_lock("tick", "a", ttl=10)
    clock.advance(9)
    assert store.acquire_lock("tick", "b", ttl=10) is False
    clock.advance(1)
    assert store.acquire_lock("tick", "b", ttl=10) is True


def test_a_named_lease_that_is_let_go_is_free_and_only_its_holder_lets_it_go(store: Any) -> None:
    store.acquire_lock("tick", "a", ttl=10)
    store.release_lock("tick", "b")
    assert store.acquire_lock("tick", "b", ttl=10) is False
    store.release_lock("tick", "a")
    assert store.acquire_lock("tick", "b", ttl=10) is True


def test_letting_go_of_what_nobody_holds_is_harmless(store: Any) -> None:
    store.release_lock("tick", "a")
    assert store.acquire_lock("tick", "b", ttl=60)


def test_of_many_who_ask_at_once_one_holds_a_named_lease(store: Any) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: store.acquire_lock("tick", str(n), ttl=60), range(40)))
    assert sum(answers) == 1


# Deadlines


def test_a_deadline_comes_up_when_its_time_is_over(store: Any, clock: ManualClock) -> None:
    store.set_deadline("job:1", "note", within=10)
    clock.advance(9)
    assert store.pop_due() == []
    clock.advance(1)
    assert store.pop_due() == [("job:1", "note")]


def test_a_deadline_that_is_set_again_starts_anew_with_its_new_note(store: Any, clock: ManualClock) -> None:
    store.set_deadline("job:1", "queued", within=10)
    clock.advance(9)
    store.set_deadline("job:1", "running", within=10)
    clock.advance(9)
    assert store.pop_due() == []
    clock.advance(1)
    assert store.pop_due() == [("job:1", "running")]


def test_a_cleared_deadline_never_comes_up(store: Any, clock: ManualClock) -> None:
    store.set_deadline("job:1", "note", within=10)
    assert (store.clear_deadline("job:1"), store.clear_deadline("job:1")) == (True, False)
    clock.advance(11)
    assert store.pop_due() == []


def test_an_overdue_deadline_is_handed_to_one_and_comes_up_again_unless_cleared(store: Any, clock: ManualClock) -> None:
    store.set_deadline("job:1", "note", within=10)
    clock.advance(10)
    assert (store.pop_due(), store.pop_due()) == ([("job:1", "note")], [])
    clock.advance(5)
    assert store.pop_due() == [("job:1", "note")]
    store.clear_deadline("job:1")
    clock.advance(5)
    assert store.pop_due() == []


def test_overdue_deadlines_come_up_in_order_and_no_more_than_asked_for(store: Any, clock: ManualClock) -> None:
    for number in (3, 1, 2):
        store.set_deadline(f"job:{number}", str(number), within=number)
    clock.advance(10)
    assert store.pop_due(limit=2) == [("job:1", "1"), ("job:2", "2")]
    assert store.pop_due(limit=2) == [("job:3", "3")]


def test_of_many_who_ask_at_once_each_deadline_goes_to_one(store: Any, clock: ManualClock) -> None:
    for number in range(50):
        store.set_deadline(f"job:{number}", "", within=1)
    clock.advance(1)
    with ThreadPoolExecutor(8) as pool:
        answers = [name for found in pool.map(lambda _: store.pop_due(limit=10), range(16)) for name, _ in found]
    assert sorted(answers) == sorted(f"job:{number}" for number in range(50))


def test_a_deadline_that_nobody_clears_is_forgotten_after_a_day(store: Any, clock: ManualClock) -> None:
    store.set_deadline("job:1", "note", within=10)
    clock.advance(10 + DAY)
    assert (store.pop_due(), store.clear_deadline("job:1")) == ([], False)


def test_a_stores_epoch_stays_the_same(store: Any) -> None:
    assert store.epoch
    assert store.epoch == store.epoch
