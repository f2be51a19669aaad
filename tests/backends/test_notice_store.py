"""What every place for unread notices does: this process's memory, and Redis."""

from collections.abc import Iterator
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
from django.test import override_settings

from htmx_live.backends.notice_store import MemoryNoticeStore, NoticeStore, RedisNoticeStore, StoredNotice, notice_store
from htmx_live.backends.redis.client import RedisConnection
from htmx_live.testing import ManualClock
from tests.redis_server import RedisServer

IDS = count()


def notice(message: str = "Done", key: str = "") -> StoredNotice:
    new = f"n{next(IDS)}"
    return StoredNotice(id=new, key=key or new, message=message, level="info", url="/x/")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.processes)])
def place(request: pytest.FixtureRequest, clock: ManualClock) -> Iterator[NoticeStore]:
    if request.param == "memory":
        yield MemoryNoticeStore(clock=clock)
    else:
        server: RedisServer = request.getfixturevalue("redis_server")
        yield RedisNoticeStore(RedisConnection(server.url, prefix=f"{uuid4().hex}:"))


def test_notices_wait_in_their_order_for_their_owner_alone(place: NoticeStore) -> None:
    first, second = notice("Ünï 漢字 🎉 'a' \"b\" %d"), notice()
    assert (place.add("user:1", first), place.add("user:1", second)) == ([], [])
    assert (place.unread("user:1"), place.unread("user:2")) == ([first, second], [])


def test_a_newer_notice_takes_the_place_of_the_one_with_its_key(place: NoticeStore) -> None:
    old, other, new = notice("1", "import 1"), notice(), notice("2", "import 1")
    place.add("user:1", old)
    place.add("user:1", other)
    assert place.add("user:1", new) == [old.id]
    assert place.unread("user:1") == [other, new]


def test_what_is_removed_is_gone_once(place: NoticeStore) -> None:
    first, second = notice(), notice()
    place.add("user:1", first)
    place.add("user:1", second)
    assert place.remove("user:2", [first.id]) == []
    assert place.remove("user:1", [first.id, "unknown"]) == [first.id]
    assert place.remove("user:1", [first.id]) == []
    assert place.unread("user:1") == [second]


@pytest.mark.parametrize("limit", [1, 3])
def test_the_oldest_goes_when_there_are_too_many(place: NoticeStore, limit: int) -> None:
    many = [notice() for _ in range(5)]
    with override_settings(HTMX_LIVE={"MAX_NOTICES": limit}):
        gone = [place.add("user:1", one) for one in many]
    assert gone == [[], [], [], [], []][:limit] + [[one.id] for one in many[: 5 - limit]]
    assert place.unread("user:1") == many[-limit:]


def test_a_notice_waits_for_so_long(clock: ManualClock) -> None:
    place = MemoryNoticeStore(clock=clock)
    place.add("user:1", notice())
    clock.advance(604_799)
    assert len(place.unread("user:1")) == 1
    clock.advance(1)
    assert place.unread("user:1") == []


def test_in_redis_a_notice_waits_for_so_long(redis_server: RedisServer) -> None:
    connection = RedisConnection(redis_server.url, prefix=f"{uuid4().hex}:")
    RedisNoticeStore(connection).add("user:1", notice())
    assert 604_790 < connection.call("TTL", connection.key("notices", "user:1")) <= 604_800
    connection.call("LSET", connection.key("notices", "user:1"), 0, "1 id mark {}")  # it ended in 1970
    assert RedisNoticeStore(connection).unread("user:1") == []


def test_a_site_with_redis_keeps_them_there(redis_server: RedisServer, settings: Any) -> None:
    assert isinstance(notice_store(), MemoryNoticeStore)
    settings.HTMX_LIVE = {"REDIS_URL": redis_server.url, "REDIS_PREFIX": f"{uuid4().hex}:"}
    assert isinstance(notice_store(), RedisNoticeStore)


def test_in_memory_the_next_notice_sweeps_out_owners_whose_notices_are_out_of_date(clock: ManualClock) -> None:
    place = MemoryNoticeStore(clock=clock)
    with override_settings(HTMX_LIVE={"NOTICE_TTL": 60}):
        for number in range(5):
            place.add(f"user:{number}", notice())
        clock.advance(30)
        place.add("user:4", notice())
        clock.advance(30)
        place.add("user:5", notice())
    assert list(place._owners) == ["user:4", "user:5"]
