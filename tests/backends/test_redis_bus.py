"""The bus on Redis, with a Redis that goes away, comes back, forgets and hears nonsense, and with other processes."""

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from htmx_live.backends import RedisBus
from htmx_live.backends.redis.client import RETRY_DELAY, RedisConnection
from htmx_live.backends.wire import BusMessage, Replay
from htmx_live.core.exceptions import StoreUnavailable
from htmx_live.testing import ManualClock
from tests.backends.bus_processes import in_another_process
from tests.backends.recorder import Recorder, data_of, settle
from tests.redis_server import RedisServer

pytestmark = pytest.mark.processes

PAGE, TOPIC = "page:a", "topic:t"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture
def shared(connection: RedisConnection) -> RedisBus:
    """A bus on the Redis of the whole run."""
    return RedisBus(connection)


@pytest.fixture
def prefix(connection: RedisConnection) -> str:
    return connection.prefix


@pytest.fixture
def bus_on() -> Iterator[Callable[[RedisServer], RedisBus]]:
    """Makes buses on a server of the test's own, each with its connection."""
    connections: list[RedisConnection] = []

    def make(server: RedisServer) -> RedisBus:
        connections.append(RedisConnection(server.url, prefix="t:"))
        return RedisBus(connections[-1])

    yield make
    for connection in connections:
        connection.close()


@pytest.fixture
def hearing() -> Iterator[object]:
    """Subscribes a receiver to a bus, and returns it when it hears; unsubscribed at the end."""
    pairs: list[tuple[RedisBus, Recorder]] = []

    def hear(bus: RedisBus) -> Recorder:
        recorder = Recorder()
        pairs.append((bus, recorder))
        bus.subscribe(recorder)
        assert recorder.wait_for("converge")
        return recorder

    yield hear
    for bus, recorder in pairs:
        bus.unsubscribe(recorder)


class Listening(logging.Handler):
    """Hands what is logged to a recorder."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self.recorder = recorder

    def emit(self, record: logging.LogRecord) -> None:
        self.recorder.note(record.getMessage())


@pytest.fixture
def log() -> Iterator[Recorder]:
    """What the package logs."""
    recorder = Recorder()
    handler, logger = Listening(recorder), logging.getLogger("htmx_live")
    logger.addHandler(handler)
    yield recorder
    logger.removeHandler(handler)


def contents(catchup: Replay) -> list[tuple[str, str]]:
    assert not catchup.is_reset
    return [(message.target, message.data) for message in catchup.messages]


def converged_again(noted: list[object]) -> bool:
    return noted.count("converge") >= 2


# Redis goes away


def test_after_a_redis_that_came_back_empty_everybody_converges_and_is_reset(bus_on, server, hearing, log):
    bus = bus_on(server)
    recorder = hearing(bus)
    bus.publish([PAGE], "a", "1")
    before, epoch = bus.position(), bus.epoch
    server.kill()
    with pytest.raises(StoreUnavailable):
        bus.publish([PAGE], "a", "2")
    server.start()
    assert recorder.wait_until(converged_again)
    assert bus.epoch != epoch
    assert bus.read([PAGE], before).is_reset
    bus.publish([PAGE], "a", "3")
    assert recorder.wait_until(lambda noted: data_of(noted)[-1:] == ["3"])


def test_a_redis_that_kept_its_data_goes_on_and_nothing_published_meanwhile_is_lost(bus_on, tmp_path, hearing, log):
    with RedisServer(tmp_path, durable=True) as server:
        bus = bus_on(server)
        recorder = hearing(bus)
        before, epoch = bus.position(), bus.epoch
        bus.publish([PAGE], "a", "1")
        server.kill()
        server.start()
        bus_on(server).publish([PAGE], "b", "2")  # another process may be back first
        assert recorder.wait_until(converged_again)
        assert bus.epoch == epoch
        assert contents(bus.read([PAGE], before)) == [("a", "1"), ("b", "2")]


def test_after_a_redis_that_hung_everybody_converges_to_the_exact_state(bus_on, server, hearing, log):
    bus = bus_on(server)
    recorder = hearing(bus)
    start = bus.position()
    bus.publish([PAGE], "a", "1")
    server.freeze()
    assert log.wait_until(lambda noted: any("does not answer" in str(each) for each in noted))
    with pytest.raises(StoreUnavailable):
        bus.position()
    server.thaw()
    assert recorder.wait_until(converged_again)
    bus.publish([PAGE], "b", "2")
    assert contents(bus.read([PAGE], start)) == [("a", "1"), ("b", "2")]
    assert recorder.wait_until(lambda noted: data_of(noted)[-1:] == ["2"])


def test_calls_succeed_at_once_when_the_subscription_stands_again(bus_on, server, hearing, log):
    bus = bus_on(server)
    recorder = hearing(bus)
    server.kill()
    with pytest.raises(StoreUnavailable):
        bus.position()
    server.start()
    assert recorder.wait_until(converged_again)
    bus.position()  # no pause of the connection is waited for


def test_a_receiver_that_comes_while_redis_is_away_converges_when_it_is_back(bus_on, server, log):
    server.kill()
    bus, recorder = bus_on(server), Recorder()
    bus.subscribe(recorder)
    server.start()
    assert recorder.wait_for("converge", patience=RETRY_DELAY * 10)
    bus.unsubscribe(recorder)


# Redis forgets


def test_after_a_flush_receivers_converge_before_they_get_messages_of_the_other_epoch(bus_on, server, hearing):
    bus = bus_on(server)
    recorder = hearing(bus)
    bus.publish([PAGE], "a", "1")
    before = bus.position()
    with server.client() as client:
        client.flushall()
    bus.publish([PAGE], "a", "2")
    assert recorder.wait_until(lambda noted: data_of(noted) == ["1", "2"])
    assert [each if each == "converge" else "message" for each in recorder.noted] == ["converge", "message"] * 2
    assert bus.read([PAGE], before).is_reset
    assert bus.position().startswith(f"{bus.epoch}.")


def test_a_channel_whose_messages_redis_has_evicted_resets_who_may_lack_one(shared, redis_server, prefix):
    start = shared.position()
    shared.publish([PAGE], "a", "1")
    with redis_server.client() as client:
        assert client.delete(f"{prefix}bus:log:{PAGE}") == 1
    assert shared.read([PAGE], start).is_reset
    assert contents(shared.read([PAGE], shared.position())) == []


def test_no_number_is_given_twice_when_redis_is_back_with_older_data(connection, redis_server, prefix):
    clock = ManualClock()
    bus = RedisBus(connection, clock=clock)
    bus.publish([PAGE], "a", "1")
    with redis_server.client() as client:
        older = client.hget(f"{prefix}bus:head", "number")
        clock.advance(1)
        number = bus.publish([PAGE], "a", "2")
        client.hset(f"{prefix}bus:head", "number", older)
    clock.advance(1)
    assert bus.publish([PAGE], "a", "3") > number


def test_a_counter_that_is_gone_resets_everybody(shared, redis_server, prefix):
    shared.publish([PAGE], "a", "1")
    before = shared.position()
    with redis_server.client() as client:
        client.delete(f"{prefix}bus:head")
    assert shared.position() != before
    assert shared.read([PAGE], before).is_reset


def test_everything_but_the_epoch_has_a_lifetime(shared, redis_server, prefix):
    shared.append([PAGE, TOPIC], "s", "text")
    shared.publish([TOPIC], "a", "1")
    shared.add_channels("b", [TOPIC], since=f"{shared.epoch}.0")
    shared.purge([PAGE])
    with redis_server.client() as client:
        keys = list(client.scan_iter(f"{prefix}*"))
        lasting = [key for key in keys if client.ttl(key) < 0]
    assert len(keys) > 8
    assert lasting == [f"{prefix}epoch"]


# Nonsense


@pytest.mark.parametrize(
    "nonsense",
    [
        "",
        "x",
        "message e 1\n[]\n\n",
        'message e x\n[["page:a"], "", "t"]\n\n',
        'message e 1\n[["page:a"], "append", "t"]\n\nx',
        "other e 1\n{}\n\n",
        "join e 1\n7\n\n",
    ],
)
def test_a_message_that_is_none_of_ours_is_logged_and_the_next_is_heard(
    nonsense, shared, redis_server, prefix, hearing, log
):
    recorder = hearing(shared)
    with redis_server.client() as client:
        client.publish(f"{prefix}bus", nonsense)
    shared.publish([PAGE], "a", "1")
    assert recorder.wait_until(lambda noted: data_of(noted) == ["1"])
    assert any("could not be handed over" in str(line) for line in log.noted)  # threads of other tests log, too


def test_a_receiver_that_fails_does_not_end_the_subscription(shared, hearing, log):
    class Failing(Recorder):
        def deliver(self, channels: tuple[str, ...], message: BusMessage) -> None:
            super().deliver(channels, message)
            raise RuntimeError("no")

    failing = Failing()
    recorder = hearing(shared)
    shared.subscribe(failing)
    for data in ("1", "2"):
        shared.publish([PAGE], "a", data)
    assert failing.wait_until(lambda noted: data_of(noted) == ["1", "2"])
    assert data_of(recorder.noted) == ["1", "2"]
    shared.unsubscribe(failing)


# Processes and threads


def test_what_another_process_publishes_arrives_whole_and_in_order(shared, redis_server, prefix, hearing):
    recorder = hearing(shared)
    start = shared.position()
    code = """
for n in range(1000):
    bus().publish(["page:a"], f"t{n % 7}", str(n))
bus().append(["page:a"], "s", "text")
"""
    in_another_process(code, url=redis_server.url, prefix=prefix)
    settle(shared)
    numbers = [each.number for each in recorder.noted if isinstance(each, BusMessage)]
    assert data_of(recorder.noted)[:-1] == [str(n) for n in range(1000)]
    assert numbers == sorted(set(numbers))
    assert [data for _, data in contents(shared.read([PAGE], start))][:-1] == [str(n) for n in range(993, 1000)]


def test_a_process_without_receivers_has_no_subscription_and_no_thread(shared, redis_server, prefix):
    before = set(threading.enumerate())
    shared.publish([PAGE], "a", "1")
    shared.add_channels("a", [TOPIC])
    with redis_server.client() as client:
        assert client.pubsub_numsub(f"{prefix}bus") == [(f"{prefix}bus", 0)]
    assert set(threading.enumerate()) <= before  # those of earlier tests may be ending


def test_the_thread_ends_with_its_last_receiver_and_another_one_begins_again(shared, hearing):
    before = set(threading.enumerate())
    recorder = hearing(shared)
    [thread] = set(threading.enumerate()) - before
    shared.unsubscribe(recorder)
    thread.join(10)
    assert not thread.is_alive()
    again = hearing(shared)
    shared.publish([PAGE], "a", "1")
    assert again.wait_until(lambda noted: data_of(noted) == ["1"])


def test_a_forked_process_begins_anew_and_its_parent_goes_on(redis_server, prefix):
    code = """
import os, threading
from tests.backends.recorder import Recorder, data_of
parent = Recorder()
bus().subscribe(parent)
assert parent.wait_for("converge")
pid = os.fork()
if not pid:
    bus().publish(["page:a"], "a", "from the child")
    assert threading.active_count() == 1
    child = Recorder()
    bus().subscribe(child)
    assert child.wait_for("converge")
    bus().publish(["page:a"], "a", "heard by both")
    assert child.wait_until(lambda noted: data_of(noted) == ["heard by both"])
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
bus().publish(["page:a"], "a", "after it")
assert parent.wait_until(lambda noted: data_of(noted)[-1:] == ["after it"])
print(data_of(parent.noted), parent.noted.count("converge"))
"""
    answer = in_another_process(code, url=redis_server.url, prefix=prefix)
    assert answer == "['from the child', 'heard by both', 'after it'] 1\n"


def test_the_process_has_the_bus_that_the_settings_ask_for(redis_server, prefix):
    code = "print(type(bus()).__name__, type(bus().epoch).__name__)"
    assert in_another_process(code, url=redis_server.url, prefix=prefix) == "RedisBus str\n"
    assert in_another_process(code, url="", prefix=prefix) == "MemoryBus str\n"


def test_its_clock_is_that_of_redis(connection):
    before, now, after = connection.call("TIME"), RedisBus(connection).now(), connection.call("TIME")
    assert (
        [int(before[0]), int(before[1])] <= [int(now), round(now % 1 * 1e6) + 1] <= [int(after[0]), int(after[1]) + 2]
    )
