"""What was allowed when a stream was opened and is not any more: the stream ends."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import pytest

from tests.progress.test_event_streams import until_end
from tests.redis_server import RedisServer
from tests.server import Server
from tests.threats.test_streams import LOST, manage, serve, until_settled
from tests.threats.wire import Browser
from tests.transport.client import RawStream

pytestmark = pytest.mark.processes

PATIENCE = 90.0
ALICE = "from django.contrib.auth import get_user_model as model; alice = model().objects.get(username='alice');"
UNTOLD = {  # no signal says it
    "permission": LOST,
    "deactivated": ALICE + "model().objects.filter(pk=alice.pk).update(is_active=False)",
    "password": ALICE + "model().objects.filter(pk=alice.pk).update(password='x')",
    "session": "from django.contrib.sessions.models import Session; Session.objects.all().delete()",
    "deleted": ALICE + "model().objects.filter(pk=alice.pk).delete()",
}
TOLD = {
    "end_streams": ALICE + "from htmx_live import end_streams; end_streams(alice)",
    "deactivated": ALICE + "alice.is_active = False; alice.save()",
    "password": ALICE + "alice.set_password('x'); alice.save()",
    "deleted": ALICE + "alice.delete()",
    "permission": LOST,
    "group": ALICE + "alice.groups.clear()",
}


def play(scenario: Callable[[], Awaitable[None]]) -> None:
    async def running() -> None:
        async with asyncio.timeout(PATIENCE):
            await scenario()

    asyncio.run(running())


async def streams_of(browser: Browser) -> list[RawStream]:
    """A page that asks for a permission, and work of its user."""
    page = await browser.open("/guarded/")
    streams = [await until_settled(await browser.stream(page.page))]
    streams.append(await browser.stream("", await browser.get("/work/")))
    assert streams[1].status == 200
    return streams


@pytest.mark.parametrize("what", UNTOLD)
def test_a_stream_ends_within_a_heartbeat_of_what_no_signal_says(tmp_path: Path, what: str) -> None:
    with serve(tmp_path, HEARTBEAT=2) as server:

        async def scenario() -> None:
            async with Browser(server.port) as alice, Browser(server.port) as bob:
                await alice.get("/login/alice/")
                await bob.get("/login/bob/")
                page, work = await streams_of(alice)
                others = await bob.stream("", await bob.get("/work/"))
                await asyncio.to_thread(manage, server.env, "shell", "-c", UNTOLD[what])
                assert (await page.until("bye"))[-1].name == "bye"
                if what != "permission":  # work belongs to its owner, whatever they may do
                    await until_end(work)
                if what != "session":
                    assert await others.event() is not None

        play(scenario)


@pytest.mark.parametrize("what", TOLD)
def test_a_stream_ends_at_once_in_every_process(tmp_path: Path, redis_server: RedisServer, what: str) -> None:
    chosen = {"REDIS_URL": redis_server.url, "REDIS_PREFIX": f"{uuid4().hex}:"}
    here: Server = serve(tmp_path, HEARTBEAT=300, STREAM_LIFETIME=3000, **chosen)
    there = Server(here.app, log=tmp_path / "there.log", env=here.env)

    async def scenario() -> None:
        async with Browser(here.port) as browser:
            await browser.get("/login/alice/")
            streams = await streams_of(browser)
            browser.port = there.port
            streams += await streams_of(browser)
            await asyncio.to_thread(manage, here.env, "shell", "-c", TOLD[what])
            await asyncio.gather(*(until_end(stream) for stream in streams))

    with here, there:
        play(scenario)
