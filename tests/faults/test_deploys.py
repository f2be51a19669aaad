"""A deployment under open pages: old pages on new code and new pages on old code work, or are told to reload."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.cluster import HEARTBEAT, Cluster, cluster
from tests.faults.followers import Follower, following
from tests.faults.viewers import ask, load_page

pytestmark = pytest.mark.faults

RELOAD = 404  # "This page has expired. Reload it to go on."


async def deploy(running: Cluster, number: int, version: str) -> None:
    web = running.webs[number]
    await asyncio.to_thread(web.stop)
    web.env["FAULTS_VERSION"] = version
    await asyncio.to_thread(web.start)


async def statuses(page: Follower, handler: str, **arguments: int) -> set[int]:
    """Of four clicks, of which both processes get two."""
    return {(await page.send(handler, **arguments)).status for _ in range(4)}


def test_pages_of_before_and_after_work_on_both_or_are_told_to_reload(tmp_path: Path) -> None:
    async def scenario(running: Cluster) -> None:
        for web in (0, 1):
            await deploy(running, web, "old")
        async with following(running.port, ["/Deployed/"]) as [old]:
            assert await statuses(old, "add", number=2) == {200}
            await deploy(running, 0, "new")
            loaded = await asyncio.to_thread(load_page, running.webs[0].port, "/Deployed/")
            new = Follower(replace(loaded, port=running.port), heartbeat=HEARTBEAT)
            assert await statuses(old, "look") == await statuses(new, "look") == {200}
            await old.until("[4 looks, count 8, ")
            await new.until("[4 looks, count , total 0]")
            assert await statuses(old, "add", number=2) == {200, RELOAD}
            assert await statuses(new, "increase", by=1) == {200, RELOAD}
            await deploy(running, 1, "new")
            assert await statuses(old, "add", number=2) == {RELOAD}
            assert await statuses(old, "increase", by=1) == {200}
            await old.until("count 12, total 4]")
            await new.until("total 2]")
            assert (old.remounts, new.remounts) == (0, 0)
            for page in (old, new):
                await page.until(lambda page=page: page.is_up)
                assert await page.shows_what_the_server_would()
            await new.close()

    with cluster(tmp_path, worker=False) as running:
        asyncio.run(scenario(running))


def test_pages_whose_attribute_was_renamed_start_afresh_once_whatever_reaches_them_first(tmp_path: Path) -> None:
    async def scenario(running: Cluster) -> None:
        await deploy(running, 0, "old")
        async with following(running.port, ["/Renamed/"] * 2) as pages:
            clicked, pushed = pages
            for page in pages:
                assert (await page.send("click")).status == 200
                assert "[n 1, amount ]" in page.html
            await deploy(running, 0, "new")
            for page in pages:
                await page.until(lambda page=page: page.is_up)
            answer = await clicked.send("click")
            assert (answer.status, answer.headers["X-Live-Remounted"]) == (200, "1")
            await asyncio.to_thread(ask, running.port, "/push/?number=5")
            await pushed.until("[n , amount 0]")
            for page, heard in zip(pages, (5, 0), strict=True):
                assert (await page.send("click")).status == 200
                await page.until(f"[n , amount {heard + 1}]")
                assert (page.remounts, await page.shows_what_the_server_would()) == (1, True)

    with cluster(tmp_path, webs=1, worker=False) as running:
        asyncio.run(scenario(running))
