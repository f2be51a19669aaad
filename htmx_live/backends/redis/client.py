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

__all__ = ["MAX_WAIT", "PAUSE", "TIMEOUT", "RedisConnection", "Script", "Scripts", "milliseconds", "redis_connection"]


logger = logging.getLogger("htmx_live.redis")

TIMEOUT = 1.0  # seconds to connect, and to be answered
MAX_WAIT = 0.5  # seconds that a blocking command may ask for; who waits longer calls again
PAUSE = 1.0  # seconds after a failure in which nobody tries
REFUSAL_PAUSE = 10.0  # seconds without a refused call, after which Redis counts as well again
CHECKOUT_TIMEOUT = 20.0  # seconds that a call waits for a connection while Redis is well
LEASE_CONNECTIONS = 8  # beside those for calls
_RETRY_CHECKOUT = 0.01  # seconds between two tries to get a connection from a project's own, smaller pool

# How errors begin that fit all calls, or all writes: full, cannot write to its disk, no replicas, a long script.
_REFUSALS = ("OOM", "command not allowed when used memory", "MISCONF", "NOREPLICAS", "BUSY")

Word = str | int | float
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
        self._closed_until = 0.0
        self._is_failing = False
        self._outage: Outage | None = None  # the last one
        self._refusal: Outage | None = None  # Redis is full, or takes no writes for another reason
        self._refused_at = 0.0
        self._recoveries = 0  # counted, to tell an answer that is missing now from one that was missing before
        self._pools: dict[PoolName, _Pool] = {
            "calls": _Pool(self.client, settings().REDIS_MAX_CONNECTIONS),
            "leases": _Pool(self.client, LEASE_CONNECTIONS),
            "blocking": _Pool(lambda: self.client(wait=MAX_WAIT), 1),
        }
        self._epoch, self._epoch_read = "", float("-inf")

    def key(self, *words: str) -> str:
        return self.prefix + ":".join(words)

    def call(self, command: str, *args: Word, pool: PoolName = "calls") -> Any:
        """One command; text in answers is ``str``.

        A command that blocks belongs to the pool "blocking", of one connection, and asks for ``MAX_WAIT`` at most.
        """
        return self._guarded(lambda client: _execute(client, command, *args), pool=pool)

    def run(self, script: Script, keys: Iterable[str], args: Iterable[Word] = (), *, pool: PoolName = "calls") -> Any:
        """A script, with its ``KEYS`` and ``ARGV``."""
        given = [*(names := list(keys)), *args]

        def evaluate(client: "Redis") -> Any:
            from redis.exceptions import NoScriptError

            try:
                return _execute(client, "EVALSHA", script.sha, len(names), *given)
            except NoScriptError:  # Redis was restarted, or has never seen it
                return _execute(client, "EVAL", script.text, len(names), *given)

        return self._guarded(evaluate, pool=pool)

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

    def note_epoch(self, word: str) -> None:
        """The word that changes when Redis has lost its data has just been read; "" when it may have changed."""
        self._epoch, self._epoch_read = word, time.monotonic() if word else float("-inf")

    def known_epoch(self, *, max_age: float) -> str:
        """The epoch, unless it was read more than ``max_age`` seconds ago: then ""."""
        return self._epoch if time.monotonic() - self._epoch_read < max_age else ""

    def heal(self) -> None:
        """Redis is known to answer again: nobody needs to wait for the end of a pause."""
        with self._lock:
            was_failing, self._is_failing = self._is_failing, False
            self._recoveries += 1
            outage = self._outage
        if was_failing and outage is not None:
            logger.warning("Redis at %s answers again %s", _where(self.url), outage.summary())

    def close(self) -> None:
        """Close the sockets that are open; another call makes others."""
        for pool in self._pools.values():
            pool.close()

    def _guarded(self, call: "Callable[[Redis], Any]", *, pool: PoolName) -> Any:
        self._raise_if_away()
        with self._pools[pool].client(self._checkout_timeout) as client:
            if client is None:
                raise self._exhausted()
            answer = self._attempt(call, client)
        if self._is_failing:
            self.heal()
        if self._refusal is not None:
            self._end_refusal()
        return answer

    def _attempt(self, call: "Callable[[Redis], Any]", client: "Redis") -> Any:
        """The answer; waits on while a project's own pool has no connection left.  No call is sent twice."""
        from redis.exceptions import ConnectionError, ReadOnlyError, RedisError, TimeoutError

        recoveries, give_up = self._recoveries, time.monotonic() + self._checkout_timeout
        while True:
            self._pass()  # Redis may have gone away while this call waited
            try:
                return call(client)
            except (ConnectionError, TimeoutError, ReadOnlyError, OSError) as error:
                if not _is_from_pool(error):
                    reason = f"Redis at {_where(self.url)} does not answer: {error}"
                    raise StoreUnavailable(reason, outage=self._fail(recoveries, reason)) from error
                if time.monotonic() > give_up:
                    raise self._exhausted() from error
            except RedisError as error:
                reason = f"Redis at {_where(self.url)} refused a call: {error}"
                raise StoreUnavailable(reason, outage=self._refuse(error, reason)) from error
            time.sleep(_RETRY_CHECKOUT)

    def _exhausted(self) -> StoreUnavailable:
        return StoreUnavailable(
            f"All connections of this process to Redis were in use for {self._checkout_timeout:g} s. Raise "
            "HTMX_LIVE['REDIS_MAX_CONNECTIONS'], and the size of the pool that HTMX_LIVE['REDIS_CLIENT'] makes, if any."
        )

    def _raise_if_away(self) -> None:
        if self._is_failing and self._clock() < self._closed_until:
            raise StoreUnavailable(f"Redis at {_where(self.url)} did not answer just now.", outage=self._outage)

    def _pass(self) -> None:
        """Let one call through after each pause."""
        if self._is_failing:
            with self._lock:
                self._raise_if_away()
                self._closed_until = self._clock() + TIMEOUT + PAUSE

    def _fail(self, recoveries: int, reason: str) -> Outage | None:
        """A call was not answered, which began before the ``recoveries`` since: then what was answered says more."""
        with self._lock:
            if recoveries != self._recoveries:
                return self._outage
            is_new = not self._is_failing
            self._is_failing, self._closed_until = True, self._clock() + PAUSE
            outage = self._outage = Outage() if is_new else self._outage
        if is_new:
            logger.warning("%s. What fails until it answers again is counted, and logged then.", reason)
        return outage

    def _refuse(self, error: Exception, reason: str) -> Outage | None:
        """Redis answered with an error: one that fits all calls is logged once, like an outage."""
        if not str(error).startswith(_REFUSALS):
            return None  # one key is of a wrong type, or one call is wrong
        with self._lock:
            is_new, self._refused_at = self._refusal is None, self._clock()
            refusal = self._refusal = self._refusal or Outage()
        if is_new:
            logger.warning("%s. What fails until it refuses no more is counted, and logged then.", reason)
        return refusal

    def _end_refusal(self) -> None:
        """A full Redis takes some calls and refuses others: its refusals are over when there was none for a while."""
        with self._lock:
            refusal = self._refusal
            if refusal is None or self._clock() < self._refused_at + REFUSAL_PAUSE:
                return
            self._refusal = None
        logger.warning("Redis at %s refuses no more calls %s", _where(self.url), refusal.summary())


class _Pool:
    """One redis-py client for ``size`` calls at once; further calls wait in line, first come, first served."""

    def __init__(self, make: "Callable[[], Redis]", size: int) -> None:
        self._make, self._free = make, size
        self._lock = threading.Lock()
        self._made: Redis | None = None
        self._waiting: deque[threading.Event] = deque()

    @contextmanager
    def client(self, timeout: float) -> "Iterator[Redis | None]":
        """The client, for one call; None when it was not this call's turn within ``timeout`` seconds."""
        if not self._enter(timeout):
            yield None
            return
        try:
            with self._lock:
                made = self._made = self._made or self._make()
            yield made
        finally:
            self._leave()

    def close(self) -> None:
        with self._lock:
            made, self._made = self._made, None
        if made is not None:
            made.close()

    def _enter(self, timeout: float) -> bool:
        turn = threading.Event()
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            self._waiting.append(turn)
        try:
            turn.wait(timeout)
        except BaseException:  # a signal's handler raised
            if not self._withdraw(turn):
                self._leave()
            raise
        return not self._withdraw(turn)

    def _withdraw(self, turn: threading.Event) -> bool:
        """Stop waiting; False when the turn has come."""
        with self._lock:
            if not turn.is_set():
                self._waiting.remove(turn)
            return not turn.is_set()

    def _leave(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1


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
def _forget() -> None:
    """Another thread of the parent may have held a lock; and nobody shares a socket."""
    global _lock, _connection
    _lock, _connection = threading.Lock(), None


def _execute(client: "Redis", *words: Word) -> Any:
    return client.execute_command(*words)  # type: ignore[no-untyped-call]


def _is_from_pool(error: BaseException) -> bool:
    """Whether a pool raised ``error`` because all its connections are in use.

    By its class it cannot be told from an outage.  But an outage is raised by a connection that connects or talks.
    """
    from redis.connection import AbstractConnection, ConnectionPool

    raised_in = [frame.f_locals.get("self") for frame, _ in walk_tb(error.__traceback__)]
    is_talking = any(isinstance(one, AbstractConnection) for one in raised_in)
    return not is_talking and any(isinstance(one, ConnectionPool) for one in raised_in)


def _where(url: str) -> str:
    """The URL without its password."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


_FOLDER = Path(__file__).parent / "lua"


class Scripts:
    """Runs scripts by their names; ``clock`` gives seconds in the place of Redis's own time."""

    def __init__(self, connection: RedisConnection, clock: Callable[[], float] | None) -> None:
        self._connection, self._clock = connection, clock

    def run(self, name: str, *words: str | int, pool: PoolName = "calls") -> Any:
        limits = settings()
        times = map(milliseconds, (limits.STATE_TTL, limits.HIDDEN_TTL, limits.GRANT_MAX_AGE))
        now = "" if self._clock is None else milliseconds(self._clock())
        return self._connection.run(_script(name), [self._connection.key()], [now, *times, *words], pool=pool)


def milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


@cache
def _script(name: str) -> Script:
    return Script("\n".join((_FOLDER / f"{part}.lua").read_text(encoding="utf-8") for part in ("common", name)))
