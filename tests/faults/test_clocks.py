"""Web processes whose clocks are two minutes wrong: nothing odd is seen, for only Redis's clock counts."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.cluster import LEASE, Cluster, cluster
from tests.faults.followers import Follower, following

pytestmark = pytest.mark.faults

CLOCKS = (0, 120, -120)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("clocks"), webs=3, clocks=CLOCKS) as one:
        yield one


def test_pages_streams_and_jobs_go_from_one_process_to_another(running: Cluster) -> None:
    async def scenario() -> None:
        async with following(running.port, ["/Desk/"] * 4) as pages:
            for number, page in enumerate(pages):
                file = running.file(f"job-{number}")
                assert (await page.send("start", file=file, retries=1)).status == 200
            for _ in range(4):  # of its three processes each answers, in turn
                for page in pages:
                    assert (await page.send("click")).status == 200
                    assert (await page.ask()).status in (200, 204)
            await asyncio.sleep(LEASE + 2)
            for number in range(4):
                assert running.begun(f"job-{number}") == 1
                Path(running.file(f"job-{number}.go")).touch()
            for page in pages:
                await page.until("[4 clicks, 0 heard, ended work: 42")
                assert (page.ups, page.remounts, page.said) == (1, 0, [])
                assert page.revs == sorted(set(page.revs))
                assert await page.shows_what_the_server_would()

    asyncio.run(scenario())
    assert [web.log.read_text() for web in running.webs] == ["", "", ""]


@pytest.mark.parametrize("number", range(3))
def test_a_shared_view_that_was_lost_is_shown_anew_whichever_process_mounts_it(running: Cluster, number: int) -> None:
    """Its rev is above that of every page, for it comes from the clock of Redis."""

    async def scenario() -> None:
        async with following(running.port, ["/Board/"] * 3) as pages:
            await pages[0].send("click")
            with running.redis.client() as client:
                client.flushall()
            first = await Follower.open(running.webs[number].port, "/Board/")
            for page in [first, *pages]:
                await page.until("[0 clicks")
            assert (await first.send("click")).status == 200
            for page in [first, *pages]:
                await page.until("[1 clicks")
                assert page.revs == sorted(set(page.revs))
            await first.close()

    asyncio.run(scenario())
