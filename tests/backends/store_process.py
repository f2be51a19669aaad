"""Another process that uses a store in Redis.

Usage: `python -m tests.backends.store_process TASK URL PREFIX SETTINGS [ARGUMENTS]`.

It prints a line of JSON for each step, and waits for a line of input where the test is to say when it goes on.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

SKEW = float(os.environ.get("SKEW", 0))  # seconds by which this process's clock is wrong
if SKEW:
    right = time.time
    time.time = lambda: right() + SKEW

from django.conf import settings  # noqa: E402

from htmx_live.backends.redis.client import RedisConnection  # noqa: E402
from htmx_live.backends.redis.store import RedisStore  # noqa: E402
from htmx_live.core.records import Owner, Record  # noqa: E402


def say(value: Any) -> None:
    print(json.dumps(value), flush=True)


def one_turn(store: RedisStore, instance: str) -> int:
    """Add one to a number in the state; the rev that this made."""
    lease = store.acquire(instance, wait=60)
    assert lease is not None
    loaded = store.load(instance)
    assert loaded is not None
    mine = loaded.record
    changed = replace(mine, rev=mine.rev + 1, state={"n": str(int(mine.state["n"]) + 1)})
    assert store.save(changed, lease=lease, ack=loaded.last_message_number)
    store.release(lease)
    return changed.rev


def write(store: RedisStore, threads: str, turns: str) -> None:
    """Many writers to one instance; the revs that each made."""
    say("ready")
    sys.stdin.readline()
    with ThreadPoolExecutor(int(threads)) as pool:
        found = pool.map(lambda _: [one_turn(store, "one") for _ in range(int(turns))], range(int(threads)))
        say(list(found))


def stall(store: RedisStore) -> None:
    """A turn that is told when to save; whether it could."""
    lease = store.acquire("one", wait=0)
    loaded = store.load("one")
    assert lease is not None and loaded is not None
    say("held")
    sys.stdin.readline()
    say(store.save(replace(loaded.record, rev=loaded.record.rev + 1, state={"n": "late"}), lease=lease))


def wait(store: RedisStore) -> None:
    """Somebody who waits for the lease."""
    say("waits")
    say(store.acquire("one", wait=600) is not None)


def look(store: RedisStore) -> None:
    """What a process sees, and what it leaves, in the eyes of its own clock."""
    say(
        [
            store.load("theirs") is not None,
            store.is_viewed("theirs"),
            store.acquire_lock("tick", "me", ttl=60),
            store.pop_due(),
        ]
    )
    store.create(Record(instance="mine", view="app.View", owner=Owner(token="m"), rev=1, pages=("q",)))
    store.touch_page("q", present_for=60, retain_for=0)
    store.set_deadline("mine", "{}", within=60)
    say(store.acquire_lock("mine", "me", ttl=60))


TASKS: dict[str, Callable[..., None]] = {"write": write, "stall": stall, "wait": wait, "look": look}

if __name__ == "__main__":
    task, url, prefix, chosen, *arguments = sys.argv[1:]
    settings.configure(SECRET_KEY="s", HTMX_LIVE=json.loads(chosen))
    TASKS[task](RedisStore(RedisConnection(url, prefix=prefix)), *arguments)
