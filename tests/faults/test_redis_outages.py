"""Redis is killed for a while, or stands still: clicks say so in time, pages go on, no job is done twice.

Clusters of their own, all away at the same time; the waits are real.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.cluster import LEASE, Cluster, clusters
from tests.faults.followers import Answer, Follower, following

pytestmark = pytest.mark.faults

CLICK = 2.0  # seconds within which a click is answered while Redis is away
BACK = 5.0  # seconds after its return within which streams deliver again


def test_redis_away_for_a_while_costs_no_page_and_no_job(tmp_path: Path) -> None:
    two, ten, thirty, frozen = (
        Cluster(tmp_path / name, webs=1, durable=durable)
        for name, durable in (("two", True), ("ten", False), ("thirty", True), ("frozen", False))
    )

    async def scenario() -> None:
        await asyncio.gather(
            outage(two, 2, two.redis.kill, two.redis.start),
            outage(ten, 10, ten.redis.kill, ten.redis.start),
            outage(thirty, 30, thirty.redis.kill, thirty.redis.start),
            outage(frozen, 8, frozen.redis.freeze, frozen.redis.thaw),
        )

    with clusters(two, ten, thirty, frozen):
        pids = [cluster.webs[0].pid for cluster in (two, ten, thirty, frozen)]
        asyncio.run(scenario())
        assert pids == [cluster.webs[0].pid for cluster in (two, ten, thirty, frozen)]


async def outage(cluster: Cluster, seconds: float, away: Callable[[], object], back: Callable[[], object]) -> None:
    async with following(cluster.port, ["/Desk/", "/Desk/"]) as [page, other]:
        assert (await page.send("click")).status == 200
        await page.send("start", file=cluster.file("job"), retries=1)
        await other.until(lambda: cluster.begun("job") == 1)
        await asyncio.to_thread(away)
        asked = await clicks_during(other, seconds)
        if seconds < 10:  # it ends while Redis is away; others end when it has been back for longer than a lease
            Path(cluster.file("job.go")).touch()
        began = time.monotonic()
        await asyncio.to_thread(back)
        name = f"{cluster.folder.name}: away for {seconds:g} s"
        await delivered(other, began, name)
        print(f"\n{name}: the slowest of {len(asked)} clicks took {max(answer.seconds for answer in asked):.2f} s")
        assert {answer.status for answer in asked} == {503}
        assert max(answer.seconds for answer in asked) < CLICK
        await asyncio.sleep(max(0.0, began + LEASE + 2 - time.monotonic()))
        Path(cluster.file("job.go")).touch()
        is_whole = cluster.redis.durable or cluster.folder.name == "frozen"
        await ends(page, "work: 42" if is_whole else "0 clicks")
        assert cluster.begun("job") == 1
        assert (await other.shows_what_the_server_would(), page.remounts) == (True, 0 if is_whole else 1)


async def clicks_during(page: Follower, seconds: float) -> list[Answer]:
    """Clicks without a pause of more than half a second; those of whoever comes last are over before Redis is back."""
    answers, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        answers.append(await page.send("click"))
        await asyncio.sleep(min(0.5, max(0.0, end - time.monotonic())))
    return answers


async def delivered(page: Follower, began: float, name: str) -> None:
    """The page hears over its stream what happens once Redis is back."""
    number, heard = 0, page.html
    while f"{number} heard" not in page.html or not number:
        number += 1
        assert time.monotonic() - began < BACK, f"{name}: {heard}"
        await push(page, number)
        await asyncio.sleep(0.1)
    took = time.monotonic() - began
    print(f"\n{name}: streams delivered {took:.2f} s after its return")


async def push(page: Follower, number: int) -> None:
    await page._post(f"/push/?number={number}", "", "text/plain")


async def ends(page: Follower, text: str) -> None:
    await page.until(text)
    await page.until('pending=""')
