"""Event streams of progress on a real server: what they carry, what they cost, and what ends them."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client, override_settings

from tests.http.client import Event, RawStream
from tests.redis_server import RedisServer
from tests.server import Server
from tests.threats.serving import another, serve
from tests.threats.wire import Browser

pytestmark = pytest.mark.processes

PATIENCE = 60.0  # seconds until a stream that does not end fails the test


@pytest.fixture(scope="module", params=["application", "plain"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, empty_database: Path
) -> Iterator[Server]:
    """With ``live_asgi`` and without it."""
    folder = tmp_path_factory.mktemp("progress")
    with serve(folder, empty_database, app=request.param, MAX_STREAMS_PER_OWNER=20) as running:
        yield running


with_live_asgi = pytest.mark.parametrize("server", ["application"], indirect=True)


def play(server: Server, scenario: Callable[..., Awaitable[None]], browsers: int = 1) -> None:
    async def running() -> None:
        async with asyncio.timeout(PATIENCE), AsyncExitStack() as stack:
            found = [await stack.enter_async_context(Browser(server.port)) for _ in range(browsers)]
            await scenario(*found)

    asyncio.run(running())


async def follow(browser: Browser, **headers: str) -> RawStream:
    """A stream of the work that the browser starts, after its first event."""
    stream = await browser.stream("", await browser.get("/work/"), **headers)
    assert stream.status == 200
    await snapshot(stream)
    return stream


async def snapshot(stream: RawStream) -> tuple[str, dict[str, Any]]:
    """The id and the data of the next event that is no sign of life."""
    while (event := await stream.event()) is not None:
        if event.data:
            return event.id, json.loads(event.data)
    raise AssertionError("The stream ended.")


async def until_end(stream: RawStream) -> list[Event]:
    found = []
    while (event := await stream.event()) is not None:
        found.append(event)
    return found


def test_a_change_is_an_event_and_the_end_of_the_work_ends_the_stream(server: Server) -> None:
    async def scenario(browser: Browser) -> None:
        url = await browser.get("/work/")
        stream = await browser.stream("", url)
        await snapshot(stream)
        await browser.get("/work/40/")
        number, told = await snapshot(stream)
        while told["overall_percent"] != 40:
            number, told = await snapshot(stream)
        assert int(number) == told["number"]
        await browser.get("/work/100/")
        end = (await until_end(stream))[-1]
        assert json.loads(end.data)["status"] == "complete"
        late = await browser.stream("", url)
        assert [event.data for event in await until_end(late)] == [end.data]
        assert (await browser.stream("", url, last_event_id=end.id)).status == 204

    play(server, scenario)


@pytest.mark.parametrize("after", ["/logout/", "/join/bob/"])
def test_it_ends_with_the_session_of_who_follows_it(server: Server, after: str) -> None:
    async def scenario(browser: Browser, other: Browser) -> None:
        for each in (browser, other):
            await each.get("/join/alice/")
        stream, elsewhere = await follow(browser), await follow(other)
        await browser.get(after)
        await until_end(stream)
        await other.get("/work/50/")
        while (await snapshot(elsewhere))[1]["overall_percent"] < 50:
            pass

    play(server, scenario, browsers=2)


def test_it_ends_in_every_process_when_its_user_logs_out(
    tmp_path: Path, empty_database: Path, redis_server: RedisServer
) -> None:
    here = serve(tmp_path, empty_database, REDIS_URL=redis_server.url, REDIS_PREFIX=f"{uuid4().hex}:")
    there = another(here)

    async def scenario(browser: Browser) -> None:
        await browser.get("/join/alice/")
        url = await browser.get("/work/")
        streams = [await browser.stream("", url)]
        browser.port = there.port
        streams.append(await browser.stream("", url))
        for stream in streams:
            await snapshot(stream)
        await browser.get("/work/40/")  # it is heard from the other process
        for stream in streams:
            while (await snapshot(stream))[1]["overall_percent"] < 40:
                pass
        await browser.get("/logout/")
        for stream in streams:
            await until_end(stream)

    with here, there:
        play(here, scenario)


@with_live_asgi
def test_it_counts_against_the_caps_and_costs_no_thread(server: Server) -> None:
    def threads() -> int:
        return len(os.listdir(f"/proc/{server.pid}/task"))

    async def scenario(browser: Browser, other: Browser) -> None:
        page = await browser.open("/counter/")
        assert (await browser.stream(page.page)).status == 200
        url = await browser.get("/work/")
        before = threads()
        streams = [await browser.stream("", url) for _ in range(20)]
        assert [stream.status for stream in streams] == [200] * 19 + [429]
        assert threads() - before <= 8  # bounded pools
        assert (await other.stream("", await other.get("/work/"))).status == 200

    play(server, scenario, browsers=2)


def test_a_server_that_is_told_to_stop_ends_it(tmp_path: Path, empty_database: Path) -> None:
    server = serve(tmp_path, empty_database)

    async def scenario(browser: Browser) -> None:
        stream = await follow(browser)
        stopping = asyncio.create_task(asyncio.to_thread(server.stop))
        await until_end(stream)
        await stopping

    with server:
        play(server, scenario)


@with_live_asgi
def test_a_grant_that_is_forged_or_anothers_opens_none(server: Server) -> None:
    async def scenario(browser: Browser, stranger: Browser) -> None:
        await browser.get("/join/alice/")
        url, anyones = await browser.get("/work/"), await stranger.get("/work/?ownerless")
        statuses = [(await stranger.stream("", path)).status for path in (url, anyones[:-2] + "/", anyones)]
        assert statuses == [404, 404, 200]

    play(server, scenario, browsers=2)


@pytest.mark.django_db
@override_settings(ROOT_URLCONF="tests.threats.urls")
def test_under_wsgi_each_answer_is_one_event_and_the_client_asks_again() -> None:
    client = Client()
    url = client.get("/work/").content.decode()
    answers = [client.get(url, HTTP_ACCEPT="text/event-stream")]
    client.get("/work/100/")
    answers.append(client.get(url, HTTP_ACCEPT="text/event-stream", HTTP_LAST_EVENT_ID="1"))
    texts = [b"".join(answer).decode() for answer in answers]
    assert [text.partition(" ")[0] for text in texts] == ["retry:", "id:"]  # it asks again, until the end
    assert answers[0]["Content-Type"] == "text/event-stream; charset=utf-8"
