"""``RedisStore``: what cannot be read, what expires, and a Redis that is away or has forgotten all."""

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from htmx_live.exceptions import StoreUnavailable
from htmx_live.records import JobRow, Owner, Record
from htmx_live.redis_connection import PAUSE, RedisConnection
from htmx_live.stores.encoding import FIELDS, Unreadable, decode_record, encode_record
from htmx_live.stores.redis import RedisStore
from htmx_live.testing import ManualClock
from tests.redis_server import RedisServer
from tests.stores.test_contract import record, turn


@pytest.fixture
def connection(redis_server: RedisServer) -> RedisConnection:
    return RedisConnection(redis_server.url, prefix=f"{uuid4().hex}:")


@pytest.fixture
def store(connection: RedisConnection, clock: ManualClock) -> Iterator[RedisStore]:
    store = RedisStore(connection, clock=clock)
    yield store
    store.close()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as server:
        yield server


def keys(connection: RedisConnection) -> set[str]:
    found = connection.call("KEYS", connection.key("*"))
    return {name.removeprefix(connection.prefix) for name in found} - {"epoch"}


# What cannot be read


class Bomb:
    exploded = False

    def __reduce__(self) -> Any:
        return setattr, (Bomb, "exploded", True)


HEAD = {"instance": "one", "owner": {"token": "a", "user": "1"}}
POISONS: dict[str, tuple[str, Any]] = {
    "pickle": ("head", pickle.dumps(Bomb())),
    "no JSON": ("head", "{"),
    "no object": ("head", "[]"),
    "nested without end": ("head", "[" * 100_000),
    "an unknown field": ("head", json.dumps({**HEAD, "later": 1})),
    "a field that has its own place": ("head", json.dumps({**HEAD, "rev": 5})),
    "no owner": ("head", json.dumps({"instance": "one"})),
    "an odd owner": ("head", json.dumps({**HEAD, "owner": ["a", "1"]})),
    "another's id": ("head", json.dumps({**HEAD, "instance": "two"})),
    "kwargs that are none": ("head", json.dumps({**HEAD, "kwargs": []})),
    "a bool for a number": ("head", json.dumps({**HEAD, "remounts": True})),
    "an odd child": ("head", json.dumps({**HEAD, "children": {"k": ["two"]}})),
    "odd jobs": ("jobs", '[{"ref": 1}]'),
    "a job in no known stage": ("jobs", '[{"ref": "r", "handler": "h", "name": "n", "stage": "x"}]'),
    "odd state": ("state", '{"a": 1}'),
    "state of bytes": ("state", pickle.dumps({"a": "1"})),
    "no number": ("rev", "one"),
    "a number without end": ("rev", "9" * 5000),
    "older schema": ("schema", "0"),
    "newer schema": ("schema", "2"),
    "no time": ("used", "soon"),
    "letters without a number": ("posted", "x"),
}


@pytest.mark.parametrize("poison", POISONS)
def test_a_poisoned_record_is_gone_and_can_be_created_anew(
    store: RedisStore, connection: RedisConnection, poison: str
) -> None:
    store.create(record())
    connection.call("HSET", connection.key("record", "one"), *POISONS[poison])
    assert store.load("one") is None
    assert (store.post("one", "letter"), list(store.of_view("app.View")), Bomb.exploded) == (0, [], False)
    assert store.create(record(), once=True)
    assert store.load("one") is not None


@pytest.mark.parametrize("poison", POISONS)
def test_one_poisoned_record_keeps_no_other_from_a_push(
    store: RedisStore, connection: RedisConnection, poison: str
) -> None:
    store.create(record())
    store.create(record("two"))
    connection.call("HSET", connection.key("record", "one"), *POISONS[poison])
    assert "two" in [found.instance for found in store.of_view("app.View", state=False)]


@pytest.mark.parametrize("name", FIELDS)
def test_a_record_without_one_of_its_fields_is_gone(store: RedisStore, connection: RedisConnection, name: str) -> None:
    store.create(record(state={"a": "1"}))
    connection.call("HDEL", connection.key("record", "one"), name)
    assert store.load("one") is None


def test_a_key_of_another_type_is_no_record(store: RedisStore, connection: RedisConnection) -> None:
    connection.call("SET", connection.key("record", "one"), pickle.dumps(Bomb()))
    assert (store.load("one"), store.post("one", "a"), store.is_shown("one")) == (None, 0, False)
    assert store.create(record(), once=True)


def test_a_letter_for_a_record_that_cannot_count_is_for_nobody(store: RedisStore, connection: RedisConnection) -> None:
    store.create(record())
    connection.call("HSET", connection.key("record", "one"), "posted", "x")
    assert (store.post("one", "a"), store.load("one")) == (0, None)


def test_what_is_no_letter_is_left_out(store: RedisStore, connection: RedisConnection) -> None:
    store.create(record())
    store.post("one", "a\nb")
    connection.call("RPUSH", connection.key("mail", "one"), pickle.dumps(Bomb()))
    loaded = store.load("one")
    assert loaded is not None
    assert loaded.mail == ("a\nb",)


def test_every_field_of_a_record_is_read_back() -> None:
    job = JobRow(ref="r", handler="h", name="n", key="k", page="p")
    whole = record(state={"ä\x00": '"\U0001f600"'}, jobs=(job,), children={"k": ("two", "d")}, url={"q": ["a", "b"]})
    assert decode_record([*encode_record(whole)]) == whole


def test_a_list_is_no_record() -> None:
    with pytest.raises(Unreadable, match="schema is None"):
        decode_record([None] * len(FIELDS))


# What is kept, and for how long


def test_every_key_expires_but_the_epoch(store: RedisStore, connection: RedisConnection) -> None:
    store.create(record(jobs=(JobRow(ref="r", handler="h", name="n"),)))
    store.create(Record(instance="shared", view="app.View", owner=Owner(), shared=True))
    store.link("p", "shared")
    store.show("p", present=10, kept=10)
    store.post("one", "letter")
    store.subscribe("p", "topic:a")
    store.acquire("one", wait=0)
    store.acquire("one", wait=0.01)
    store.hold("tick", "me", ttl=10)
    store.set_deadline("job", "{}", within=10)
    assert store.epoch
    assert {name for name in keys(connection) if connection.call("PTTL", connection.key(name)) < 0} == set()


def test_nothing_is_left_of_what_was_deleted_and_given_back(store: RedisStore, connection: RedisConnection) -> None:
    store.create(record())
    store.link("q", "one")
    store.show("p", present=10, kept=10)
    store.post("one", "letter")
    lease = store.acquire("one", wait=0)
    assert lease is not None
    assert store.acquire("one", wait=0.01) is None
    store.delete("one")
    store.release(lease)
    store.hold("tick", "me", ttl=10)
    store.let_go("tick", "me")
    store.set_deadline("job", "{}", within=10)
    store.clear_deadline("job")
    assert keys(connection) == set()


def test_a_record_goes_sooner_once_its_last_job_has_ended(store: RedisStore, connection: RedisConnection) -> None:
    store.create(record(jobs=(JobRow(ref="r", handler="h", name="n"),)))
    turn(store, jobs=())
    assert connection.call("PTTL", connection.key("record", "one")) <= 1_801_000


def test_indexes_forget_what_has_expired(store: RedisStore, connection: RedisConnection) -> None:
    for number in range(100):
        store.create(Record(instance=str(number), view="app.View", owner=Owner()))
        connection.call("DEL", connection.key("record", str(number)))
    assert (store.count(Owner()) <= 5, connection.call("SCARD", connection.key("view", "app.View")) <= 5) == (
        True,
        True,
    )


def test_a_view_of_very_many_records_is_read_whole_and_each_once(store: RedisStore) -> None:
    for number in range(1000):
        store.create(Record(instance=str(number), view="app.View", owner=Owner(), state={"a": "1"}))
    found = [(one.instance, one.state) for one in store.of_view("app.View", state=False)]
    assert sorted(found) == sorted((str(number), {}) for number in range(1000))


# Mail of a turn that died


MAIL = [("mail:one", '{"kind": "mail", "instance": "one"}')]


def test_mail_that_a_lost_lease_leaves_behind_comes_up(store: RedisStore, clock: ManualClock) -> None:
    store.create(record())
    store.post("one", "a")
    clock.advance(11)
    store.post("one", "b")
    assert store.overdue() == []
    clock.advance(1)
    assert store.overdue() == MAIL


def test_mail_that_is_taken_does_not_come_up(store: RedisStore, clock: ManualClock) -> None:
    store.create(record())
    store.post("one", "a")
    lease = store.acquire("one", wait=0)
    assert lease is not None
    assert store.save(record(rev=2), lease=lease, taken=1)
    clock.advance(60)
    assert store.overdue() == []


def test_mail_that_comes_while_other_is_taken_comes_up(store: RedisStore, clock: ManualClock) -> None:
    store.create(record())
    store.post("one", "a")
    lease = store.acquire("one", wait=0)
    assert lease is not None
    store.post("one", "b")
    assert store.save(record(rev=2), lease=lease, taken=1)
    clock.advance(12)
    assert store.overdue() == MAIL


def test_what_comes_between_the_lease_and_loading_is_told_of_on_release(
    store: RedisStore, connection: RedisConnection, clock: ManualClock
) -> None:
    store.create(record())
    lease = store.acquire("one", wait=0)
    RedisStore(connection, clock=clock).post("one", "a")
    loaded = store.load("one")
    assert lease is not None and loaded is not None
    assert store.save(record(rev=2), lease=lease, taken=loaded.mark)
    assert store.release(lease) is True


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


def test_a_redis_that_is_away_is_said_to_be_and_used_again_when_it_is_back(own_server: RedisServer) -> None:
    clock = ManualClock()
    store = RedisStore(RedisConnection(own_server.url, prefix="p:", clock=clock))
    store.create(record())
    own_server.kill()
    calls = [
        lambda: store.load("one"),
        lambda: store.create(record()),
        lambda: store.acquire("one", wait=10),
        lambda: list(store.of_view("app.View")),
        lambda: store.members("p"),
        lambda: store.epoch,
    ]
    for call in calls:
        with pytest.raises(StoreUnavailable):
            call()
    own_server.start()
    clock.advance(PAUSE)
    assert store.create(record())
    assert turn(store).rev == 2
