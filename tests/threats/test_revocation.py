"""What was allowed when a stream was opened and is not any more: the stream ends."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from tests.http.client import RawStream
from tests.progress.test_event_streams import until_end
from tests.redis_server import RedisServer
from tests.server import ROOT, Server
from tests.threats.serving import UNTOLD, another, execute, serve
from tests.threats.test_streams import until_settled
from tests.threats.wire import Browser

pytestmark = pytest.mark.processes

PATIENCE = 90.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[Server]:
    """One that looks at each stream twice a second."""
    with serve(tmp_path_factory.mktemp("one"), empty_database, HEARTBEAT=0.5) as running:
        yield running


@pytest.fixture(scope="module")
def servers(
    tmp_path_factory: pytest.TempPathFactory, empty_database: Path, redis_server: RedisServer
) -> Iterator[tuple[Server, Server]]:
    """Two processes whose heartbeats are too rare for these tests."""
    shared = {"REDIS_URL": redis_server.url, "REDIS_PREFIX": f"{uuid4().hex}:"}
    folder = tmp_path_factory.mktemp("two")
    with serve(folder, empty_database, HEARTBEAT=300, STREAM_LIFETIME=3000, **shared) as here, another(here) as there:
        yield here, there


def play(scenario: Callable[..., Awaitable[None]], *servers: Server) -> None:
    """Run ``scenario(browser, …)`` with a browser for each server."""

    async def running() -> None:
        async with asyncio.timeout(PATIENCE), AsyncExitStack() as stack:
            await scenario(*[await stack.enter_async_context(Browser(server.port)) for server in servers])

    asyncio.run(running())


async def streams_of(browser: Browser) -> list[RawStream]:
    """A page that asks for a permission, and work of its user."""
    page = await browser.open("/guarded/")
    streams = [await until_settled(await browser.stream(page.page))]
    streams.append(await browser.stream("", await browser.get("/work/")))
    assert streams[1].status == 200
    return streams


@pytest.mark.parametrize("what", UNTOLD)
def test_a_stream_ends_within_a_heartbeat_of_what_no_signal_says(server: Server, what: str) -> None:
    async def scenario(alice: Browser, bob: Browser) -> None:
        await alice.get(f"/join/alice-{what}/")
        await bob.get(f"/join/bob-{what}/")
        page, work = await streams_of(alice)
        others = await bob.stream("", await bob.get("/work/"))
        execute(server, UNTOLD[what], name=f"alice-{what}", session=alice.cookie("sessionid"))
        assert (await page.until("bye"))[-1].name == "bye"
        if what != "permission":  # work needs no permission, it belongs to its owner
            await until_end(work)
        assert await others.event() is not None

    play(scenario, server, server)


@pytest.mark.parametrize("what", ["end_streams", "deactivated", "password", "deleted", "permission", "group"])
def test_a_stream_ends_at_once_in_every_process(servers: tuple[Server, Server], what: str) -> None:
    here, there = servers

    async def scenario(browser: Browser, admin: Browser) -> None:
        await browser.get(f"/join/{what}/")
        streams = await streams_of(browser)
        browser.port = there.port
        streams += await streams_of(browser)
        await admin.get(f"/change/{what}/{what}/")
        await asyncio.gather(*(until_end(stream) for stream in streams))

    play(scenario, here, here)


END = """
import django
django.setup()
from django.contrib.auth import get_user_model
from htmx_live import end_streams
end_streams(get_user_model().objects.get(username="command"))
"""


def test_a_command_ends_the_streams_of_every_process(servers: tuple[Server, Server]) -> None:
    here, there = servers

    async def scenario(browser: Browser) -> None:
        await browser.get("/join/command/")
        streams = await streams_of(browser)
        browser.port = there.port
        streams += await streams_of(browser)
        command = [sys.executable, "-c", END]
        await asyncio.to_thread(subprocess.run, command, check=True, env={**os.environ, **here.env}, cwd=ROOT)
        await asyncio.gather(*(until_end(stream) for stream in streams))

    play(scenario, here)
