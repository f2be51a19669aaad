"""What progress costs: an item that is tracked, an update that is throttled away, one that is published."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.http import HttpRequest
from django.template import Context, Template
from django.test import RequestFactory

from htmx_live.backends import override_bus
from htmx_live.backends.redis.client import RedisConnection
from htmx_live.core.scheduler import ThreadTimer
from htmx_live.progress import ProgressSession
from htmx_live.progress.memory_store import MemoryProgressStore
from htmx_live.progress.publisher import schedule_publish
from htmx_live.progress.redis_store import RedisProgressStore
from htmx_live.progress.reporter import reset_reporters
from htmx_live.progress.snapshots import read_snapshot_line
from htmx_live.progress.store import ProgressStore, override_progress_store
from htmx_live.runtime.services import override_services
from htmx_live.testing import RecordingTransport
from htmx_live.testing.environment import live_environment
from tests.redis_server import RedisServer

pytestmark = [pytest.mark.benchmark, pytest.mark.django_db]
ITEMS = 1_000_000


@pytest.fixture(params=["memory", "redis"])
def place(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "memory":
        kept: ProgressStore = MemoryProgressStore()
    else:
        server: RedisServer = request.getfixturevalue("redis_server")
        kept = RedisProgressStore(RedisConnection(server.url, prefix="benchmarks:"))
    reset_reporters()
    with live_environment(), override_services(timer=ThreadTimer()), override_progress_store(kept):
        yield request.param
    reset_reporters()


def seconds(call: Callable[[], Any], *, best_of: int = 3) -> float:
    found = []
    for _ in range(best_of):
        began = time.perf_counter()
        call()
        found.append(time.perf_counter() - began)
    return min(found)


def plain() -> Iterator[int]:
    yield from range(ITEMS)


def consume(rows: Any) -> None:
    for _ in rows:
        pass


def test_an_item_that_is_tracked(place: str) -> None:
    bare = seconds(lambda: consume(plain()))
    tracked = seconds(lambda: consume(ProgressSession.create({"a": "A"}).track("a", range(ITEMS))))
    each, beyond = bare / ITEMS * 1e6, (tracked - bare) / ITEMS * 1e6
    print(f"\ntrack ({place}): {beyond:.2f} µs an item beyond a generator's {each:.2f}")


def test_an_update_that_is_throttled_away(place: str) -> None:
    session = ProgressSession.create({"a": "A"})
    session.update("a", total=ITEMS)

    def advance() -> None:
        for _ in range(100_000):
            session.advance("a")

    def update() -> None:
        for number in range(100_000):
            session.update("a", current=number)

    print(f"\nthrottled away ({place}): advance {seconds(advance) * 10:.2f} µs, update {seconds(update) * 10:.2f} µs")


def test_an_update_that_is_published(place: str, rf: RequestFactory) -> None:
    session = ProgressSession.create({"a": "A"})
    card(session, rf.get("/"))
    session.update("a", total=1000)

    def publish() -> None:
        for _ in range(100):
            schedule_publish(session.session_id, at_once=True)

    print(f"\npublished ({place}): {seconds(publish) * 10:.2f} ms a frame, drawn once for all viewers")


def test_a_thousand_updates_a_second(rf: RequestFactory) -> None:
    with live_environment() as staged, override_progress_store(MemoryProgressStore(clock=staged.clock)):
        session = ProgressSession.create({"a": "Import products"})
        card(session, rf.get("/"))
        before = len(staged.transport.messages)
        for number in range(10_000):
            session.update("a", current=number, total=10_000)
            staged.clock.advance(0.001)
        frames = staged.transport.messages[before:]
        size = sum(len(frame.data.encode()) for frame in frames)
        print(f"\n1,000 updates a second: {len(frames) / 10:.1f} frames and {size / 10 / 1000:.1f} kB a second")


def test_a_minute_against_polling(rf: RequestFactory) -> None:
    """A task of 60 s that reports every half second, followed by a stream, and by asking every 500 ms."""
    with (
        live_environment() as staged,
        override_progress_store(MemoryProgressStore(clock=staged.clock)),
        override_bus(staged.transport),
    ):
        assert isinstance(staged.transport, RecordingTransport)
        session = ProgressSession.create({"a": "Import products"})
        card(session, rf.get("/"))
        before, polled = len(staged.transport.messages), 0
        for number in range(120):
            session.update("a", current=number, total=120)
            staged.clock.advance(0.5)
            found = read_snapshot_line(session.session_id)
            assert found is not None
            polled += len(found[0].encode()) + 700  # a request's and an answer's headers, as browsers send them
        session.complete("a")
        frames = staged.transport.messages[before:]
        pushed = sum(len(frame.data.encode()) for frame in frames)
        print(f"\n60 s: 1 request, {len(frames)} frames, {pushed / 1000:.0f} kB")
        print(f"polling every 500 ms: 120 requests, {polled / 1000:.0f} kB")


def test_a_session_of_500_tasks(place: str, rf: RequestFactory) -> None:
    session = ProgressSession.create({f"t{number}": f"Task {number}" for number in range(500)})
    card(session, rf.get("/"))
    drawn = seconds(lambda: schedule_publish(session.session_id, at_once=True))
    kept = seconds(lambda: json.dumps(session.to_dict()))
    print(f"\n500 tasks ({place}): {drawn * 1000:.1f} ms a frame, {kept * 1000:.1f} ms a snapshot")


def card(session: ProgressSession, request: HttpRequest) -> str:
    return Template("{% load htmx_live %}{% progress session %}").render(
        Context({"request": request, "session": session})
    )
