"""A project with event streams of its own, on a real uvicorn: the same before and after it adds htmx_live.

Its stock streams never hear what live pages are sent, whatever its channel manager permits.
"""

import asyncio
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode
from urllib.request import Request

import jwt
import pytest
from django.test import override_settings

from htmx_live.backends.wire import page_channel, session_channel, topic_channel, user_channel, view_channel
from htmx_live.core.signing import unsign_page
from htmx_live.messaging.regions import region_id
from tests.http.client import RawStream
from tests.http.existing_live import SECRET
from tests.http.existing_settings import SECRET_KEY
from tests.server import Server
from tests.threats.wire import Browser

pytestmark = pytest.mark.processes

SITE = "tests.http.existing"
STORED = {"EVENTSTREAM_STORAGE_CLASS": "django_eventstream.storage.DjangoModelStorage"}
PERMISSIVE = {"EVENTSTREAM_CHANNELMANAGER_CLASS": f"{SITE}.Permissive"}
PER_USER = {"EVENTSTREAM_CHANNELMANAGER_CLASS": f"{SITE}.PerUser"}

OPENED = [
    ("/asked/?channel=news", "news"),
    ("/asked/?channel=sport&channel=user:7", "user:7"),
    ("/asked/?channel=topic:orders", "topic:orders"),
    ("/fixed/", "news"),
    ("/fixed/?channel=secret", "news"),
    ("/rooms/7/", "room-7"),
    ("/captured/page:1/", "page:1"),
]
both = pytest.mark.parametrize("adds_live", [False, True], ids=["before", "after"])


class Project:
    """Processes of the project, and visitors of each during ``async with``."""

    def __init__(self, servers: list[Server]) -> None:
        self.servers = servers

    async def visitor(self, process: int = 0) -> Browser:
        return await self._stack.enter_async_context(Browser(self.servers[process].port))

    async def __aenter__(self) -> "Project":
        self._stack = AsyncExitStack()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[Callable[..., Project]]:
    """The project with these settings, whose processes all tests share; it is started when it is first asked for."""
    started: dict[str, list[Server]] = {}

    def start(*, adds_live: bool, processes: int = 1, **settings: Any) -> Project:
        chosen = json.dumps({"adds_live": adds_live, "settings": settings})
        if chosen not in started:
            folder = tmp_path_factory.mktemp("existing")
            env = {
                "DJANGO_SETTINGS_MODULE": f"{SITE}_settings",
                "EXISTING": chosen,
                "EXISTING_DATABASE": shutil.copy(empty_database, folder),
                "TMPDIR": str(folder),  # the projects are no siblings
            }
            logs = [folder / f"{number}.log" for number in range(processes)]
            started[chosen] = [Server(f"{SITE}:application", log=log, env=env).start() for log in logs]
        return Project(started[chosen])

    yield start
    for servers in started.values():
        for server in servers:
            server.kill()


async def send(visitor: Browser, channel: str, data: str) -> None:
    """Let the project send an event."""
    body = json.dumps([channel, data]).encode()
    request = Request(f"http://127.0.0.1:{visitor.port}/send/", body, method="POST")
    await asyncio.to_thread(visitor._fetch, request)


async def opened(stream: RawStream) -> RawStream:
    assert stream.status == 200
    await stream.until("stream-open", with_empty=True)
    return stream


async def heard(stream: RawStream, data: str) -> list[str]:
    """What the stream says up to this event, without signs of life."""
    return [event.data for event in await stream.until_data(json.dumps(data)) if event.data]


async def error(stream: RawStream) -> str:
    return json.loads((await stream.until("stream-error"))[-1].data)["text"]


def play(scenario) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 120))


@both
def test_the_stock_manager_opens_the_channels_that_it_opened_before(project, adds_live):
    async def scenario():
        async with project(adds_live=adds_live) as site:
            visitor = await site.visitor()
            for path, channel in OPENED:
                stream = await opened(await visitor.stream("", path))
                await send(visitor, "secret", "other")
                await send(visitor, channel, "first")
                await send(visitor, channel, "second")
                assert await heard(stream, "second") == ['"first"', '"second"'], path

    play(scenario)


@both
def test_without_a_channel_the_stock_view_answers_as_before(project, adds_live):
    async def scenario():
        async with project(adds_live=adds_live) as site:
            body = await (await site.visitor()).get("/asked/")
            assert "Invalid request: No channels specified." in body

    play(scenario)


@both
def test_a_manager_of_the_project_decides_and_may_take_a_permission_back(project, adds_live):
    async def scenario():
        async with project(adds_live=adds_live, **PER_USER) as site:
            ann, bob = await site.visitor(), await site.visitor()
            own = "user:" + await ann.get("/login/ann/")
            await bob.get("/login/bob/")
            refused = await bob.get(f"/asked/?channel={own}")
            stream = await opened(await ann.stream("", f"/asked/?channel={own}"))
            await send(bob, own, "yours")
            assert await heard(stream, "yours") == ['"yours"']
            await ann.get("/close/")
            assert await error(stream) == f"Permission denied to channels: {own}"
            assert f"Permission denied to channels: {own}" in refused

    play(scenario)


@both
def test_a_storage_of_the_project_resumes_where_the_client_was(project, adds_live):
    async def scenario():
        async with project(adds_live=adds_live, **PERMISSIVE, **STORED) as site:
            visitor = await site.visitor()
            stream = await opened(await visitor.stream("", "/asked/?channel=news"))
            await send(visitor, "news", "seen")
            last = (await stream.until("message"))[-1].id
            await stream.close()
            await send(visitor, "news", "missed")
            again = await visitor.stream("", "/asked/?channel=news", last_event_id=last)
            assert await heard(again, "missed") == ['"missed"']

    play(scenario)


@both
def test_a_token_of_the_project_names_channels(project, adds_live):
    async def scenario():
        async with project(adds_live=adds_live) as site:
            visitor = await site.visitor()
            stream = await opened(await visitor.stream("", f"/fixed/?es-meta={token('room-7')}"))
            await send(visitor, "news", "not named")
            await send(visitor, "room-7", "named")
            assert await heard(stream, "named") == ['"named"']

    play(scenario)


@pytest.mark.parametrize(
    ("adds_live", "has_url"), [(False, False), (True, False), (True, True)], ids=["before", "after", "both"]
)
def test_a_redis_of_the_project_carries_events_from_process_to_process(
    project, tmp_path, redis_server, adds_live, has_url
):
    chosen: dict[str, Any] = {"EVENTSTREAM_REDIS": {"host": "127.0.0.1", "port": redis_server.port}}
    if has_url:
        chosen["HTMX_LIVE"] = {"REDIS_URL": redis_server.url, "REDIS_PREFIX": f"{tmp_path.name}:"}

    async def scenario():
        async with project(adds_live=adds_live, processes=2, **chosen) as site:
            reader, sender = await site.visitor(0), await site.visitor(1)
            before = subscribers(redis_server)
            stream = await opened(await reader.stream("", "/asked/?channel=news"))
            while (
                subscribers(redis_server) == before
            ):  # it subscribes when its first stream opens, in a task of its own
                await asyncio.sleep(0.02)
            await send(sender, "news", "from the other process")
            await send(reader, "news", "from this one")
            assert await heard(stream, "from this one") == ['"from the other process"', '"from this one"']

    play(scenario)


def subscribers(redis_server) -> int:
    """How many processes hear what the package publishes."""
    with redis_server.client() as client:
        return client.pubsub_numsub("events_channel")[0][1]


@pytest.mark.parametrize("chosen", [{}, PERMISSIVE | STORED], ids=["stock", "permissive"])
@pytest.mark.parametrize("on_redis", [False, True], ids=["memory", "redis"])
def test_a_stock_stream_hears_nothing_of_a_live_page(project, tmp_path, redis_server, chosen, on_redis):
    """Every channel of a page is named in every way, by a stranger; the page hears all that it is sent."""
    if on_redis:
        chosen = chosen | {"HTMX_LIVE": {"REDIS_URL": redis_server.url, "REDIS_PREFIX": f"{tmp_path.name}:"}}

    async def scenario():
        async with project(adds_live=True, **chosen) as site:
            ann, stranger = await site.visitor(), await site.visitor()
            user = await ann.get("/login/ann/")
            page, shared = await ann.open("/board/"), await ann.open("/shared/")
            own = [await ann.stream(shown.page) for shown in (page, shared)]
            for stream in own:
                await stream.settle()
            guesses = [guess for name in channels_of(page, shared, user) for guess in guesses_at(name, tmp_path.name)]
            spies = [await opened(await spy(stranger, guess, n)) for n, guess in enumerate(guesses)]
            await ann.post(page, "write")
            await ann.get("/push/")
            await until_heard(own[0], f"#live-{page.instance}", f"#{region_id('orders')}", "live-notice-")
            await until_heard(own[1], f"#live-{shared.instance}", "live-notice-")
            for guess in guesses:
                await send(stranger, guess, "the end")
            assert [await heard(stream, "the end") for stream in spies] == [['"the end"']] * len(spies)

    play(scenario)


async def until_heard(stream: RawStream, *places: str) -> None:
    """The secret has come to each of these places."""
    waited = set(places)
    while waited:
        event = await stream.event()
        assert event is not None, f"The stream ended before the secret came to {waited}."
        waited -= {place for place in waited if SECRET in event.data and place in event.data}


def channels_of(page, shared, user: str) -> list[str]:
    with override_settings(SECRET_KEY=SECRET_KEY):
        grants = [unsign_page(each.page, max_age=600) for each in (page, shared)]
    pages = [page_channel(grant.page) for grant in grants]
    views = [view_channel(shared.instance), view_channel(f"{shared.instance}~")]
    return [*pages, *views, session_channel(grants[0].owner.token), user_channel(user), topic_channel("orders")]


def guesses_at(name: str, prefix: str) -> list[str]:
    return [name, name.partition(":")[2], f"events:{name}", f"{prefix}:{name}", f"{prefix}:bus:{name}"]


async def spy(stranger: Browser, guess: str, number: int) -> RawStream:
    """A stock stream of this channel; each way to name one has its turn."""
    resume = {"last_event_id": f"{quote(guess)}:0"}
    ways = [
        ("/asked/?" + urlencode({"channel": guess}), {}),
        (f"/captured/{guess}/", resume),
        (f"/fixed/?es-meta={token(guess)}", {}),
        ("/asked/?" + urlencode({"channel": guess, "lastEventId": f"{quote(guess)}:0"}), {"x_channels": guess}),
    ]
    path, headers = ways[number % len(ways)]
    return await stranger.stream("", path, **headers)


def token(channel: str) -> str:
    claims = {"channels": [channel], "user": "anonymous", "exp": int(time.time()) + 600}
    return str(jwt.encode(claims, SECRET_KEY, algorithm="HS256"))
