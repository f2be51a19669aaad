"""One visitor's 300 clicks on a view that is busy for 12 s: what they cost the others."""

import asyncio
import time
from pathlib import Path
from statistics import median

import pytest

from tests.faults.cluster import Cluster, cluster
from tests.faults.surges import Answered, click, send_at_once
from tests.faults.test_surges import outcome, pages_of
from tests.faults.viewers import LoadedPage

pytestmark = pytest.mark.benchmark

BUSY, CLICKS, OTHERS, PAUSE = 12.0, 300, 5, 0.1


@pytest.mark.parametrize("bursts", [1, 12])
def test_what_an_impatient_visitor_costs_others(tmp_path: Path, bursts: int) -> None:
    with cluster(tmp_path, webs=1, worker=False) as running:
        impatient, *others = pages_of(running, OTHERS + 1)
        quiet, busy, answers = asyncio.run(measured(running, impatient, others, bursts))
        log = running.webs[0].log.read_text()
    before, meanwhile = (sorted(answer.seconds for answer in each) for each in (quiet, busy))
    print(
        f"\n{CLICKS} clicks in {bursts} burst(s) within {BUSY:g} s: {outcome(answers)}; others, {outcome(busy)}: "
        f"median {median(meanwhile) / median(before):.2f}x quiet (goal 2.0x; {median(before) * 1000:.0f} ms before), "
        f"95 % {meanwhile[-len(meanwhile) // 20] / before[-len(before) // 20]:.2f}x, slowest {meanwhile[-1]:.2f} s"
    )
    assert "Redis" not in log


async def measured(
    running: Cluster, impatient: LoadedPage, others: list[LoadedPage], bursts: int
) -> tuple[list[Answered], list[Answered], list[Answered]]:
    """The others' clicks while nothing else happens, those during the clicks of the impatient visitor, and these."""
    port, file = running.webs[0].port, running.file("hold")
    quiet = await clicking(port, others)
    turn = asyncio.create_task(send_at_once(port, [click(impatient, "hold", file=file)]))
    answers: list[Answered] = []

    async def burst(number: int) -> None:
        await asyncio.sleep(number * BUSY / bursts)
        await send_at_once(port, [click(impatient)] * (CLICKS // bursts), into=answers)

    storm = [asyncio.create_task(burst(number)) for number in range(bursts)]
    busy = await clicking(port, others)
    Path(f"{file}.go").touch()
    await asyncio.gather(turn, *storm)
    return quiet, busy, answers


async def clicking(port: int, pages: list[LoadedPage]) -> list[Answered]:
    """Each page clicks, again and again, for as long as the view is busy."""
    answers: list[Answered] = []

    async def one(page: LoadedPage) -> None:
        until = time.monotonic() + BUSY
        while time.monotonic() < until:
            await send_at_once(port, [click(page)], into=answers)
            await asyncio.sleep(PAUSE)

    await asyncio.gather(*map(one, pages))
    return answers
