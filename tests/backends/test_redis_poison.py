"""``RedisStore``: what stands under our keys is not trusted; what cannot be read is gone, and nothing in it is run."""

import json
import pickle
from typing import Any

import pytest

from htmx_live.backends.redis.client import RedisConnection
from htmx_live.backends.redis.store import RedisStore
from htmx_live.backends.serialization import RECORD_FIELDS, UnreadableRecord, decode_record, encode_record
from htmx_live.core.records import JobRow
from tests.backends.test_store_contract import record


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
    "a bool for a number": ("head", json.dumps({**HEAD, "granted_at": True})),
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
    redis_store: RedisStore, connection: RedisConnection, poison: str
) -> None:
    redis_store.create(record())
    connection.call("HSET", connection.key("record", "one"), *POISONS[poison])
    assert redis_store.load("one") is None
    assert (redis_store.enqueue("one", "letter"), list(redis_store.find_by_view("app.View")), Bomb.exploded) == (
        0,
        [],
        False,
    )
    assert redis_store.create(record(), once=True)
    assert redis_store.load("one") is not None


@pytest.mark.parametrize("poison", POISONS)
def test_one_poisoned_record_keeps_no_other_from_a_push(
    redis_store: RedisStore, connection: RedisConnection, poison: str
) -> None:
    redis_store.create(record())
    redis_store.create(record("two"))
    connection.call("HSET", connection.key("record", "one"), *POISONS[poison])
    assert "two" in [found.instance for found in redis_store.find_by_view("app.View", with_state=False)]


@pytest.mark.parametrize("name", RECORD_FIELDS)
def test_a_record_without_one_of_its_fields_is_gone(
    redis_store: RedisStore, connection: RedisConnection, name: str
) -> None:
    redis_store.create(record(state={"a": "1"}))
    connection.call("HDEL", connection.key("record", "one"), name)
    assert redis_store.load("one") is None


def test_a_key_of_another_type_is_no_record(redis_store: RedisStore, connection: RedisConnection) -> None:
    connection.call("SET", connection.key("record", "one"), pickle.dumps(Bomb()))
    assert (redis_store.load("one"), redis_store.enqueue("one", "a"), redis_store.is_viewed("one")) == (None, 0, False)
    assert redis_store.create(record(), once=True)


def test_a_letter_for_a_record_that_cannot_count_is_for_nobody(
    redis_store: RedisStore, connection: RedisConnection
) -> None:
    redis_store.create(record())
    connection.call("HSET", connection.key("record", "one"), "posted", "x")
    assert (redis_store.enqueue("one", "a"), redis_store.load("one")) == (0, None)


def test_what_is_no_letter_is_left_out(redis_store: RedisStore, connection: RedisConnection) -> None:
    redis_store.create(record())
    redis_store.enqueue("one", "a\nb")
    connection.call("RPUSH", connection.key("mail", "one"), pickle.dumps(Bomb()))
    loaded = redis_store.load("one")
    assert loaded is not None
    assert loaded.messages == ("a\nb",)


def test_every_field_of_a_record_is_read_back() -> None:
    job = JobRow(ref="r", handler="h", name="n", key="k", page="p")
    whole = record(state={"ä\x00": '"\U0001f600"'}, jobs=(job,), children={"k": ("two", "d")}, url={"q": ["a", "b"]})
    assert decode_record([*encode_record(whole)]) == whole


def test_a_list_is_no_record() -> None:
    with pytest.raises(UnreadableRecord, match="schema is None"):
        decode_record([None] * len(RECORD_FIELDS))
