"""The stores that the contract holds for; each is given with a clock that the test moves."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from htmx_live.redis_connection import RedisConnection
from htmx_live.stores.memory import MemoryStore
from htmx_live.stores.redis import RedisStore
from htmx_live.testing import ManualClock
from tests.redis_server import RedisServer

Given = Callable[[str], Any]  # a fixture, by its name


def _memory(clock: ManualClock, given: Given) -> MemoryStore:
    return MemoryStore(clock=clock)


def _redis(clock: ManualClock, given: Given) -> RedisStore:
    return RedisStore(given("connection"), clock=clock)


STORES: dict[str, Callable[[ManualClock, Given], Any]] = {"memory": _memory, "redis": _redis}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def connection(redis_server: RedisServer) -> RedisConnection:
    """Under a prefix of its own, so that no test sees what another has left."""
    return RedisConnection(redis_server.url, prefix=f"{uuid4().hex}:")


@pytest.fixture
def redis_store(connection: RedisConnection, clock: ManualClock) -> Iterator[RedisStore]:
    store = RedisStore(connection, clock=clock)
    yield store
    store.close()


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.processes)])
def store(request: pytest.FixtureRequest, clock: ManualClock) -> Iterator[Any]:
    store = STORES[request.param](clock, request.getfixturevalue)
    yield store
    if isinstance(store, RedisStore):
        store.close()
