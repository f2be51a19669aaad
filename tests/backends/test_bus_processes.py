"""Two web processes on one Redis: what one of them says, the streams of both hear."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.http.client import Connections
from tests.redis_server import RedisServer
from tests.server import Server

pytestmark = pytest.mark.processes

PREFIX = "processes:"
Scenario = Callable[[Connections, Connections], Awaitable[None]]


@contextmanager
def serving(redis: RedisServer, folder: Path) -> Iterator[tuple[Server, Server]]:
    chosen = {"REDIS_URL": redis.url, "REDIS_PREFIX": PREFIX}
    env = {"DJANGO_SETTINGS_MODULE": "tests.http.settings", "TRANSPORT_SETTINGS": json.dumps(chosen)}
    here, there = (Server("tests.http.app:application", log=folder / name, env=env) for name in ("here", "there"))
    with here, there:
        yield here, there


@pytest.fixture(scope="module")
def servers(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    with serving(redis_server, tmp_path_factory.mktemp("processes")) as running:
        yield running


def play(scenario: Scenario, servers: tuple[Server, Server]) -> None:
    """Run ``scenario(here, there)`` against two servers."""

    async def run() -> None:
        async with Connections(servers[0].port) as here, Connections(servers[1].port) as there:
            await scenario(here, there)

    asyncio.run(run())


def publish(data: str, channel: str = "topic:all") -> tuple[str, dict[str, Any]]:
    return "publish", {"channels": [channel], "target": "t", "data": data}


def subscribed(redis: RedisServer, processes: int) -> None:
    """Return when so many processes hear the bus."""
    channel, give_up = f"{PREFIX}bus", time.monotonic() + 20
    with redis.client() as client:
        while client.pubsub_numsub(channel)[0][1] != processes:
            assert time.monotonic() < give_up


def test_what_one_process_publishes_reaches_the_streams_of_both(servers):
    async def scenario(here, there):
        streams = [*await here.open_many(5, x_channels="topic:all"), *await there.open_many(5, x_channels="topic:all")]
        for n in range(20):
            await (here if n % 2 else there).tell(publish(f"state {n}"))
        for stream in streams:
            numbers = [int(event.id.split(".")[1]) for event in await stream.until_data("state 19")]
            assert numbers == sorted(set(numbers))

    play(scenario, servers)


def test_a_page_joins_and_a_session_ends_from_the_other_process(servers):
    async def scenario(here, there):
        stream = await here.open(x_live_page="p", x_session="hash")
        await stream.settle()
        await there.tell(("add_channels", {"page": "p", "channels": ["topic:all"]}), publish("joined"))
        await stream.until_data("joined")
        await there.tell(("close_streams", {"key": "hash"}))
        await stream.until("bye")

    play(scenario, servers)


def test_a_projects_own_events_reach_stock_streams_of_both_processes_once(redis_server, servers):
    async def scenario(here, there):
        streams = [await here.open("/events/"), await there.open("/events/")]
        for stream in streams:
            await stream.until("stream-open", with_empty=True)
        subscribed(redis_server, 2)
        for n in range(50):
            await (here if n % 2 else there).tell(("send_event", {"channel": "news", "data": n}))
        for stream in streams:
            events = await stream.until_data("49")
            assert [event.data for event in events if event.name == "message"] == [str(n) for n in range(50)]

    play(scenario, servers)


@pytest.mark.faults
def test_streams_outlive_a_redis_that_keeps_its_data(tmp_path):
    with RedisServer(tmp_path, durable=True) as redis:

        async def scenario(here, there):
            streams = [
                *await here.open_many(2, x_channels="topic:all"),
                *await there.open_many(2, x_channels="topic:all"),
            ]
            redis.kill()
            assert (await here.open(x_live_page="new")).status == 503
            await asyncio.to_thread(redis.start)
            await tell_when_it_is_back(there, publish("back"))
            for stream in streams:
                assert "reset" not in [event.name for event in await stream.until_data("back")]

        with serving(redis, tmp_path) as servers:
            play(scenario, servers)


@pytest.mark.faults
def test_streams_outlive_a_redis_that_comes_back_empty_and_are_reset(tmp_path):
    with RedisServer(tmp_path) as redis:

        async def scenario(here, there):
            streams = [
                *await here.open_many(2, x_channels="topic:all"),
                *await there.open_many(2, x_channels="topic:all"),
            ]
            redis.kill()
            await asyncio.to_thread(redis.start)
            for stream in streams:
                await stream.until("reset")
            await tell_when_it_is_back(there, publish("back"))
            for stream in streams:
                await stream.until_data("back")

        with serving(redis, tmp_path) as servers:
            play(scenario, servers)


async def tell_when_it_is_back(connections: Connections, call: tuple[str, dict[str, Any]]) -> None:
    """Publish until a connection that has just failed tries again."""
    for _ in range(1000):
        try:
            await connections.tell(call)
            return
        except OSError:  # the server's 500
            continue
    raise AssertionError("Nothing can be published")
