"""``RedisStore``: what expires, and a Redis that is away or has forgotten all."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from htmx_live.backends.redis.bus import RedisBus
from htmx_live.backends.redis.client import RETRY_DELAY, RedisConnection
from htmx_live.backends.redis.store import RedisStore
from htmx_live.backends.redis.wakeups import Wakeups
from htmx_live.core.exceptions import StoreUnavailable
from htmx_live.core.records import JobRow, Owner, Record
from htmx_live.testing import ManualClock
from tests.backends.test_store_contract import ADA, record, turn
from tests.redis_server import RedisServer

pytestmark = pytest.mark.processes
PATIENCE = 30.0


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as server:
        yield server


def keys(connection: RedisConnection) -> set[str]:
    found = connection.call("KEYS", connection.key("*"))
    return {name.removeprefix(connection.prefix) for name in found} - {"epoch"}


# What is kept, and for how long


def test_every_key_expires_but_the_epoch(redis_store: RedisStore, connection: RedisConnection) -> None:
    redis_store.create(record(jobs=(JobRow(ref="r", handler="h", name="n"),)))
    redis_store.create(Record(instance="shared", view="app.View", owner=Owner(), shared=True))
    redis_store.add_viewer("p", "shared")
    redis_store.touch_page("p", present_for=10, retain_for=10)
    redis_store.enqueue("one", "letter")
    redis_store.add_subscription("p", "topic:a")
    redis_store.acquire("one", wait=0)
    redis_store.acquire("one", wait=0.01)
    redis_store.acquire_lock("tick", "me", ttl=10)
    redis_store.set_deadline("job", "{}", within=10)
    assert redis_store.epoch
    assert {name for name in keys(connection) if connection.call("PTTL", connection.key(name)) < 0} == set()


def test_nothing_is_left_of_what_was_deleted_and_given_back(
    redis_store: RedisStore, connection: RedisConnection
) -> None:
    redis_store.create(record())
    redis_store.add_viewer("q", "one")
    redis_store.touch_page("p", present_for=10, retain_for=10)
    redis_store.enqueue("one", "letter")
    lease = redis_store.acquire("one", wait=0)
    assert lease is not None
    assert redis_store.acquire("one", wait=0.01) is None
    redis_store.delete("one")
    redis_store.release(lease)
    redis_store.acquire_lock("tick", "me", ttl=10)
    redis_store.release_lock("tick", "me")
    redis_store.set_deadline("job", "{}", within=10)
    redis_store.clear_deadline("job")
    assert keys(connection) == set()


def test_a_record_goes_sooner_once_its_last_job_has_ended(redis_store: RedisStore, connection: RedisConnection) -> None:
    redis_store.create(record(jobs=(JobRow(ref="r", handler="h", name="n"),)))
    turn(redis_store, jobs=())
    assert connection.call("PTTL", connection.key("record", "one")) <= 1_801_000


def test_indexes_forget_what_has_expired(redis_store: RedisStore, connection: RedisConnection) -> None:
    for number in range(100):
        redis_store.create(Record(instance=str(number), view="app.View", owner=Owner()))
        connection.call("DEL", connection.key("record", str(number)))
    assert (redis_store.count(Owner()) <= 5, connection.call("SCARD", connection.key("view", "app.View")) <= 5) == (
        True,
        True,
    )


def test_a_view_of_very_many_records_is_read_whole_and_each_once(redis_store: RedisStore) -> None:
    for number in range(1000):
        redis_store.create(Record(instance=str(number), view="app.View", owner=Owner(), state={"a": "1"}))
    found = [(one.instance, one.state) for one in redis_store.find_by_view("app.View", with_state=False)]
    assert sorted(found) == sorted((str(number), {}) for number in range(1000))


# Mail of a turn that died


MAIL = [("mail:one", '{"kind": "mail", "instance": "one"}')]


def test_mail_that_a_lost_lease_leaves_behind_comes_up(redis_store: RedisStore, clock: ManualClock) -> None:
    redis_store.create(record())
    redis_store.enqueue("one", "a")
    clock.advance(11)
    redis_store.enqueue("one", "b")
    assert redis_store.pop_due() == []
    clock.advance(1)
    assert redis_store.pop_due() == MAIL


def test_mail_that_is_taken_does_not_come_up(redis_store: RedisStore, clock: ManualClock) -> None:
    redis_store.create(record())
    redis_store.enqueue("one", "a")
    lease = redis_store.acquire("one", wait=0)
    assert lease is not None
    assert redis_store.save(record(rev=2), lease=lease, ack=1)
    clock.advance(60)
    assert redis_store.pop_due() == []


def test_mail_that_comes_while_other_is_taken_comes_up(redis_store: RedisStore, clock: ManualClock) -> None:
    redis_store.create(record())
    redis_store.enqueue("one", "a")
    lease = redis_store.acquire("one", wait=0)
    assert lease is not None
    redis_store.enqueue("one", "b")
    assert redis_store.save(record(rev=2), lease=lease, ack=1)
    clock.advance(12)
    assert redis_store.pop_due() == MAIL


def test_what_comes_between_the_lease_and_loading_is_told_of_on_release(
    redis_store: RedisStore, connection: RedisConnection, clock: ManualClock
) -> None:
    redis_store.create(record())
    lease = redis_store.acquire("one", wait=0)
    RedisStore(connection, clock=clock).enqueue("one", "a")
    loaded = redis_store.load("one")
    assert lease is not None and loaded is not None
    assert redis_store.save(record(rev=2), lease=lease, ack=loaded.last_message_number)
    assert redis_store.release(lease) is True


# A Redis that has forgotten, or is away


def test_after_all_is_flushed_there_is_another_epoch_and_the_store_is_usable(own_server: RedisServer) -> None:
    connection = RedisConnection(own_server.url, prefix="p:")
    store = RedisStore(connection)
    before = store.epoch
    store.create(record())
    lease = store.acquire("one", wait=0)
    assert lease is not None and store.load("one") is not None
    connection.call("FLUSHALL")
    assert store.load("one") is None
    assert (store.save(record(rev=2), lease=lease), store.release(lease)) == (False, False)
    assert store.create(record())
    assert turn(store, state={"a": "1"}) == store.load("one").record  # type: ignore[union-attr]
    assert RedisStore(connection).epoch not in ("", before)


def test_an_epoch_is_the_same_in_every_store_of_a_prefix(connection: RedisConnection) -> None:
    assert (
        RedisStore(connection).epoch == RedisStore(connection).epoch == connection.call("GET", connection.key("epoch"))
    )


def test_an_epoch_that_was_lost_is_noticed_at_once_by_who_has_not_read_it(own_server: RedisServer) -> None:
    connection = RedisConnection(own_server.url, prefix="p:")
    before = RedisStore(connection).epoch
    own_server.kill()
    own_server.start()
    assert RedisStore(RedisConnection(own_server.url, prefix="p:")).epoch != before


def test_an_epoch_that_was_lost_is_noticed_with_the_first_record_that_is_missed(own_server: RedisServer) -> None:
    connection = RedisConnection(own_server.url, prefix="p:")
    store = RedisStore(connection)
    before = store.epoch
    connection.call("FLUSHALL")
    assert store.epoch == before  # read a moment ago
    assert store.load("one") is None
    assert store.epoch != before


def test_an_epoch_that_was_lost_is_noticed_when_the_bus_is_asked_for_its_position(own_server: RedisServer) -> None:
    connection = RedisConnection(own_server.url, prefix="p:")
    store, bus = RedisStore(connection), RedisBus(connection)
    before = store.epoch
    connection.call("FLUSHALL")
    now = bus.position().partition(".")[0]
    assert (store.epoch, now != before) == (now, True)


def test_a_redis_that_is_away_is_said_to_be_and_used_again_when_it_is_back(own_server: RedisServer) -> None:
    clock = ManualClock()
    store = RedisStore(RedisConnection(own_server.url, prefix="p:", clock=clock))
    store.create(record())
    own_server.kill()
    calls = [
        lambda: store.load("one"),
        lambda: store.create(record()),
        lambda: store.acquire("one", wait=10),
        lambda: list(store.find_by_view("app.View")),
        lambda: store.instances_on("p"),
        lambda: store.epoch,
    ]
    for call in calls:
        with pytest.raises(StoreUnavailable):
            call()
    own_server.start()
    clock.advance(RETRY_DELAY)
    assert store.create(record())
    assert turn(store).rev == 2
    store.close()


def test_a_lease_that_a_frozen_redis_gives_when_nobody_listens_any_more_is_given_back(
    own_server: RedisServer, settings: Any
) -> None:
    settings.HTMX_LIVE = {"LEASE_TTL": 600}
    connection = RedisConnection(own_server.url, prefix="p:")
    store = RedisStore(connection)
    before = store.acquire("one", wait=0)
    assert before is not None
    store.release(before)  # Redis knows the script from now on
    own_server.freeze()
    with pytest.raises(StoreUnavailable):
        store.acquire("one", wait=0)
    own_server.thaw()
    connection.reset_breaker()
    assert store.acquire("one", wait=30) is not None
    store.close()


def test_a_lease_that_could_not_be_given_back_is_given_back_later(own_server: RedisServer, settings: Any) -> None:
    settings.HTMX_LIVE = {"LEASE_TTL": 600}
    connection = RedisConnection(own_server.url, prefix="p:")
    store = RedisStore(connection)
    lease = store.acquire("one", wait=0)
    assert lease is not None
    connection.call("CLIENT", "PAUSE", 1500)
    with pytest.raises(StoreUnavailable):
        store.release(lease)
    connection.reset_breaker()
    other = RedisStore(RedisConnection(own_server.url, prefix="p:"))
    assert other.acquire("one", wait=30) is not None
    store.close(), other.close()


def test_one_users_records_are_found_without_reading_the_others(redis_store: RedisStore, connection: Any) -> None:
    for number in range(500):
        redis_store.create(record(f"other-{number}", owner=Owner(token=f"t{number}", user="999")))
    redis_store.create(record("mine", owner=Owner(token="a", user="1")))
    before = reads(connection)
    assert [one.instance for one in redis_store.find_by_view("app.View", user="1", with_state=False)] == ["mine"]
    assert reads(connection) - before < 10  # other tests may have a few of their own


def reads(connection: Any) -> int:
    """Reads of records that Redis has answered, by all who use it."""
    return int(connection.call("INFO", "commandstats")["cmdstat_hmget"]["calls"])


def test_the_indexes_of_a_page_that_stays_open_live_as_long_as_its_records(
    redis_store: RedisStore, connection: Any
) -> None:
    redis_store.create(record())
    redis_store.touch_page("p", present_for=20, retain_for=100_000)
    keys = [("record", "one"), ("owner", ADA.key), ("view", "app.View"), ("view", "app.View 1")]
    left = [connection.call("PTTL", connection.key(*key)) for key in keys]
    assert all(milliseconds > 99_000_000 for milliseconds in left), left


# Wake-ups


def test_wake_ups_are_read_again_after_a_fault(connection: RedisConnection, monkeypatch: Any, caplog: Any) -> None:
    call, faults = connection.call, iter([ValueError("I/O operation on closed file.")])

    def fail_once(command: str, *args: Any, **pool: Any) -> Any:
        if command == "BLPOP" and (fault := next(faults, None)):
            raise fault
        return call(command, *args, **pool)

    monkeypatch.setattr(connection, "call", fail_once)
    monkeypatch.setattr("htmx_live.backends.redis.wakeups.RETRY_DELAY", 0.0)
    wakeups = Wakeups(connection)
    with wakeups.expect("token") as is_woken:
        wakeups.listen()
        call("RPUSH", connection.key("wake", wakeups.process), "token")
        assert is_woken.wait(PATIENCE)
    assert "closed file" in caplog.text
