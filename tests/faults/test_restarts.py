"""Restarts in a row, losses of Redis's data in a row, and several workers that share no store."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.cluster import Cluster, cluster
from tests.faults.followers import Follower, following
from tests.faults.memory_site import Site
from tests.faults.viewers import load_page

pytestmark = pytest.mark.faults

ADVICE = "set HTMX_LIVE['REDIS_URL'] to a Redis that all processes share"
WORKERS = 2


async def count_on(pages: list[Follower]) -> None:
    for page in pages:
        clicks = int(page.html.partition("[")[2].partition(" ")[0])
        assert (await page.send("click")).status == 200
        await page.until(f"[{clicks + 1} clicks")


def test_pages_outlive_restarts_that_follow_each_other_at_once(tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        async with following(site.port, ["/Desk/"] * 4) as pages:
            for restart in range(1, 5):
                await count_on(pages)
                await asyncio.to_thread(site.kill if restart % 2 else site.stop)
                await asyncio.to_thread(site.start)
                for page in pages:
                    await page.until(lambda page=page, restart=restart: page.is_up and page.remounts == restart)
            await count_on(pages)

    with Site(tmp_path) as site:
        asyncio.run(scenario(site))
    assert site.log.read_text() == ""


def test_pages_outlive_a_redis_that_is_emptied_again_and_again(tmp_path: Path) -> None:
    async def scenario(running: Cluster) -> None:
        async with following(running.port, ["/Desk/"] * 4) as pages:
            for times in range(1, 4):
                await count_on(pages)
                with running.redis.client() as client:
                    client.flushall()
                for page in pages:
                    await page.until(lambda page=page, times=times: page.is_up and page.remounts == times)
            await count_on(pages)

    with cluster(tmp_path, worker=False) as running:
        asyncio.run(scenario(running))
        logs = [web.log.read_text() for web in running.webs]
    assert [log.count("ERROR") + log.count("REDIS_URL") for log in logs] == [0, 0]


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("workers"), workers=WORKERS) as site:
        yield site


def test_several_workers_without_a_shared_store_say_so_when_they_start(workers: Site) -> None:
    assert f"This site runs in {WORKERS} processes" in workers.log.read_text()
    assert ADVICE in workers.log.read_text()


def test_a_page_that_reaches_another_worker_is_refused_and_each_worker_logs_it_once(workers: Site) -> None:
    async def scenario() -> None:
        pages = [await asyncio.to_thread(load_page, workers.port, "/Desk/") for _ in range(4)]
        followers = [Follower(page, heartbeat=1.0) for page in pages]
        answers = [await page.send("click") for _ in range(8) for page in followers]
        assert {answer.status for answer in answers} == {200, 410}
        assert {answer.headers["Retry-After"] for answer in answers if answer.status == 410} == {"30"}
        assert sum(page.remounts for page in followers) == 0
        for page in followers:
            await page.close()

    asyncio.run(scenario())
    log = workers.log.read_text()
    assert 1 <= log.count("A page of another process asked this one") <= WORKERS
    assert "Traceback" not in log
