"""The connection to Redis (or Valkey) that the store, the bus and progress share in one process.

Nobody waits long for a Redis that is away: a call fails with ``StoreUnavailable`` after at most ``TIMEOUT`` seconds,
and for ``PAUSE`` seconds after that the others fail at once.  Then one call tries, while the others go on failing,
until one has been answered.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from htmx_live.conf import settings
from htmx_live.exceptions import StoreUnavailable
from htmx_live.forks import after_fork

if TYPE_CHECKING:  # redis is an extra
    from redis import Redis

__all__ = ["MAX_WAIT", "PAUSE", "TIMEOUT", "RedisConnection", "Script", "redis_connection"]

TIMEOUT = 1.0  # seconds to connect, and to be answered
MAX_WAIT = 0.5  # seconds that a blocking command may ask for; who waits longer calls again
PAUSE = 1.0  # seconds after a failure in which nobody tries

Word = str | int | float


@dataclass(frozen=True)
class Script:
    """A Lua script, which Redis runs as one step.  It is sent once and then called by its hash."""

    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha", hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest())


class RedisConnection:
    """Calls to one Redis; used by many threads at once.  Every key begins with ``prefix``."""

    def __init__(self, url: str, *, prefix: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.url, self.prefix = url, prefix
        self._clock = clock
        self._lock = threading.Lock()
        self._closed_until = 0.0
        self._is_failing = False
        self._epoch, self._epoch_read = "", float("-inf")

    def key(self, *words: str) -> str:
        return self.prefix + ":".join(words)

    def call(self, command: str, *args: Word, blocks: bool = False) -> Any:
        """One command; text in answers is ``str``.  One that ``blocks`` must ask for ``MAX_WAIT`` seconds at most."""
        return self._guarded(lambda client: _execute(client, command, *args), blocks=blocks)

    def run(self, script: Script, keys: Iterable[str], args: Iterable[Word] = ()) -> Any:
        """A script, with its ``KEYS`` and ``ARGV``."""
        given = [*(names := list(keys)), *args]

        def evaluate(client: "Redis") -> Any:
            from redis.exceptions import NoScriptError

            try:
                return _execute(client, "EVALSHA", script.sha, len(names), *given)
            except NoScriptError:  # Redis was restarted, or has never seen it
                return _execute(client, "EVAL", script.text, len(names), *given)

        return self._guarded(evaluate)

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
        factory = settings().REDIS_CLIENT
        made: Redis = import_string(factory)(self.url, **options) if factory else Redis.from_url(self.url, **options)
        return made

    def note_epoch(self, word: str) -> None:
        """The word that changes when Redis has lost its data has just been read; "" when it may have changed."""
        self._epoch, self._epoch_read = word, time.monotonic() if word else float("-inf")

    def known_epoch(self, *, max_age: float) -> str:
        """The epoch, unless it was read more than ``max_age`` seconds ago: then ""."""
        return self._epoch if time.monotonic() - self._epoch_read < max_age else ""

    def heal(self) -> None:
        """Redis is known to answer again: nobody needs to wait for the end of a pause."""
        with self._lock:
            self._is_failing = False

    def close(self) -> None:
        """Close the sockets that are open; another call makes others."""
        for name in ("_client", "_patient"):
            if client := self.__dict__.pop(name, None):
                client.close()

    def _guarded(self, call: "Callable[[Redis], Any]", *, blocks: bool = False) -> Any:
        from redis.exceptions import ConnectionError, ReadOnlyError, RedisError, TimeoutError

        self._pass()
        try:
            answer = call(self._patient if blocks else self._client)
        except (ConnectionError, TimeoutError, ReadOnlyError, OSError) as error:
            self._fail()
            raise StoreUnavailable(f"Redis at {_where(self.url)} does not answer: {error}") from error
        except RedisError as error:  # out of memory, loading its data, a wrong type: not for all calls
            raise StoreUnavailable(f"Redis at {_where(self.url)} refused a call: {error}") from error
        if self._is_failing:
            self.heal()
        return answer

    def _pass(self) -> None:
        """Let one call through after each pause."""
        if not self._is_failing:
            return
        with self._lock:
            if self._is_failing and self._clock() < self._closed_until:
                raise StoreUnavailable(f"Redis at {_where(self.url)} did not answer just now.")
            self._closed_until = self._clock() + TIMEOUT + PAUSE

    def _fail(self) -> None:
        with self._lock:
            self._is_failing, self._closed_until = True, self._clock() + PAUSE

    @cached_property
    def _client(self) -> "Redis":
        return self.client()

    @cached_property
    def _patient(self) -> "Redis":
        """For calls that block: they must not keep the others' connections."""
        return self.client(wait=MAX_WAIT)


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


def _where(url: str) -> str:
    """The URL without its password."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
