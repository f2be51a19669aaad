"""The store in Redis: what a click costs, leases under many writers, and that no update is lost."""

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from statistics import median, quantiles
from typing import Any
from uuid import uuid4

import pytest

from htmx_live.backends.memory.store import MemoryStore
from htmx_live.backends.redis.client import RedisConnection
from htmx_live.backends.redis.store import RedisStore
from htmx_live.core.records import Owner, Record
from tests.backends.test_redis_processes import Process
from tests.redis_server import RedisServer

pytestmark = pytest.mark.benchmark
ROUNDS = 500


class CountingConnection(RedisConnection):
    trips = 0

    def _run_guarded(self, call: Any, **options: Any) -> Any:
        self.trips += 1
        return super()._run_guarded(call, **options)


@pytest.fixture
def connection(redis_server: RedisServer) -> CountingConnection:
    return CountingConnection(redis_server.url, prefix=f"{uuid4().hex}:")


@pytest.fixture
def store(connection: CountingConnection) -> Iterator[RedisStore]:
    store = RedisStore(connection)
    yield store
    store.close()


def record(instance: str, size: int = 2000) -> Record:
    state = {"rows": json.dumps("x" * size), "n": "0"}
    return Record(instance=instance, view="app.View", owner=Owner(token="a"), rev=1, state=state, pages=("p",))


def click(store: Any, instance: str) -> None:
    """What one event asks of the store: find the record, take a turn."""
    assert store.load(instance)
    lease = store.acquire(instance, wait=10)
    loaded = store.load(instance)
    assert store.save(replace(loaded.record, rev=loaded.record.rev + 1), lease=lease, ack=0)
    store.release(lease)


def microseconds(call: Callable[[], Any], rounds: int = ROUNDS) -> float:
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return median(times) * 1e6


def test_what_a_click_costs(store: RedisStore, connection: CountingConnection) -> None:
    memory = MemoryStore()
    for size in (200, 2000, 60_000):
        for one in (store, memory):
            one.create(record("one", size))
        click(store, "one")
        before = connection.trips
        click(store, "one")
        trips = connection.trips - before
        ping, in_redis = microseconds(lambda: connection.call("PING")), microseconds(lambda: click(store, "one"))
        in_memory = microseconds(lambda: click(memory, "one"))
        print(
            f"\nstore's share of a click, {size} B of state: {in_redis:.0f} µs, {trips} round trips "
            f"({in_redis / ping:.1f}x a PING of {ping:.0f} µs); in memory {in_memory:.0f} µs"
        )


def test_what_each_method_costs(store: RedisStore, connection: CountingConnection) -> None:
    store.create(record("one"))
    ping = microseconds(lambda: connection.call("PING"))
    calls: dict[str, Callable[[], Any]] = {
        "load": lambda: store.load("one"),
        "post": lambda: store.enqueue("one", "letter", coalesce_key="f"),
        "is_shown": lambda: store.is_viewed("one"),
        "show": lambda: store.touch_page("p", present_for=45, retain_for=0),
        "members": lambda: store.instances_on("p"),
        "create": lambda: store.create(record("one")),
        "acquire, release": lambda: store.release(store.acquire("one", wait=0)),  # type: ignore[arg-type]
        "hold": lambda: store.acquire_lock("tick", "me", ttl=10),
        "set_deadline": lambda: store.set_deadline("job", "{}", within=10),
        "overdue": store.pop_due,
    }
    for name, call in calls.items():
        spent = microseconds(call)
        print(f"\n{name}: {spent:.0f} µs, {spent / ping:.1f}x a PING", end="")


def test_a_push_to_ten_thousand_records(store: RedisStore, connection: CountingConnection) -> None:
    for number in range(10_000):
        store.create(replace(record(str(number), 500), owner=Owner()))
    before, longest = connection.trips, 0.0
    begin = last = time.perf_counter()
    count = 0
    for _ in store.find_by_view("app.View", with_state=False):
        count += 1
        longest, last = max(longest, time.perf_counter() - last), time.perf_counter()
    spent = time.perf_counter() - begin
    print(
        f"\nof_view, {count} records: {spent * 1e3:.0f} ms, {spent / count * 1e6:.0f} µs each, "
        f"{connection.trips - before} calls, the longest {longest * 1e3:.1f} ms"
    )


def test_leases_under_fifty_writers(store: RedisStore, connection: CountingConnection) -> None:
    store.create(replace(record("one"), state={"n": "0"}))
    writers = [
        Process("write", connection.url, connection.prefix, "{}", threads, "20") for threads in ("17", "17", "16")
    ]
    try:
        for writer in writers:
            assert writer.hear() == "ready"
        begin = time.perf_counter()
        for writer in writers:
            writer.go_on()
        revs = [rev for writer in writers for of_one in writer.hear() for rev in of_one]
        spent = time.perf_counter() - begin
    finally:
        for writer in writers:
            writer.end()
    loaded = store.load("one")
    assert loaded is not None
    lost = len(revs) - int(loaded.record.state["n"])
    print(f"\n50 writers in 3 processes, {len(revs)} turns: {len(revs) / spent:.0f} a second, lost updates: {lost}")
    assert (lost, sorted(revs)) == (0, list(range(2, len(revs) + 2)))


def test_the_wait_for_a_lease_under_fifty_writers(store: RedisStore) -> None:
    store.create(replace(record("one"), state={"n": "0"}))

    def write(_: int) -> list[float]:
        waits = []
        for _ in range(20):
            begin = time.perf_counter()
            lease = store.acquire("one", wait=60)
            waits.append((time.perf_counter() - begin) * 1e3)
            assert lease is not None
            store.release(lease)
        return waits

    with ThreadPoolExecutor(50) as pool:
        waits = [wait for found in pool.map(write, range(50)) for wait in found]
    begin = time.perf_counter()
    for _ in range(100):
        store.release(store.acquire("one", wait=0))  # type: ignore[arg-type]
    alone = (time.perf_counter() - begin) * 10
    p99 = quantiles(waits, n=100)[98]
    print(
        f"\nlease acquisition under 50 writers: median {median(waits):.1f} ms, p99 {p99:.1f} ms, "
        f"longest {max(waits):.1f} ms; alone, with its release, {alone:.2f} ms"
    )


def test_ten_thousand_mixed_operations(store: RedisStore) -> None:
    """Turns, letters, loads and pages from 16 threads on 20 instances; each turn and each letter has left its trace."""
    names = [str(number) for number in range(20)]
    for name in names:
        store.create(replace(record(name), state={"n": "0", "letters": "0"}))
    seed = random.randrange(10**6)

    def work(worker: int) -> Counter[str]:
        chance, done = random.Random(f"{seed}{worker}"), Counter[str]()
        for _ in range(625):
            name, what = chance.choice(names), chance.choice(["turn", "turn", "post", "load", "show", "link"])
            done[what] += 1
            if what == "turn":
                take_turn(store, name)
            elif what == "post":
                assert store.enqueue(name, "letter")
            elif what == "load":
                assert store.load(name)
            elif what == "show":
                store.touch_page("p", present_for=chance.random(), retain_for=0)
            else:
                store.add_viewer(f"p{chance.randrange(5)}", name)
        return done

    with ThreadPoolExecutor(16) as pool:
        done = sum(pool.map(work, range(16)), Counter[str]())
    for name in names:
        take_turn(store, name)  # for the letters that are left
    states = [loaded.record.state for name in names if (loaded := store.load(name))]
    turns = sum(int(state["n"]) for state in states) - len(names)
    letters = sum(int(state["letters"]) for state in states)
    print(
        f"\n{done.total()} mixed operations (seed {seed}): {done['turn'] - turns} lost updates of {done['turn']}, "
        f"{done['post'] - letters} lost letters of {done['post']}"
    )
    assert (turns, letters) == (done["turn"], done["post"])


def take_turn(store: RedisStore, name: str) -> None:
    lease = store.acquire(name, wait=60)
    loaded = store.load(name)
    assert lease is not None and loaded is not None
    mine = loaded.record
    state = {"n": str(int(mine.state["n"]) + 1), "letters": str(int(mine.state["letters"]) + len(loaded.messages))}
    assert store.save(replace(mine, rev=mine.rev + 1, state=state), lease=lease, ack=loaded.last_message_number)
    store.release(lease)
