"""Buses for the contract suite: every implementation runs every test of it."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from htmx_live.redis_connection import RedisConnection
from htmx_live.testing import ManualClock
from htmx_live.transport.bus import Bus, MemoryBus, RedisBus
from tests.redis_server import RedisServer
from tests.transport.recorder import Recorder, settle


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def connection(redis_server: RedisServer) -> Iterator[RedisConnection]:
    """To the Redis of the whole run, under a prefix of the test's own."""
    connection = RedisConnection(redis_server.url, prefix=f"{uuid4().hex}:")
    yield connection
    connection.close()


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
