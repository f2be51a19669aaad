"""Stores and buses for the contract suites, each with a clock that the test moves."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from htmx_live.backends import Bus, MemoryBus, RedisBus
from htmx_live.backends.memory.store import MemoryStore
from htmx_live.backends.redis.client import RedisConnection
from htmx_live.backends.redis.store import RedisStore
from htmx_live.testing import ManualClock
from tests.backends.recorder import Recorder, settle
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
def connection(redis_server: RedisServer) -> Iterator[RedisConnection]:
    """To the Redis of the whole run, under a prefix of the test's own."""
    connection = RedisConnection(redis_server.url, prefix=f"{uuid4().hex}:")
    yield connection
    connection.close()


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


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.processes)])
def bus(request: pytest.FixtureRequest, clock: ManualClock) -> Bus:
    if request.param == "memory":
        return MemoryBus(clock=clock)
    return RedisBus(request.getfixturevalue("connection"), clock=clock)


@pytest.fixture
def receiver(bus: Bus) -> Iterator[Recorder]:
    """A receiver that is subscribed to the bus and hears it."""
    recorder = Recorder()
    bus.subscribe(recorder)
    if isinstance(bus, RedisBus):
        assert recorder.wait_for("converge")
        recorder.noted.clear()
        recorder.settle = lambda: settle(bus)
    yield recorder
    bus.unsubscribe(recorder)
