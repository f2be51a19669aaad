"""What stands behind a site: Redis, and those who do its jobs."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing
from statistics import median
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from htmx_live.conf import settings
from htmx_live.doctor.findings import Finding, bad, doubtful, good
from htmx_live.exceptions import StoreUnavailable
from htmx_live.redis_connection import RedisConnection, redis_connection
from htmx_live.runners.celery import TASK

__all__ = ["examine_redis", "examine_workers", "redis_findings"]

_OLDEST = (6, 2)
_PINGS = 20
_SLOW = 0.005  # seconds for one round trip; each click makes several
_FULL = 0.8  # of maxmemory
_ANSWER = 2.0  # seconds that workers have to answer
_START = "celery -A <project> worker"


def examine_redis() -> Iterator[Finding]:
    if not settings().REDIS_URL:
        yield good("Redis", "Not used: everything lives in the memory of one web process.")
        return
    try:
        connection = redis_connection()
        connection.call("PING")
        yield _latency(connection)
        with closing(connection.client()) as client:
            yield from redis_findings(dict(client.info()))
    except (StoreUnavailable, ImproperlyConfigured, ValueError) as error:
        yield bad("Redis", str(error), "Start it, and look at REDIS_URL and at what stands between.")
    except Exception as error:  # a boundary: a service that allows no INFO, with an error of its own
        yield doubtful("Redis", f"It does not tell about itself: {error}", "Look by hand: version, maxmemory-policy.")


def redis_findings(told: dict[str, Any]) -> Iterator[Finding]:
    """What Redis's INFO means for us."""
    version = str(told.get("redis_version", "0"))
    if _numbers(version) < _OLDEST:
        yield bad("Redis", f"It is version {version}.", "Use Redis 6.2 or newer, or Valkey.")
    if told.get("cluster_enabled"):
        yield bad("Redis", "It is a cluster, on which one script cannot reach all keys.", "Use one Redis, or Sentinel.")
    if told.get("role") == "slave":
        yield bad("Redis", "It is a replica, which cannot be written to.", "Set REDIS_URL to the primary.")
    yield _memory(told)
    yield _persistence(told)
    yield good("Redis", f"Version {told.get('valkey_version', version)}, {told.get('connected_clients', '?')} clients.")


def _latency(connection: RedisConnection) -> Finding:
    times = []
    for _ in range(_PINGS):
        began = time.monotonic()
        connection.call("PING")
        times.append(time.monotonic() - began)
    text = f"A round trip takes {median(times) * 1000:.1f} ms."
    if median(times) > _SLOW:
        return doubtful("Redis", text, "Put it nearer to the web processes: each click makes several round trips.")
    return good("Redis", text)


def _memory(told: dict[str, Any]) -> Finding:
    limit, used = int(told.get("maxmemory", 0)), int(told.get("used_memory", 0))
    policy = str(told.get("maxmemory_policy", "noeviction"))
    if limit and policy != "noeviction":
        text = f"maxmemory-policy is {policy}: when it is full, open pages lose their state without a word."
        return doubtful("Redis", text, "Set maxmemory-policy noeviction, or give htmx_live a Redis of its own.")
    if limit and used > _FULL * limit:
        text = f"{used / limit:.0%} of its memory is used; when it is full, clicks get 503."
        return doubtful("Redis", text, "Raise maxmemory.")
    return good("Redis", f"{used / 1e6:.0f} MB are used, of {f'{limit / 1e6:.0f} MB' if limit else 'no limit'}.")


def _persistence(told: dict[str, Any]) -> Finding:
    if told.get("aof_enabled"):
        return good("Redis", "It writes what it keeps to disk (appendonly).")
    if told.get("rdb_last_bgsave_status", "ok") != "ok":
        text = "Its last snapshot failed; by default it then refuses to be written to."
        return bad("Redis", text, "Look at its log: most often the disk is full.")
    text = "It keeps no log on disk: when it restarts, open pages are mounted again, and notices and progress are gone."
    return doubtful("Redis", text, "Set appendonly yes, unless that is fine.")


def examine_workers() -> Iterator[Finding]:
    chosen = settings()
    if chosen.RUNNER == "celery":
        yield from _celery()
    elif chosen.RUNNER == "thread":
        yield good(
            "Jobs", f"They run in each web process, {chosen.JOB_THREADS} at once; a restart loses those that run."
        )
    elif chosen.RUNNER == "immediate":
        yield doubtful("Jobs", "They run before a click is answered.", "RUNNER 'immediate' is for tests: leave it out.")
    else:
        yield good("Jobs", f"They are given to {chosen.RUNNER!r}; whether that has workers was not looked at.")


def _celery() -> Iterator[Finding]:
    try:
        from celery import current_app

        inspect = current_app.control.inspect(timeout=_ANSWER)
        workers = _within(3 * _ANSWER, inspect.ping) or {}
    except ImportError:
        yield bad("Jobs", "RUNNER is 'celery', which is not installed.", "pip install 'htmx-live[celery]'.")
        return
    except TimeoutError:
        yield bad("Jobs", "Celery's broker does not answer.", "Start it, and look at CELERY_BROKER_URL.")
        return
    except Exception as error:  # a boundary: brokers raise errors of their own libraries
        yield bad("Jobs", f"Celery's broker cannot be asked: {error}", "Look at CELERY_BROKER_URL.")
        return
    if not workers:
        text = f"No Celery worker answered within {_ANSWER:g} s: jobs wait, and their pages say so."
        yield bad("Jobs", text, f"Start one: {_START}.")
        return
    yield good("Jobs", f"{len(workers)} Celery worker(s) answered: {', '.join(sorted(workers))}.")
    yield from _able(current_app, inspect, set(workers))


def _able(app: Any, inspect: Any, workers: set[str]) -> Iterator[Finding]:
    """Whether those workers can do our jobs, and are given them."""
    registered = _within(3 * _ANSWER, inspect.registered) or {}
    unable = [name for name in sorted(workers & set(registered)) if not any(TASK in task for task in registered[name])]
    if unable:
        text = f"{', '.join(unable)} does not know the task {TASK}."
        yield bad("Jobs", text, "Call app.autodiscover_tasks() in celery.py, and restart the worker.")
    wanted = settings().CELERY_QUEUE or app.amqp.router.route({}, TASK)["queue"].name
    listened = {
        queue["name"] for queues in (_within(3 * _ANSWER, inspect.active_queues) or {}).values() for queue in queues
    }
    if listened and wanted not in listened:
        text = f"No worker listens to the queue {wanted!r}, only to {', '.join(sorted(listened))}."
        yield bad("Jobs", text, f"Start one: {_START} -Q {wanted}.")


def _within(seconds: float, call: Callable[[], Any]) -> Any:
    """What ``call`` returns; ``TimeoutError`` when it takes longer.  It may then go on for as long as it likes."""
    outcome: Future[Any] = Future()

    def run() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:  # handed to whoever waits
            outcome.set_exception(error)

    threading.Thread(target=run, name="live-doctor-broker", daemon=True).start()
    return outcome.result(seconds)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
