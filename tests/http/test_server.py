"""Streams of a real uvicorn: what they cost, and how they end."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from tests.http.client import Connections
from tests.server import Server

pytestmark = pytest.mark.processes

Scenario = Callable[[Connections, Server], Awaitable[None]]
Play = Callable[..., None]

BRIEF = {"HEARTBEAT": 0.1, "STREAM_LIFETIME": 1}
CAPPED = {"HEARTBEAT": 0.1, "MAX_STREAMS_PER_OWNER": 2, "MAX_STREAMS": 3}


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Server]]:
    """Those that run, by what they serve and their settings."""
    running: dict[str, Server] = {}
    yield running
    for server in running.values():
        server.kill()


@pytest.fixture
def play(servers: dict[str, Server], tmp_path_factory: pytest.TempPathFactory) -> Play:
    """Run ``scenario(connections, server)`` against a server with these ``HTMX_LIVE`` settings; it may stop it."""

    def run(scenario: Scenario, *, app: str = "application", **settings: Any) -> None:
        name = app + json.dumps(settings)
        if name not in servers:
            folder = tmp_path_factory.mktemp("server")
            env = {
                "DJANGO_SETTINGS_MODULE": "tests.http.settings",
                "TRANSPORT_SETTINGS": json.dumps(settings),
                "TMPDIR": str(folder),  # the servers are no siblings
            }
            servers[name] = Server(f"tests.http.app:{app}", log=folder / "server.log", env=env).start()
        asyncio.run(visit(scenario, servers[name]))
        assert servers[name].log.read_text() == ""  # warnings and errors, of uvicorn's too
        if not servers[name].is_running:
            del servers[name]

    return run


async def visit(scenario: Scenario, server: Server) -> None:
    """Run the scenario when the streams of the test before are gone."""
    async with Connections(server.port) as connections:
        while (await connections.ask())["streams"]:
            pass
        await scenario(connections, server)


def publish(data: str, channel: str = "topic:all", **more: Any) -> tuple[str, dict[str, Any]]:
    return "publish", {"channels": [channel], "target": "t", "data": data, **more}


def test_a_thousand_streams_cost_no_thread_and_the_last_of_a_burst_reaches_all(play):
    async def scenario(connections, server):
        await connections.open_many(10)
        threads = (await connections.ask())["threads"]
        streams = await connections.open_many(990, x_channels="topic:all")
        census = await connections.ask()
        await connections.tell(*(publish(f"state {n}") for n in range(50)))
        received = await asyncio.gather(*(stream.until_data("state 49") for stream in streams))
        assert census["streams"] == 1000
        assert census["threads"] - threads <= 8  # the transport's own two pools, at most
        for events in received:
            numbers = [int(event.id.split(".")[1]) for event in events]
            assert numbers == sorted(numbers)

    play(scenario)


def test_sigterm_says_bye_to_every_stream(play):
    async def scenario(connections, server):
        streams = await connections.open_many(50)
        stopping = asyncio.create_task(asyncio.to_thread(server.stop))
        ends = [(await stream.until("bye"))[-1].name for stream in streams]
        assert ends == ["bye"] * 50
        assert await stopping < 5

    play(scenario)


def test_a_stream_ends_whole_though_the_server_is_slow(play):
    """The time of the stream is over while its gate hangs for longer than a client has to take the end."""

    async def scenario(connections, server):
        stream = await connections.open(x_live_page="slow")
        assert (await stream.until("bye"))[-1].name == "bye"
        assert await stream.event() is None  # the response is complete

    play(scenario, **BRIEF)


def test_sigterm_ends_a_stream_whose_client_does_not_read(play):
    async def scenario(connections, server):
        with socket.create_connection(("127.0.0.1", server.port)) as deaf:
            deaf.sendall(
                b"GET /live/stream/ HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\nx-live-page: deaf\r\n\r\n"
            )
            deaf.recv(1)  # it is open
            for n in range(20):  # far more than the sockets hold
                await connections.tell(publish(f"{n}" + "x" * 1_000_000, "page:deaf", event=f"e{n}"))
            assert await asyncio.to_thread(server.stop) < 5

    play(scenario)


def test_a_slow_client_gets_the_newest_state_when_it_reads_and_delays_nobody(play):
    async def scenario(connections, server):
        slow, quick = await connections.open_many(2, x_channels="topic:all")
        last = "39" + "x" * 1_000_000
        for n in range(40):  # far more than the sockets hold
            await connections.tell(publish(f"{n:02}" + "x" * 1_000_000))
            await quick.until_data(f"{n:02}" + "x" * 1_000_000)
        assert len(await slow.until_data(last)) < 40

    play(scenario)


def test_a_client_that_leaves_frees_its_stream(play):
    async def scenario(connections, server):
        [stream] = await connections.open_many(1)
        before = await connections.ask()
        assert before["streams"] == 1
        await stream.close()
        while (census := await connections.ask())["streams"] or census["closed"] == before["closed"]:
            pass

    play(scenario)


@pytest.mark.parametrize("app", ["application", "plain"])
def test_both_ways_to_serve_a_stream_say_the_same(play, app):
    async def scenario(connections, server):
        stream = await connections.open(x_live_page="p")
        epoch, number = (await stream.settle()).split(".")
        await connections.tell(publish("a\nb", "page:p"))
        event = await stream.event()
        refused = await connections.open()
        assert {name: stream.headers[name] for name in ("content-type", "cache-control", "content-encoding")} == {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-cache, no-transform",
            "content-encoding": "identity",
        }
        assert stream.headers["x-accel-buffering"] == "no"
        assert (event.id, event.data) == (f"{epoch}.{int(number) + 1}", "a\nb")
        assert refused.status == 404
        await stream.close()
        while (await connections.ask())["streams"]:
            pass

    play(scenario, app=app)


def test_a_reconnecting_client_gets_what_it_missed_and_a_foreign_epoch_a_reset(play):
    async def scenario(connections, server):
        [first] = await connections.open_many(1)
        await connections.tell(publish("zero", "page:p0"))
        position = (await first.event()).id
        await first.close()
        await connections.tell(publish("one", "page:p0"), publish("two", "page:p0"))
        again = await connections.open(x_live_page="p0", last_event_id=position)
        foreign = await connections.open(x_live_page="p0", last_event_id="0123abcd.1")
        assert [event.data for event in await again.until_data("two")][1:] == ["two"]
        assert [event.name for event in await foreign.until("reset")] == ["hello", "reset"]

    play(scenario)


def test_an_owner_gets_so_many_streams_and_no_more(play):
    async def scenario(connections, server):
        owners = ("one", "one", "one", "other", "third")
        streams = [await connections.open(x_live_page=f"p{n}", x_owner=owner) for n, owner in enumerate(owners)]
        assert [stream.status for stream in streams] == [200, 200, 429, 200, 429]

    play(scenario, **CAPPED)


def test_a_beat_carries_the_position(play):
    async def scenario(connections, server):
        [stream] = await connections.open_many(1)
        number = await connections.tell(publish("elsewhere"))
        while not (await stream.event()).id.endswith(f".{number}"):
            pass

    play(scenario, **CAPPED)


def test_a_streams_lifetime_ends_with_bye(play):
    async def scenario(connections, server):
        stream = await connections.open(x_live_page="p")
        assert [event.name for event in await stream.until("bye")][-1] == "bye"
        assert await stream.event() is None

    play(scenario, **BRIEF)


def test_a_stock_event_url_gets_a_whole_burst_of_a_projects_events(play):
    async def scenario(connections, server):
        stream = await connections.open("/events/")
        await stream.until("stream-open", with_empty=True)
        await connections.tell(*(("send_event", {"channel": "news", "data": n}) for n in range(50)))
        events = await stream.until_data("49")
        assert [event.data for event in events if event.name == "message"] == [str(n) for n in range(50)]

    play(scenario)


def test_under_wsgi_a_stream_is_an_empty_answer():
    program = (
        "from tests.http.app import *\n"
        "from django.test import Client\n"
        "client = Client(headers={'x-live-page': 'p', 'accept': 'text/event-stream'})\n"
        "print(client.get('/live/stream/').status_code, client.post('/live/stream/').status_code)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "204 405\n"
