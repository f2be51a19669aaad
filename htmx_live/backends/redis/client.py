"""The connection to Redis (or Valkey) that the store, the bus and progress share in one process.

A call checks out one of ``REDIS_MAX_CONNECTIONS`` connections, and waits in line while all are in use: a surge of calls
takes longer, and is no outage.  Leases are renewed and released on connections of their own, so that a surge ends no
turn.

While Redis is away, a call fails with ``StoreUnavailable`` after at most ``TIMEOUT`` seconds, and for ``PAUSE`` seconds
after that the others fail at once.  Then one call tries, while the others go on failing, until one has been answered.

The Lua scripts of ``RedisStore``: each changes all that belongs together in one step.

They are the files in ``lua/``; each begins with ``common.lua``, which says what the keys hold.
"""

import hashlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING, Any, Literal

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from htmx_live.core.concurrency import after_fork
from htmx_live.core.conf import settings
from htmx_live.core.exceptions import StoreUnavailable
from htmx_live.core.text import Outage

if TYPE_CHECKING:
    from redis import Redis

__all__ = [
    "MAX_BLOCKING_WAIT",
    "RETRY_DELAY",
    "TIMEOUT",
    "RedisConnection",
    "Script",
    "StoreScripts",
    "redis_connection",
    "to_milliseconds",
]


logger = logging.getLogger("htmx_live.backends.redis")

TIMEOUT = 1.0  # seconds to connect, and to be answered
MAX_BLOCKING_WAIT = 0.5  # seconds that a blocking command may ask for; who waits longer calls again
RETRY_DELAY = 1.0  # seconds after a failure in which nobody tries
REFUSAL_RESET_AFTER = 10.0  # seconds without a refused call, after which Redis counts as well again
CHECKOUT_TIMEOUT = 20.0  # seconds that a call waits for a connection while Redis is well
LEASE_CONNECTIONS = 8  # beside those for calls
_CHECKOUT_RETRY_DELAY = 0.01  # seconds between two tries to get a connection from a project's own, smaller pool

# How errors begin that fit all calls, or all writes: full, cannot write to its disk, no replicas, a long script.
_REFUSAL_PREFIXES = ("OOM", "command not allowed when used memory", "MISCONF", "NOREPLICAS", "BUSY")

RedisValue = str | int | float
PoolName = Literal["calls", "leases", "blocking"]


@dataclass(frozen=True)
class Script:
    """A Lua script, which Redis runs as one step.  It is sent once and then called by its hash."""

    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha", hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest())


class RedisConnection:
    """Calls to one Redis; used by many threads at once.  Every key begins with ``prefix``."""

    def __init__(
        self,
        url: str,
        *,
        prefix: str,
        clock: Callable[[], float] = time.monotonic,
        checkout_timeout: float = CHECKOUT_TIMEOUT,
    ) -> None:
        self.url, self.prefix = url, prefix
        self._clock, self._checkout_timeout = clock, checkout_timeout
        self._lock = threading.Lock()
        self._retry_at = 0.0
        self._is_failing = False
        self._outage: Outage | None = None  # the last one
        self._refusal: Outage | None = None  # Redis is full, or takes no writes for another reason
        self._refused_at = 0.0
        self._recoveries = 0  # counted, to tell an answer that is missing now from one that was missing before
        self._pools: dict[PoolName, _Pool] = {
            "calls": _Pool(self.client, settings().REDIS_MAX_CONNECTIONS),
            "leases": _Pool(self.client, LEASE_CONNECTIONS),
            "blocking": _Pool(lambda: self.client(wait=MAX_BLOCKING_WAIT), 1),
        }
        self._epoch, self._epoch_read_at = "", float("-inf")

    def key(self, *names: str) -> str:
        return self.prefix + ":".join(names)

    def call(self, command: str, *args: RedisValue, pool: PoolName = "calls") -> Any:
        """One command; text in answers is ``str``.

        A command that blocks belongs to the pool "blocking", of one connection, and asks for ``MAX_WAIT`` at most.
        """
        return self._run_guarded(lambda client: _execute(client, command, *args), pool=pool)

    def run(
        self, script: Script, keys: Iterable[str], args: Iterable[RedisValue] = (), *, pool: PoolName = "calls"
    ) -> Any:
        """A script, with its ``KEYS`` and ``ARGV``."""
        given = [*(names := list(keys)), *args]

        def evaluate(client: "Redis") -> Any:
            from redis.exceptions import NoScriptError

            try:
                return _execute(client, "EVALSHA", script.sha, len(names), *given)
            except NoScriptError:  # Redis was restarted, or has never seen it
                return _execute(client, "EVAL", script.text, len(names), *given)

        return self._run_guarded(evaluate, pool=pool)

    def client(self, *, wait: float = 0) -> "Redis":
        """A client of its own, whose calls may take ``wait`` seconds longer; it may raise redis-py's errors."""
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        options: dict[str, Any] = {
            "socket_connect_timeout": TIMEOUT,
            "socket_timeout": TIMEOUT + wait,
            "socket_keepalive": True,
            "decode_responses": True,
            "encoding_errors": "replace",  # what others have written here must not raise where it is read
            # A pooled connection that has died is seen before it is used. A call that was sent is never repeated.
            "retry": Retry(NoBackoff(), 0),
        }
        if factory := settings().REDIS_CLIENT:
            made: Redis = import_string(factory)(self.url, **options)
            return made
        most = max(settings().REDIS_MAX_CONNECTIONS, LEASE_CONNECTIONS)
        return Redis.from_url(self.url, max_connections=most, **options)

    def cache_epoch(self, epoch: str) -> None:
        """The word that changes when Redis has lost its data has just been read; "" when it may have changed."""
        self._epoch, self._epoch_read_at = epoch, time.monotonic() if epoch else float("-inf")

    def cached_epoch(self, *, max_age: float) -> str:
        """The epoch, unless it was read more than ``max_age`` seconds ago: then ""."""
        return self._epoch if time.monotonic() - self._epoch_read_at < max_age else ""

    def reset_breaker(self) -> None:
        """Redis is known to answer again: nobody needs to wait for the end of a pause."""
        with self._lock:
            was_failing, self._is_failing = self._is_failing, False
            self._recoveries += 1
            outage = self._outage
        if was_failing and outage is not None:
            logger.warning("Redis at %s answers again %s", _url_without_password(self.url), outage.summary())

    def close(self) -> None:
        """Close the sockets that are open; another call makes others."""
        for pool in self._pools.values():
            pool.close()

    def _run_guarded(self, call: "Callable[[Redis], Any]", *, pool: PoolName) -> Any:
        self._raise_if_unavailable()
        with self._pools[pool].client(self._checkout_timeout) as client:
            if client is None:
                raise self._pool_exhausted_error()
            result = self._attempt(call, client)
        if self._is_failing:
            self.reset_breaker()
        if self._refusal is not None:
            self._clear_refusal()
        return result

    def _attempt(self, call: "Callable[[Redis], Any]", client: "Redis") -> Any:
        """The answer; waits on while a project's own pool has no connection left.  No call is sent twice."""
        from redis.exceptions import ConnectionError, ReadOnlyError, RedisError, TimeoutError

        recoveries, deadline = self._recoveries, time.monotonic() + self._checkout_timeout
        while True:
            self._allow_call()  # Redis may have gone away while this call waited
            try:
                return call(client)
            except (ConnectionError, TimeoutError, ReadOnlyError, OSError) as error:
                if not _is_pool_exhausted(error):
                    reason = f"Redis at {_url_without_password(self.url)} does not answer: {error}"
                    raise StoreUnavailable(reason, outage=self._trip_breaker(recoveries, reason)) from error
                if time.monotonic() > deadline:
                    raise self._pool_exhausted_error() from error
            except RedisError as error:
                reason = f"Redis at {_url_without_password(self.url)} refused a call: {error}"
                raise StoreUnavailable(reason, outage=self._register_refusal(error, reason)) from error
            time.sleep(_CHECKOUT_RETRY_DELAY)

    def _pool_exhausted_error(self) -> StoreUnavailable:
        return StoreUnavailable(
            f"All connections of this process to Redis were in use for {self._checkout_timeout:g} s. Raise "
            "HTMX_LIVE['REDIS_MAX_CONNECTIONS'], and the size of the pool that HTMX_LIVE['REDIS_CLIENT'] makes, if any."
        )

    def _raise_if_unavailable(self) -> None:
        if self._is_failing and self._clock() < self._retry_at:
            raise StoreUnavailable(
                f"Redis at {_url_without_password(self.url)} did not answer just now.", outage=self._outage
            )

    def _allow_call(self) -> None:
        """Let one call through after each pause."""
        if self._is_failing:
            with self._lock:
                self._raise_if_unavailable()
                self._retry_at = self._clock() + TIMEOUT + RETRY_DELAY

    def _trip_breaker(self, recoveries: int, reason: str) -> Outage | None:
        """A call was not answered, which began before the ``recoveries`` since: then what was answered says more."""
        with self._lock:
            if recoveries != self._recoveries:
                return self._outage
            is_new = not self._is_failing
            self._is_failing, self._retry_at = True, self._clock() + RETRY_DELAY
            outage = self._outage = Outage() if is_new else self._outage
        if is_new:
            logger.warning("%s. What fails until it answers again is counted, and logged then.", reason)
        return outage

    def _register_refusal(self, error: Exception, reason: str) -> Outage | None:
        """Redis answered with an error: one that fits all calls is logged once, like an outage."""
        if not str(error).startswith(_REFUSAL_PREFIXES):
            return None  # one key is of a wrong type, or one call is wrong
        with self._lock:
            is_new, self._refused_at = self._refusal is None, self._clock()
            refusal = self._refusal = self._refusal or Outage()
        if is_new:
            logger.warning("%s. What fails until it refuses no more is counted, and logged then.", reason)
        return refusal

    def _clear_refusal(self) -> None:
        """A full Redis takes some calls and refuses others: its refusals are over when there was none for a while."""
        with self._lock:
            refusal = self._refusal
            if refusal is None or self._clock() < self._refused_at + REFUSAL_RESET_AFTER:
                return
            self._refusal = None
        logger.warning("Redis at %s refuses no more calls %s", _url_without_password(self.url), refusal.summary())


class _Pool:
    """One redis-py client for ``size`` calls at once; further calls wait in line, first come, first served."""

    def __init__(self, make_client: "Callable[[], Redis]", size: int) -> None:
        self._make_client, self._free_slots = make_client, size
        self._lock = threading.Lock()
        self._client: Redis | None = None
        self._waiters: deque[threading.Event] = deque()

    @contextmanager
    def client(self, timeout: float) -> "Iterator[Redis | None]":
        """The client, for one call; None when it was not this call's turn within ``timeout`` seconds."""
        if not self._acquire(timeout):
            yield None
            return
        try:
            with self._lock:
                made = self._client = self._client or self._make_client()
            yield made
        finally:
            self._release()

    def close(self) -> None:
        with self._lock:
            made, self._client = self._client, None
        if made is not None:
            made.close()

    def _acquire(self, timeout: float) -> bool:
        granted = threading.Event()
        with self._lock:
            if self._free_slots:
                self._free_slots -= 1
                return True
            self._waiters.append(granted)
        try:
            granted.wait(timeout)
        except BaseException:  # a signal's handler raised
            if not self._cancel_wait(granted):
                self._release()
            raise
        return not self._cancel_wait(granted)

    def _cancel_wait(self, granted: threading.Event) -> bool:
        """Stop waiting; False when the turn has come."""
        with self._lock:
            if not granted.is_set():
                self._waiters.remove(granted)
            return not granted.is_set()

    def _release(self) -> None:
        with self._lock:
            if self._waiters:
                self._waiters.popleft().set()
            else:
                self._free_slots += 1


_lock = threading.Lock()
_connection: RedisConnection | None = None


def redis_connection() -> RedisConnection:
    """This process's connection, to ``REDIS_URL``."""
    global _connection
    chosen = settings()
    with _lock:
        if _connection is None or (_connection.url, _connection.prefix) != (chosen.REDIS_URL, chosen.REDIS_PREFIX):
            if not chosen.REDIS_URL:
                raise ImproperlyConfigured(
                    "Redis is used, but HTMX_LIVE['REDIS_URL'] is not set. Set it, for example to redis://127.0.0.1:6379/0."
                )
            try:
                import redis  # noqa: F401
            except ImportError as error:
                raise ImproperlyConfigured(
                    "HTMX_LIVE['REDIS_URL'] is set, but redis-py is not installed. Run: pip install 'htmx-live[redis]'."
                ) from error
            _connection = RedisConnection(chosen.REDIS_URL, prefix=chosen.REDIS_PREFIX)
        return _connection


@after_fork
def _reset_after_fork() -> None:
    """Another thread of the parent may have held a lock; and nobody shares a socket."""
    global _lock, _connection
    _lock, _connection = threading.Lock(), None


def _execute(client: "Redis", *args: RedisValue) -> Any:
    return client.execute_command(*args)  # type: ignore[no-untyped-call]


def _is_pool_exhausted(error: BaseException) -> bool:
    """Whether a pool raised ``error`` because all its connections are in use.

    By its class it cannot be told from an outage.  But an outage is raised by a connection that connects or talks.
    """
    from redis.connection import AbstractConnection, ConnectionPool

    raised_in = [frame.f_locals.get("self") for frame, _ in walk_tb(error.__traceback__)]
    is_talking = any(isinstance(one, AbstractConnection) for one in raised_in)
    return not is_talking and any(isinstance(one, ConnectionPool) for one in raised_in)


def _url_without_password(url: str) -> str:
    """The URL without its password."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


_LUA_FOLDER = Path(__file__).parent / "lua"


class StoreScripts:
    """Runs scripts by their names; ``clock`` gives seconds in the place of Redis's own time."""

    def __init__(self, connection: RedisConnection, clock: Callable[[], float] | None) -> None:
        self._connection, self._clock = connection, clock

    def run(self, name: str, *args: str | int, pool: PoolName = "calls") -> Any:
        limits = settings()
        times = map(to_milliseconds, (limits.STATE_TTL, limits.HIDDEN_TTL, limits.GRANT_MAX_AGE))
        now = "" if self._clock is None else to_milliseconds(self._clock())
        return self._connection.run(_load_script(name), [self._connection.key()], [now, *times, *args], pool=pool)


def to_milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


@cache
def _load_script(name: str) -> Script:
    return Script("\n".join((_LUA_FOLDER / f"{part}.lua").read_text(encoding="utf-8") for part in ("common", name)))
