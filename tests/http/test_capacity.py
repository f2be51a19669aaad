"""How many events and syncs one process handles at a time, and what becomes of the others."""

import asyncio
import json
from contextlib import ExitStack

import pytest
from django.test import override_settings

from htmx_live.asgi import live_asgi
from htmx_live.http.capacity import CapacityLimiter
from tests.server import Server
from tests.soak.client import Client, Outcome
from tests.soak.measures import diagnostics
from tests.soak.visits import Page

PATIENCE = 30.0  # seconds until what does not come fails a test


@pytest.fixture
def limits(settings):
    settings.HTMX_LIVE = {"MAX_REQUESTS": 4, "BUSY_TIMEOUT": PATIENCE}
    return settings.HTMX_LIVE


async def acquired(limiter, client="", *, timeout=PATIENCE):
    assert await limiter.acquire(client, timeout=timeout)


async def asking(limiter, *clients):
    """Tasks that ask for a place in this order."""
    tasks = [asyncio.create_task(limiter.acquire(client, timeout=PATIENCE)) for client in clients]
    await asyncio.sleep(0)
    return tasks


def test_places_go_to_who_came_first(limits):
    async def scenario():
        limiter = CapacityLimiter()
        for _ in range(4):
            await acquired(limiter)
        first, second = await asking(limiter, "", "")
        limiter.release("")
        assert await first
        assert not second.done()
        limiter.release("")
        assert await second

    asyncio.run(scenario())


def test_one_client_leaves_half_of_the_places_to_others(limits):
    async def scenario():
        limiter = CapacityLimiter()
        for client in ("a", "a", "b"):
            await acquired(limiter, client)
        third, other = await asking(limiter, "a", "c")
        assert await other
        assert not third.done()
        limiter.release("c")  # a place, but not for a
        limiter.release("a")
        assert await third

    asyncio.run(scenario())


def test_who_waits_too_long_or_leaves_holds_no_place(limits):
    async def scenario():
        limiter = CapacityLimiter()
        for _ in range(4):
            await acquired(limiter)
        assert not await limiter.acquire("", timeout=0)
        [leaving] = await asking(limiter, "")
        leaving.cancel()
        limiter.release("")  # in the same moment
        with pytest.raises(asyncio.CancelledError):
            await leaving
        await acquired(limiter, timeout=0)

    asyncio.run(scenario())


class Behind:
    """An application that reads a request, and answers when it is ``released``."""

    def __init__(self):
        self.working = 0
        self.released = asyncio.Event()
        self.sent = []

    async def __call__(self, scope, receive, send):
        while (message := await receive()).get("more_body"):
            pass
        if message["type"] == "http.disconnect":
            return
        self.working += 1
        await self.released.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})


async def post(application, path="/live/sync/", *, body=None):
    """The statuses and headers of the answers to a request whose body comes from the queue ``body``."""
    sent = []
    if body is None:
        body = asyncio.Queue()
        body.put_nowait({"type": "http.request"})

    async def send(message):
        if message["type"] == "http.response.start":
            sent.append((message["status"], dict(message["headers"])))

    scope = {"type": "http", "method": "POST", "path": path, "headers": []}
    await application(scope, body.get, send)
    return sent


@pytest.mark.urls("tests.soak.site")
def test_a_request_without_a_place_is_refused_and_told_when_to_come_back(limits, caplog):
    async def scenario():
        behind = Behind()
        application = live_asgi(behind)
        working = [asyncio.create_task(post(application)) for _ in range(4)]
        while behind.working < 4:
            await asyncio.sleep(0)
        with override_settings(HTMX_LIVE={**limits, "BUSY_TIMEOUT": 0}):
            assert await post(application) == [(503, {b"retry-after": b"5", b"content-length": b"0"})]
        other = asyncio.create_task(post(application, "/sign-out/"))  # the project's own: not limited
        while behind.working < 5:
            await asyncio.sleep(0)
        behind.released.set()
        assert [await task for task in (*working, other)] == [[(204, {})]] * 5

    asyncio.run(scenario())
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.urls("tests.soak.site")
def test_a_body_that_comes_slowly_takes_no_place(limits):
    async def scenario():
        behind = Behind()
        behind.released.set()
        application = live_asgi(behind)
        bodies = [asyncio.Queue() for _ in range(4)]
        slow = [asyncio.create_task(post(application, body=body)) for body in bodies]
        for body in bodies:
            body.put_nowait({"type": "http.request", "more_body": True})
        await asyncio.sleep(0)
        assert await post(application) == [(204, {})]
        for body in bodies:
            body.put_nowait({"type": "http.request"})
        assert [await task for task in slow] == [[(204, {})]] * 4

    asyncio.run(scenario())


@pytest.mark.processes
def test_a_hundred_clicks_at_once_are_all_answered_on_few_threads(tmp_path):
    """With Django's own thread for each request there were as many threads as clicks."""
    env = {
        "DJANGO_SETTINGS_MODULE": "tests.soak.settings",
        "SOAK_LIVE": json.dumps({"MAX_REQUESTS": 4, "BUSY_TIMEOUT": PATIENCE}),
        "SOAK_DATABASE": str(tmp_path / "db.sqlite3"),
    }

    async def scenario(port):
        outcome, threads = Outcome(), []
        with ExitStack() as stack:
            clients = [stack.enter_context(Client(lambda: port, outcome)) for _ in range(100)]
            pages = [await Page.load(client, "/board/") for client in clients]
            clicks = asyncio.gather(*(page.click("click") for page in pages))
            while not clicks.done():
                threads.append((await diagnostics(port))["threads"].get("ThreadPoolExecutor", 0))
            await clicks
        assert outcome.answers["live/event", 200] == 100
        assert max(threads) < 20  # those of requests that have been answered may be ending

    with Server("tests.soak.asgi:application", log=tmp_path / "server.log", env=env) as server:
        asyncio.run(scenario(server.port))
    assert (tmp_path / "server.log").read_text() == ""
