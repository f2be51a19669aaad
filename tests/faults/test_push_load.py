"""Many viewers, many pushes, viewers that do not read: everybody ends with the newest state.

A real server; every viewer is a raw connection.  Nothing here asserts how long anything takes.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.faults.viewers import PATIENCE, Viewer, ask, load_page, push
from tests.server import Server

pytestmark = pytest.mark.processes

SITE = "tests.messaging.push_site."
LOG, SHARED_LOG, LARGE = (SITE + name for name in ("Log", "SharedLog", "Large"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("pushes")
    env = {"DJANGO_SETTINGS_MODULE": "tests.messaging.push_settings", "TMPDIR": str(folder)}
    with Server("tests.benchmarks.asgi:application", log=folder / "server.log", env=env) as running:
        yield running


@pytest.fixture
def port(server: Server) -> int:
    """The server's, when the viewers of the test before have gone."""
    asyncio.run(until(server.port, lambda now: now["streams"] == now["ticked"] == 0))
    return server.port


@asynccontextmanager
async def viewers(port: int, path: str, count: int) -> AsyncIterator[list[Viewer]]:
    """So many pages with open streams, each of a visitor of its own."""
    opened: list[Viewer] = []
    try:
        for _ in range(count):
            opened.append(await Viewer.open(port, path))
        yield opened
    finally:
        await asyncio.gather(*(viewer.close() for viewer in opened))


async def all_show(watching: list[Viewer], text: str | Callable[[str], bool]) -> None:
    await asyncio.gather(*(viewer.until(text) for viewer in watching))


async def until(port: int, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first census of which ``is_so``."""
    give_up = time.monotonic() + PATIENCE
    while not is_so(counted := await asyncio.to_thread(ask, port)):
        assert time.monotonic() < give_up, counted
        await asyncio.sleep(0.01)
    return counted


@pytest.mark.parametrize(("view", "instances"), [("Crowd", 200), ("SharedCrowd", 1)])
def test_two_hundred_viewers_all_get_the_final_state(port: int, view: str, instances: int) -> None:
    async def scenario() -> None:
        async with viewers(port, f"/{view}/", 200) as watching:
            for number in (1, 2, 3):
                counts = await asyncio.to_thread(push, port, {"view": SITE + view, "state": {"last": number}})
                assert counts == [instances]
            await all_show(watching, "last 3.")

    asyncio.run(scenario())


def test_viewers_that_come_and_go_during_pushes_end_with_the_final_state(port: int) -> None:
    async def scenario() -> None:
        async with viewers(port, "/Log/", 10) as first:
            pushing = asyncio.create_task(
                asyncio.to_thread(
                    lambda: [push(port, {"view": LOG, "handler": "hear", "payload": {"number": n}}) for n in range(100)]
                )
            )
            async with viewers(port, "/Log/", 10) as second:
                await asyncio.gather(*(viewer.close() for viewer in first[:5]))
                await pushing
                await all_show([*first[5:], *second], "last 99.")
            assert all("[100 heard" in viewer.html for viewer in first[5:])

    asyncio.run(scenario())


@pytest.mark.parametrize("view", ["Log", "SharedBurst"])
def test_a_burst_of_a_thousand_pushes_loses_none(port: int, view: str) -> None:
    burst = [{"view": SITE + view, "handler": "hear", "payload": {"number": number}} for number in range(1000)]

    async def scenario() -> None:
        async with viewers(port, f"/{view}/", 3) as watching:
            await asyncio.to_thread(push, port, *burst)
            await all_show(watching, "[1000 heard, 0 steps, 0 clicks, last 999.]")

    asyncio.run(scenario())


def test_a_client_that_does_not_read_slows_nobody_and_gets_the_newest_when_it_does(port: int) -> None:
    async def scenario() -> None:
        async with viewers(port, "/Large/", 3) as others:
            slow = await Viewer.open(port, "/Large/", buffer=4096)
            for number in range(1, 151):  # 15 MB, more than the system takes in for one connection
                await asyncio.to_thread(push, port, {"view": LARGE, "state": {"last": number}})
                await all_show(others, f"last {number}.")
            assert (await asyncio.to_thread(ask, port))["pending"] == 1
            await slow.until("last 150.")
            assert slow.renders < others[0].renders == 150
            await slow.close()

    asyncio.run(scenario())


def test_pushes_clicks_and_a_job_at_once_end_in_the_right_state_for_every_viewer(port: int) -> None:
    pushes = [{"view": SHARED_LOG, "handler": "hear", "payload": {"number": number}} for number in range(300)]
    end = "[300 heard, 30 steps, 100 clicks, last 299.]"

    async def scenario() -> None:
        async with viewers(port, "/SharedLog/", 5) as watching:
            clicker = await asyncio.to_thread(load_page, port, "/SharedLog/")
            assert await asyncio.to_thread(clicker.event, "work") == 200
            clicking = asyncio.to_thread(lambda: [clicker.event("click") for _ in range(100)])
            pushing = asyncio.to_thread(lambda: [push(port, each) for each in pushes])
            await asyncio.gather(clicking, pushing, all_show(watching, end))
            await all_show(watching, 'data-live-pending=""')
            assert all(end in viewer.html for viewer in watching)

    asyncio.run(scenario())


def test_every_instance_hears_all_pushes_while_its_own_job_and_clicks_run(port: int) -> None:
    pushes = [{"view": LOG, "handler": "hear", "payload": {"number": number}} for number in range(300)]

    async def scenario() -> None:
        async with viewers(port, "/Log/", 5) as watching:
            pages = [viewer.page for viewer in watching]
            await asyncio.to_thread(lambda: [page.event("work") for page in pages])
            clicking = asyncio.to_thread(lambda: [page.event("click") for page in pages for _ in range(20)])
            pushing = asyncio.to_thread(lambda: [push(port, each) for each in pushes])
            await asyncio.gather(clicking, pushing, all_show(watching, "[300 heard, 30 steps, 20 clicks, last 299.]"))

    asyncio.run(scenario())


def test_ticks_start_with_the_first_viewer_and_stop_with_the_last(port: int) -> None:
    async def show_and_leave() -> None:
        async with viewers(port, "/Ticks/", 2) as watching:
            before = (await asyncio.to_thread(ask, port))["ticks"]
            await until(port, lambda now: now["ticks"] >= before + 3)
            await watching[0].close()
            left = (await until(port, lambda now: now["streams"] == 1))["ticks"]
            await until(port, lambda now: now["ticks"] >= left + 15)  # longer than a page is waited for
        stopped = await until(port, lambda now: now["ticked"] == 0)
        assert (await asyncio.to_thread(ask, port))["ticks"] == stopped["ticks"]

    asyncio.run(show_and_leave())
    asyncio.run(show_and_leave())  # and start anew


def test_a_shared_view_ticks_once_per_interval_for_all_its_viewers(port: int) -> None:
    async def scenario() -> None:
        async with viewers(port, "/Ticks/", 50) as watching:
            began = await asyncio.to_thread(ask, port)
            await until(port, lambda now: now["ticks"] >= began["ticks"] + 10)
            ended = await asyncio.to_thread(ask, port)
            await all_show(watching, lambda html: int(re.findall(r"(\d+) ticks", html)[0]) > ended["ticks"])
        assert ended["ticks"] - began["ticks"] <= (ended["now"] - began["now"]) / 0.1 + 1

    asyncio.run(scenario())
