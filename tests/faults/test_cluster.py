"""A cluster in bad weather: processes come and go, Redis is emptied and poisoned, and every page shows what is.

What the module shares is one cluster; a test that breaks a process starts it again.
"""

import asyncio
import json
import os
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.cluster import HEARTBEAT, PREFIX, Cluster, cluster
from tests.faults.followers import Follower, following
from tests.faults.site import STEPS
from tests.faults.viewers import ask, load_page

pytestmark = pytest.mark.faults

CONVERGED = 5.0  # seconds within which pages show what is, after a process has died
PAGES = 20


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster")) as one:
        yield one


async def all_true_to_the_server(pages: list[Follower]) -> None:
    assert all(await asyncio.gather(*(page.shows_what_the_server_would() for page in pages)))


def test_when_redis_is_emptied_every_page_starts_afresh_and_says_so(running: Cluster) -> None:
    async def scenario() -> None:
        async with following(running.port, ["/Desk/"] * 4) as pages:
            for page in pages:
                await page.send("click")
            with running.redis.client() as client:
                client.flushall()
            answer = await pages[0].send("click")
            assert (answer.status, answer.headers["X-Live-Remounted"]) == (200, "1")
            for page in pages:
                await page.until("0 clicks")
                assert page.remounts == 1
            for page in pages:  # and none is stuck
                assert (await page.send("click")).status == 200
                await page.until("1 clicks")
            await all_true_to_the_server(pages)

    asyncio.run(scenario())


def test_of_twenty_pages_none_notices_for_long_that_a_web_process_was_killed(running: Cluster) -> None:
    first, second = running.webs

    async def scenario() -> None:
        async with following(running.port, ["/Desk/", "/Board/"] * (PAGES // 2)) as pages:
            desks, boards = pages[::2], pages[1::2]
            for desk in desks:
                await desk.send("click")
            await asyncio.to_thread(first.kill)
            assert (await desks[0].send("click")).status == 200
            assert (await boards[0].send("click")).status == 200
            await asyncio.to_thread(ask, running.port, "/push/?number=7")
            for page in pages:
                await page.until(lambda page=page: page.is_up, within=CONVERGED)
            for desk in desks:
                await desk.until("7 heard", within=CONVERGED)
            clicks = int(re.findall(r"(\d+) clicks", boards[0].html)[0])
            for board in boards:
                await board.until(f"[{clicks} clicks", within=CONVERGED)
            await all_true_to_the_server(desks)

    try:
        asyncio.run(scenario())
    finally:
        first.start()
    assert second.pid


def test_a_rolling_restart_is_seen_by_nobody(running: Cluster) -> None:
    async def scenario() -> None:
        async with following(running.port, ["/Desk/"] * PAGES) as pages:
            for web in running.webs:
                await asyncio.to_thread(web.stop)
                assert {(await page.send("click")).status for page in pages} == {200}
                await asyncio.to_thread(web.start)
            await asyncio.to_thread(ask, running.port, "/push/?number=8")
            for page in pages:
                await page.until(lambda page=page: page.is_up and "[2 clicks, 8 heard" in page.html, within=CONVERGED)
            assert sum(page.remounts for page in pages) == 0
            await all_true_to_the_server(pages)

    asyncio.run(scenario())


def test_jobs_ticks_pushes_and_clicks_from_three_processes_lose_nothing(running: Cluster) -> None:
    async def scenario() -> None:
        async with following(running.port, ["/Board/"] * 3) as pages:
            await pages[0].send("start")
            numbers = r"\[(\d+) clicks, .* (\d+) heard"
            before = [int(number) for number in re.findall(numbers, pages[0].html)[0]]
            for _ in range(20):
                await asyncio.gather(*(page.send("click") for page in pages))
            after = f"[{before[0] + 60} clicks, {STEPS} one, {STEPS} two, "
            for page in pages:
                await page.until(lambda page=page: after in page.html and "ended one: None; two: None" in page.html)
                assert page.revs == sorted(set(page.revs))
            ticks = [int(re.findall(r"(\d+) ticks", page.html)[0]) for page in pages]
            assert min(ticks) >= 1

    asyncio.run(scenario())


def test_what_is_rolled_back_is_neither_sent_nor_started(running: Cluster) -> None:
    async def scenario() -> None:
        async with following(running.port, ["/Desk/"] * 2) as pages:
            rolled = await asyncio.to_thread(ask, running.port, f"/roll-back/?file={running.file('rolled')}")
            assert rolled["before"] == rolled["after"]  # no number was taken
            answer = await pages[0].send("fail", file=running.file("rolled"))
            assert [one["message"] for one in json.loads(answer.headers["X-Live-Notices"])] == ["rolled back"]
            for page in pages:  # what comes next is the first that comes
                assert (await page.send("click")).status == 200
                await page.until("[1 clicks, 0 heard")
            await pages[0].send("start", file=running.file("started"))
            await pages[0].until(lambda: running.begun("started") == 1)
            Path(running.file("started.go")).touch()
            await pages[0].until("work: 42")
            assert (running.begun("rolled"), [page.said for page in pages]) == (0, [[], []])
            await all_true_to_the_server(pages)

    asyncio.run(scenario())


class Bomb:
    """Unpickling it leaves a file."""

    def __init__(self, file: str) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return os.mkdir, (self.file,)


@pytest.mark.parametrize("poison", ["pickle", "wrong JSON", "older schema"])
def test_a_poisoned_record_is_gone_and_its_page_goes_on(running: Cluster, poison: str) -> None:
    bomb = running.file(f"bomb {poison}")
    words = {
        "pickle": {"head": pickle.dumps(Bomb(bomb)), "state": pickle.dumps(Bomb(bomb))},
        "wrong JSON": {"state": "{"},
        "older schema": {"schema": "0"},
    }

    async def scenario() -> None:
        async with following(running.port, ["/Desk/"] * 2) as [page, other]:
            await page.send("click")
            instance = page.shown.root.attributes["id"].removeprefix("live-")
            with running.redis.client() as client:
                client.hset(f"{PREFIX}record:{instance}", mapping=words[poison])
            await asyncio.to_thread(ask, running.port, "/push/?number=9")
            await other.until("9 heard")
            answer = await page.send("click")
            assert (answer.status, answer.headers["X-Live-Remounted"]) == (200, "1")
            await page.send("click")
            await page.until("[1 clicks")
            assert not Path(bomb).exists()

    asyncio.run(scenario())


def test_what_happens_between_render_and_connect_is_there(running: Cluster) -> None:
    async def scenario() -> None:
        page = await asyncio.to_thread(load_page, running.port, "/Desk/")
        await asyncio.to_thread(ask, running.port, "/push/?number=11")
        follower = Follower(page, heartbeat=HEARTBEAT)
        await follower.until("11 heard", within=CONVERGED)
        assert (follower.ups, follower.resets) == (1, 0)
        await follower.close()

    asyncio.run(scenario())
