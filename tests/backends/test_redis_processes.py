"""``RedisStore`` between processes: writers side by side, and ones that are killed, stopped or have a wrong clock."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from htmx_live.backends.redis.client import RedisConnection
from htmx_live.backends.redis.store import RedisStore
from htmx_live.core.records import Owner, Record
from tests.backends.test_store_contract import turn

LIMITS = {"LEASE_TTL": 1.0}
Start = Callable[..., "Process"]


class Process:
    def __init__(self, *words: str, skew: float = 0) -> None:
        command = [sys.executable, "-m", "tests.backends.store_process", *words]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "SKEW": str(skew)}
        )

    def hear(self) -> Any:
        """The next line that it says."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the process ended without a word"
        return json.loads(line)

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def start(connection: RedisConnection) -> Iterator[Start]:
    """Start `tests.backends.store_process` with a task."""
    running: list[Process] = []

    def begin(task: str, *words: str, **options: Any) -> Process:
        running.append(Process(task, connection.url, connection.prefix, json.dumps(LIMITS), *words, **options))
        return running[-1]

    yield begin
    for process in running:
        process.end()


@pytest.fixture
def store(connection: RedisConnection, settings: Any) -> Iterator[RedisStore]:
    settings.HTMX_LIVE = LIMITS
    store = RedisStore(connection)
    store.create(Record(instance="one", view="app.View", owner=Owner(token="a"), rev=1, state={"n": "0"}, pages=("p",)))
    yield store
    store.close()


def state_of(store: RedisStore) -> dict[str, str]:
    loaded = store.load("one")
    assert loaded is not None
    return loaded.record.state


def test_fifty_writers_in_three_processes_lose_no_update(store: RedisStore, start: Start) -> None:
    writers = [start("write", threads, "5") for threads in ("17", "17", "16")]
    for writer in writers:
        assert writer.hear() == "ready"
    for writer in writers:
        writer.go_on()
    revs = [of_one for writer in writers for of_one in writer.hear()]
    assert all(of_one == sorted(of_one) for of_one in revs)
    assert sorted(rev for of_one in revs for rev in of_one) == list(range(2, 252))
    assert state_of(store) == {"n": "250"}


def test_a_killed_process_loses_its_lease_and_its_turn_alone(store: RedisStore, start: Start) -> None:
    killed = start("stall")
    assert killed.hear() == "held"
    assert store.acquire("one", wait=0) is None
    killed.end()
    lease = store.acquire("one", wait=30)
    assert lease is not None
    store.release(lease)
    assert turn(store, state={"n": "1"}) == store.load("one").record  # type: ignore[union-attr]


def test_a_lease_lasts_no_longer_than_its_time_without_its_process(
    store: RedisStore, connection: RedisConnection, start: Start
) -> None:
    killed = start("stall")
    assert killed.hear() == "held"
    killed.end()
    assert connection.call("PTTL", connection.key("lease", "one")) <= 1000


def test_a_turn_that_outlives_its_lease_time_keeps_its_lease(store: RedisStore, start: Start) -> None:
    slow = start("stall")
    assert slow.hear() == "held"
    assert store.acquire("one", wait=2.5) is None
    slow.go_on()
    assert slow.hear() is True


def test_a_process_that_was_stopped_beyond_its_lease_saves_nothing(store: RedisStore, start: Start) -> None:
    stopped = start("stall")
    assert stopped.hear() == "held"
    stopped.process.send_signal(signal.SIGSTOP)
    lease = store.acquire("one", wait=30)
    assert lease is not None
    stopped.process.send_signal(signal.SIGCONT)
    stopped.go_on()
    assert stopped.hear() is False
    store.release(lease)
    assert state_of(store) == {"n": "0"}


def test_a_waiter_that_was_killed_keeps_nobody_from_the_lease(
    store: RedisStore, connection: RedisConnection, start: Start
) -> None:
    lease = store.acquire("one", wait=0)
    assert lease is not None
    waiter = start("wait")
    assert waiter.hear() == "waits"
    while not connection.call("LLEN", connection.key("queue", "one")):
        assert waiter.process.poll() is None
    waiter.end()
    store.release(lease)
    assert store.acquire("one", wait=30) is not None


def test_a_lease_is_handed_to_another_process_that_waits(
    store: RedisStore, connection: RedisConnection, start: Start
) -> None:
    lease = store.acquire("one", wait=0)
    assert lease is not None
    waiter = start("wait")
    assert waiter.hear() == "waits"
    while not connection.call("LLEN", connection.key("queue", "one")):
        assert waiter.process.poll() is None
    store.release(lease)
    assert waiter.hear() is True


@pytest.mark.parametrize("skew", [120, -120])
def test_a_process_with_a_wrong_clock_changes_nothing(store: RedisStore, start: Start, skew: int) -> None:
    store.create(Record(instance="theirs", view="app.View", owner=Owner(token="t"), rev=1, pages=("p",)))
    store.touch_page("p", present_for=60, retain_for=0)
    store.acquire_lock("tick", "other", ttl=60)
    store.set_deadline("theirs", "{}", within=60)
    wrong = start("look", skew=skew)
    assert (wrong.hear(), wrong.hear()) == ([True, True, False, []], True)
    assert (store.load("mine") is not None, store.is_viewed("mine"), store.pop_due()) == (True, True, [])
    assert (store.acquire_lock("mine", "other", ttl=60), store.acquire_lock("tick", "other", ttl=60)) == (False, True)
