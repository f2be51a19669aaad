"""Many requests at one moment, with a healthy Redis: all are answered, and an impatient user slows no other down."""

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.cluster import Cluster, cluster
from tests.faults.surges import Answered, click, load, send_at_once, sync
from tests.faults.viewers import LoadedPage, load_page

pytestmark = pytest.mark.faults

PAGES = 250  # each of a visitor of its own


def pages_of(running: Cluster, count: int) -> list[LoadedPage]:
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda _: load_page(running.webs[0].port, "/Desk/"), range(count)))


def outcome(answers: list[Answered]) -> dict[str, Counter[int]]:
    """How many of each kind of request were answered with each status; 204 is a 200 that changes nothing."""
    found: dict[str, Counter[int]] = {}
    for answer in answers:
        found.setdefault(answer.name, Counter())[200 if answer.status == 204 else answer.status] += 1
    return found


def test_a_thousand_requests_at_one_moment_are_answered(tmp_path: Path) -> None:
    with cluster(tmp_path, webs=1, worker=False, BUSY_TIMEOUT=30.0) as running:
        pages = pages_of(running, PAGES)
        requests = [each for page in pages for each in (click(page), sync(page), sync(page), load("/Desk/"))]
        answers = asyncio.run(send_at_once(running.webs[0].port, requests))
        log = running.webs[0].log.read_text()
    assert outcome(answers) == {"click": {200: PAGES}, "sync": {200: 2 * PAGES}, "load": {200: PAGES}}
    assert log == ""


def test_of_one_users_many_clicks_a_few_wait_and_the_others_are_refused(tmp_path: Path) -> None:
    with cluster(tmp_path, webs=1, worker=False, BUSY_TIMEOUT=100.0) as running:
        busy, *others = pages_of(running, 20)
        answers, bystanders = asyncio.run(impatient(running, busy, others))
    assert outcome(answers) == {"click": {200: 64, 429: 300 - 64}}
    assert outcome(bystanders) == {"click": {200: len(others)}}


async def impatient(
    running: Cluster, busy: LoadedPage, others: list[LoadedPage]
) -> tuple[list[Answered], list[Answered]]:
    """The answers to 300 clicks on a view while a turn of it lasts, and to a click of each of the others meanwhile."""
    port, file = running.webs[0].port, running.file("hold")
    answers: list[Answered] = []
    turn = asyncio.create_task(send_at_once(port, [click(busy, "hold", file=file)]))
    while not running.begun("hold"):
        await asyncio.sleep(0.02)
    clicks = asyncio.create_task(send_at_once(port, [click(busy)] * 300, into=answers))
    bystanders = await send_at_once(port, [click(page) for page in others])
    while len(answers) < 300 - 64:
        await asyncio.sleep(0.02)
    Path(f"{file}.go").touch()
    await asyncio.gather(turn, clicks)
    return answers, bystanders
