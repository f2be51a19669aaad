"""What every store promises; see ``htmx_live.backends.base``."""

import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from typing import Any

import pytest

from htmx_live.core.exceptions import TooManyWaiting
from htmx_live.core.records import JobRow, Owner, Record
from htmx_live.testing import ManualClock

ADA, BEN = Owner(token="a", user="1"), Owner(token="b", user="2")
JOB = JobRow(ref="r", handler="h", name="n")
TTL = 1800  # STATE_TTL


def record(instance: str = "one", **fields: Any) -> Record:
    return Record(**{"instance": instance, "view": "app.View", "owner": ADA, "rev": 1, "pages": ("p",), **fields})


def turn(store: Any, instance: str = "one", **changes: Any) -> Record:
    """One turn that changes these fields."""
    lease = store.acquire(instance, wait=0)
    changed = replace(store.load(instance).record, **changes)
    changed = replace(changed, rev=changed.rev + 1)
    assert store.save(changed, lease=lease)
    store.release(lease)
    return changed


# Records


def test_a_record_is_loaded_as_it_was_created(store: Any) -> None:
    mine = record(state={"a": "1"}, jobs=(JOB,), kwargs={"year": 2026}, nonces=("n",), children={"k": ("two", "d")})
    store.create(mine)
    assert store.load("one").record == mine


def test_what_is_not_there_is_none(store: Any) -> None:
    assert store.load("one") is None


def test_a_deleted_record_is_gone_with_its_mail(store: Any) -> None:
    store.create(record())
    store.enqueue("one", "letter")
    store.delete("one")
    assert (store.load("one"), store.enqueue("one", "letter"), store.count(ADA)) == (None, False, 0)


def test_deleting_what_is_not_there_is_harmless(store: Any) -> None:
    store.delete("one")
    assert store.load("one") is None


def test_creating_under_a_known_id_replaces_the_record_and_its_mail(store: Any) -> None:
    store.create(record(state={"a": "1"}))
    store.enqueue("one", "letter")
    store.create(record(owner=BEN, rev=8))
    loaded = store.load("one")
    assert (loaded.record.rev, loaded.messages, store.count(ADA), store.count(BEN)) == (8, (), 0, 1)


def test_records_of_two_owners_are_counted_apart(store: Any) -> None:
    store.create(record("one"))
    store.create(record("two"))
    store.create(record("three", owner=BEN))
    assert (store.count(ADA), store.count(BEN)) == (2, 1)


# Saving


def test_a_saved_record_replaces_the_one_before(store: Any) -> None:
    store.create(record())
    saved = turn(store, state={"a": "2"})
    assert store.load("one").record == saved


def test_saving_without_the_lease_changes_nothing(store: Any) -> None:
    store.create(record())
    mine = store.acquire("one", wait=0)
    store.release(mine)
    theirs = store.acquire("one", wait=0)
    assert not store.save(record(rev=2, state={"a": "late"}), lease=mine)
    assert store.load("one").record == record()
    store.release(theirs)


@pytest.mark.parametrize("rev", [0, 1, 3])
def test_saving_on_another_rev_changes_nothing(store: Any, rev: int) -> None:
    store.create(record())
    lease = store.acquire("one", wait=0)
    assert not store.save(record(rev=rev, state={"a": "late"}), lease=lease)
    assert store.load("one").record == record()


def test_saving_what_was_deleted_changes_nothing(store: Any) -> None:
    store.create(record())
    lease = store.acquire("one", wait=0)
    store.delete("one")
    assert not store.save(record(rev=2), lease=lease)
    assert store.load("one") is None


# Mail


def test_mail_waits_in_order(store: Any) -> None:
    store.create(record())
    assert [bool(store.enqueue("one", letter)) for letter in "abc"] == [True] * 3
    assert store.load("one").messages == ("a", "b", "c")


def test_saving_takes_the_letters_that_were_read_and_leaves_those_that_came_since(store: Any) -> None:
    store.create(record())
    for letter in "ab":
        store.enqueue("one", letter)
    lease = store.acquire("one", wait=0)
    taken = taken_of(store.load("one"))
    store.enqueue("one", "c")
    assert store.save(record(rev=2), lease=lease, ack=taken)
    assert store.load("one").messages == ("c",)


def test_a_save_that_names_no_letter_takes_none(store: Any) -> None:
    store.create(record())
    store.enqueue("one", "one")
    lease = store.acquire("one", wait=0)
    assert store.save(record(rev=2), lease=lease)
    assert store.load("one").messages == ("one",)


def test_of_letters_that_follow_each_other_the_newest_of_a_kind_is_kept(store: Any) -> None:
    store.create(record())
    posted = [("a", "tick"), ("b", "tick"), ("c", ""), ("d", ""), ("e", "tick"), ("f", "tock"), ("g", "tick")]
    assert [store.enqueue("one", letter, coalesce_key=fold) for letter, fold in posted] == [1, 1, 2, 3, 4, 5, 6]
    assert store.load("one").messages == ("b", "c", "d", "e", "f", "g")


def test_what_is_created_once_stays_until_it_expires(store: Any, clock: ManualClock) -> None:
    first, second = record(), record(key="second")
    assert [store.create(first, once=True), store.create(second, once=True)] == [True, False]
    assert store.load("one").record == first
    clock.advance(100_000)
    assert store.create(second, once=True)
    assert store.load("one").record == second


def test_a_save_is_a_use(store: Any, clock: ManualClock, settings: Any) -> None:
    settings.HTMX_LIVE = {"STATE_TTL": 100}
    store.create(record())
    lease = store.acquire("one", wait=0)
    clock.advance(90)
    assert store.save(record(rev=2), lease=lease)
    clock.advance(90)
    assert store.load("one") is not None


def test_a_save_that_fails_takes_no_mail(store: Any) -> None:
    store.create(record())
    store.enqueue("one", "a")
    lease = store.acquire("one", wait=0)
    store.save(record(rev=9), lease=lease, ack=taken_of(store.load("one")))
    assert store.load("one").messages == ("a",)


def test_releasing_tells_of_mail_that_is_left(store: Any) -> None:
    store.create(record())
    lease = store.acquire("one", wait=0)
    store.enqueue("one", "a")
    assert store.release(lease)


def test_releasing_without_mail_tells_of_none(store: Any) -> None:
    store.create(record())
    assert not store.release(store.acquire("one", wait=0))


def test_an_expired_record_takes_no_mail(store: Any, clock: ManualClock) -> None:
    store.create(record())
    clock.advance(TTL + 1)
    assert (store.enqueue("one", "letter"), store.load("one")) == (0, None)


def taken_of(loaded: Any) -> int:
    """What ``save`` is told was read."""
    taken: int = getattr(loaded, "last_message_number", len(loaded.messages))
    return taken


# Leases


def test_a_lease_is_held_by_one(store: Any) -> None:
    lease = store.acquire("one", wait=0)
    assert store.acquire("one", wait=0) is None
    store.release(lease)
    assert store.acquire("one", wait=0) is not None


def test_leases_of_two_instances_are_apart(store: Any) -> None:
    store.acquire("one", wait=0)
    assert store.acquire("two", wait=0) is not None


def test_a_lease_that_is_released_twice_frees_nobody_elses(store: Any) -> None:
    mine = store.acquire("one", wait=0)
    store.release(mine)
    store.acquire("one", wait=0)
    assert not store.release(mine)
    assert store.acquire("one", wait=0) is None


def test_who_waits_gets_the_lease_when_it_is_released(store: Any) -> None:
    lease = store.acquire("one", wait=0)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(store.acquire, "one", wait=30)
        store.release(lease)
        assert waiting.result(30).instance == "one"


def test_who_has_waited_long_enough_gets_none_and_is_forgotten(store: Any) -> None:
    lease = store.acquire("one", wait=0)
    assert store.acquire("one", wait=0.01) is None
    store.release(lease)
    assert store.acquire("one", wait=0) is not None


def test_mail_is_left_to_whoever_waits_for_the_lease(store: Any) -> None:
    store.create(record())
    lease = store.acquire("one", wait=0)
    store.enqueue("one", "a")
    with ThreadPoolExecutor(1) as pool:
        heir = pool.submit(store.acquire, "one", wait=30)
        store.release(lease)
        assert store.release(heir.result(30))


def test_turns_of_many_threads_never_overlap(store: Any) -> None:
    store.create(record(state={"n": "0"}))
    start = threading.Barrier(8)

    def count(_: int) -> None:
        start.wait()
        for _ in range(20):
            lease = store.acquire("one", wait=30)
            mine = store.load("one").record
            changed = replace(mine, rev=mine.rev + 1, state={"n": str(int(mine.state["n"]) + 1)})
            assert store.save(changed, lease=lease)
            store.release(lease)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(8)))
    assert (store.load("one").record.rev, store.load("one").record.state) == (161, {"n": "160"})


# How long records live


def test_a_record_outlives_its_last_use_by_its_time_to_live(store: Any, clock: ManualClock) -> None:
    store.create(record())
    clock.advance(TTL)
    assert store.load("one") is not None
    clock.advance(TTL)
    assert store.load("one") is not None
    clock.advance(TTL + 1)
    assert store.load("one") is None


def test_a_running_job_keeps_its_record(store: Any, clock: ManualClock) -> None:
    store.create(record(jobs=(JOB,)))
    clock.advance(100 * TTL)
    assert store.load("one") is not None


def test_a_page_that_is_looked_at_keeps_its_records(store: Any, clock: ManualClock) -> None:
    store.create(record())
    store.touch_page("p", present_for=10 * TTL, retain_for=0)
    clock.advance(9 * TTL)
    assert (store.is_viewed("one"), store.load("one") is not None) == (True, True)


def test_a_hidden_page_keeps_its_records_without_being_present(store: Any, clock: ManualClock) -> None:
    store.create(record())
    store.touch_page("p", present_for=0, retain_for=10 * TTL)
    clock.advance(9 * TTL)
    assert (store.is_viewed("one"), store.load("one") is not None) == (False, True)


def test_a_page_that_was_left_is_not_present(store: Any, clock: ManualClock) -> None:
    store.create(record())
    store.touch_page("p", present_for=10, retain_for=0)
    clock.advance(11)
    assert not store.is_viewed("one")


def test_a_page_without_records_is_never_present(store: Any) -> None:
    store.touch_page("p", present_for=10, retain_for=10)
    assert (store.is_viewed("one"), tuple(store.instances_on("p"))) == (False, ())


def test_a_page_knows_its_members_through_saves_and_deletes(store: Any) -> None:
    store.create(record("one"))
    store.create(record("two"))
    turn(store, "one", pages=("p", "q"))
    assert (set(store.instances_on("p")), set(store.instances_on("q"))) == ({"one", "two"}, {"one"})
    turn(store, "one", pages=("q",))
    store.delete("two")
    assert (tuple(store.instances_on("p")), tuple(store.instances_on("q"))) == ((), ("one",))


# Bounds


def test_beyond_an_owners_cap_the_record_used_longest_ago_goes(store: Any, settings: Any) -> None:
    settings.HTMX_LIVE = {"MAX_INSTANCES_PER_OWNER": 2}
    store.create(record("one"))
    store.create(record("two"))
    store.load("one")
    store.create(record("three"))
    assert [name for name in ("one", "two", "three") if store.load(name)] == ["one", "three"]


def test_one_owners_records_never_push_out_anothers(store: Any, settings: Any) -> None:
    settings.HTMX_LIVE = {"MAX_INSTANCES_PER_OWNER": 2}
    store.create(record("bens", owner=BEN))
    for number in range(10):
        store.create(record(str(number)))
    assert (store.count(ADA), store.load("bens") is not None) == (2, True)


def test_beyond_the_most_that_wait_for_a_lease_an_event_is_refused_at_once(store: Any) -> None:
    lease = store.acquire("one", wait=0)
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(store.acquire, "one", wait=60) for _ in range(3)]
        with pytest.raises(TooManyWaiting, match="3 events already wait for instance one"):
            while True:  # until the three wait
                store.acquire("one", wait=0.01, max_waiting=3)
        store.release(lease)
        for each in as_completed(waiting):
            store.release(each.result(60))
    assert store.acquire("one", wait=0, max_waiting=3) is not None


def test_nobody_waits_where_none_may(store: Any) -> None:
    assert store.acquire("one", wait=60, max_waiting=0) is not None
    with pytest.raises(TooManyWaiting):
        store.acquire("one", wait=60, max_waiting=0)


# One user's records of a view


def ids(records: Any) -> list[str]:
    return sorted(record.instance for record in records)


def test_one_users_records_of_a_view_are_found_in_all_sessions(store: Any) -> None:
    store.create(record("one"))
    store.create(record("two", owner=Owner(token="another", user="1")))
    store.create(record("three", owner=BEN))
    store.create(record("four", view="app.Other"))
    store.create(record("five", owner=Owner(token="c")))
    assert ids(store.find_by_view("app.View", user="1")) == ["one", "two"]
    assert ids(store.find_by_view("app.View", user="3")) == []
    assert ids(store.find_by_view("app.View")) == ["five", "one", "three", "two"]


def test_a_record_that_is_deleted_or_replaced_leaves_its_users_records(store: Any) -> None:
    for name in ("one", "two", "three"):
        store.create(record(name))
    store.delete("one")
    store.create(record("two", owner=BEN))
    assert ids(store.find_by_view("app.View", user="1")) == ["three"]
    assert ids(store.find_by_view("app.View", user="2")) == ["two"]


def test_an_expired_record_is_not_among_its_users(store: Any, clock: ManualClock) -> None:
    store.create(record())
    clock.advance(TTL + 1)
    assert ids(store.find_by_view("app.View", user="1")) == []
