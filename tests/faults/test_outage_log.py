"""What the log says of an outage of Redis, with many streams open and clicks coming in."""

import asyncio
from pathlib import Path

import pytest

from tests.faults.cluster import Cluster, cluster
from tests.faults.surges import click, send_at_once
from tests.faults.test_surges import outcome, pages_of
from tests.faults.viewers import LoadedPage
from tests.http.client import RawStream

pytestmark = pytest.mark.faults

STREAMS = 200


def test_an_outage_has_one_line_when_it_begins_and_one_with_counts_when_it_is_over(tmp_path: Path) -> None:
    with cluster(tmp_path, webs=1, worker=False) as running:
        asyncio.run(outage(running, pages_of(running, STREAMS)))
        lines = running.webs[0].log.read_text().splitlines()
    assert len(lines) == 2, lines
    away, back = lines
    assert f"Redis at {running.redis.url} does not answer" in away
    assert f"Redis at {running.redis.url} answers again after " in back
    assert " heartbeats of streams" in back and "50 requests, answered 503" in back


async def outage(running: Cluster, pages: list[LoadedPage]) -> None:
    """Two heartbeats and 50 clicks without Redis; then each stream catches up."""
    port = running.webs[0].port
    streams = [await RawStream.open(port, **page.stream_headers) for page in pages]
    for stream in streams:
        await stream.settle()
    await asyncio.to_thread(running.redis.kill)
    answers = await send_at_once(port, [click(page) for page in pages[:50]])
    assert outcome(answers) == {"click": {503: 50}}
    for stream in streams:
        await until(stream, is_caught_up=False)
        await until(stream, is_caught_up=False)
    await asyncio.to_thread(running.redis.start)
    for stream in streams:
        await until(stream, is_caught_up=True)
        await stream.close()


async def until(stream: RawStream, *, is_caught_up: bool) -> None:
    """Read the stream up to a heartbeat that says where it stands, or cannot."""
    while event := await asyncio.wait_for(stream.event(), 60):
        if not event.data and bool(event.id) is is_caught_up:
            return
    raise AssertionError("The stream ended.")
