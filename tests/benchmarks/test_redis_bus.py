"""The bus on Redis against the one in memory: what publishing costs, and what hearing another process costs."""

import threading
import time
from collections.abc import Callable, Iterator
from statistics import median
from uuid import uuid4

import pytest

from htmx_live.backends import Bus, MemoryBus, RedisBus
from htmx_live.backends.redis.client import RedisConnection
from htmx_live.backends.wire import BusMessage
from tests.backends.bus_processes import in_another_process
from tests.redis_server import RedisServer

pytestmark = pytest.mark.benchmark

ROUNDS = 2000
HTML = "<p>two kilobytes of a fragment</p>\n" * 60


class Stopwatch:
    """A receiver that notes when each message came, and how long its thread has worked by then."""

    def __init__(self) -> None:
        self.came: list[tuple[float, float, str]] = []
        self.stands, self.has_ended = threading.Event(), threading.Event()

    def deliver(self, channels: tuple[str, ...], message: BusMessage) -> None:
        self.came.append((time.time(), time.thread_time(), message.data))
        if message.target == "end":
            self.has_ended.set()

    def add_channels(self, page: str, channels: tuple[str, ...]) -> None: ...

    def close_streams(self, session: str) -> None: ...

    def resync(self) -> None:
        self.stands.set()


@pytest.fixture
def connection(redis_server: RedisServer) -> Iterator[RedisConnection]:
    connection = RedisConnection(redis_server.url, prefix=f"{uuid4().hex}:")
    yield connection
    connection.close()


@pytest.fixture
def heard(connection: RedisConnection) -> Iterator[Stopwatch]:
    bus, stopwatch = RedisBus(connection), Stopwatch()
    bus.subscribe(stopwatch)
    assert stopwatch.stands.wait(10)
    yield stopwatch
    bus.unsubscribe(stopwatch)


def test_publishing(connection: RedisConnection) -> None:
    redis, memory = RedisBus(connection), MemoryBus()
    for name, call in {
        "publish 2 KB": lambda bus: bus.publish(["page:a"], "t", HTML),
        "append": lambda bus: bus.append(["page:a"], "s", "a line of text\n"),
        "position": lambda bus: bus.position(),
        "read nothing": lambda bus: bus.read(["page:a", "topic:t"], bus.position()),
    }.items():
        costs = [_cost(call, bus) for bus in (memory, redis)]
        print(f"\n{name}: {costs[0]:.1f} us in memory, {costs[1]:.0f} us in Redis, {costs[1] / costs[0]:.0f}x")
    print(f"\na bare PING: {_cost(lambda _: connection.call('PING'), redis):.0f} us")


def test_from_another_process(connection: RedisConnection, heard: Stopwatch) -> None:
    code = """
import time
for n in range(200):
    bus().publish(["page:a"], "t", str(time.time()))
    time.sleep(0.002)
bus().publish(["page:a"], "end", str(time.time()))
"""
    in_another_process(code, url=connection.url, prefix=connection.prefix)
    assert heard.has_ended.wait(10)
    delays = [came - float(data) for came, _, data in heard.came]
    print(f"\nfrom publish() there to deliver() here: median {median(delays) * 1e3:.2f} ms")


def test_hearing_a_burst(connection: RedisConnection, heard: Stopwatch) -> None:
    code = f"""
html = {HTML!r}
for n in range({ROUNDS}):
    bus().publish(["page:a"], "t", html)
bus().publish(["page:a"], "end", "")
"""
    in_another_process(code, url=connection.url, prefix=connection.prefix)
    assert heard.has_ended.wait(10)
    worked = heard.came[-1][1] - heard.came[0][1]
    print(f"\nhearing a message of 2 KB: {worked / ROUNDS * 1e6:.0f} us of CPU")


def _cost(call: Callable[[Bus], object], bus: Bus) -> float:
    """Microseconds of one call, the median of many."""
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        call(bus)
        taken.append(time.perf_counter() - start)
    return median(taken) * 1e6
