"""``limit_requests``: how many events and syncs one process handles at a time.

Django's ASGI handler gives every request a thread.  Thousands of pages that sync after a restart would start as many
threads, which slow each other down and each ask for a connection to the database and to Redis.

    body complete ── a place is free ──▶ handled ── response begins ──▶ the place is free again
         │ none is
         ▼
      waiting, without a thread, first come, first served ── 3 x BUSY_TIMEOUT ──▶ 503 with Retry-After

One browser may take half of the places, so that its clicks on slow views leave room for other users.  A body that
arrives slowly and a response that is read slowly take no place.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from htmx_live.core.conf import settings
from htmx_live.http.stream_endpoint import Receive, Scope, Send

__all__ = ["Application", "CapacityLimiter", "limit_requests"]


logger = logging.getLogger("htmx_live.http")

_RETRY_AFTER = 5  # seconds
_TIMEOUT_FACTOR = (
    3  # times BUSY_TIMEOUT, for which each request that has a place may wait itself; proxies wait for 60 s
)

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class CapacityLimiter:
    """``MAX_REQUESTS`` places, half of them for one ``client``; "" is a client of which nothing is known.

    Used on one event loop only.
    """

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()  # by client
        self._waiters: dict[asyncio.Future[None], str] = {}  # the client of each, in the order of arrival

    async def acquire(self, client: str, *, timeout: float) -> bool:
        """Take a place.  Return whether there was one within ``timeout`` seconds."""
        if self._has_capacity_for(client):
            self._taken[client] += 1
            return True
        place = asyncio.get_running_loop().create_future()
        self._waiters[place] = client
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():  # it was given the place in the same moment
                self.release(client)
            raise
        finally:
            self._waiters.pop(place, None)
        return place.done() and not place.cancelled()

    def release(self, client: str) -> None:
        """Give a place back, to the first that waits and may have it."""
        self._taken[client] -= 1
        if not self._taken[client]:
            del self._taken[client]
        for place, waiting in self._waiters.items():
            if not place.done() and self._has_capacity_for(waiting):
                self._taken[waiting] += 1
                place.set_result(None)
                return

    def _has_capacity_for(self, client: str) -> bool:
        places = settings().MAX_REQUESTS
        share = places if not client else max(1, places // 2)
        return self._taken.total() < places and self._taken[client] < share


async def limit_requests(app: Application, scope: Scope, receive: Receive, send: Send) -> None:
    """Let ``app`` answer once there is a place for the request; 503 when there is none for 3 x ``BUSY_TIMEOUT``."""
    permit = _Permit(_current_limiter(), _browser_key(scope))

    async def limited_receive() -> MutableMapping[str, Any]:
        message = await receive()
        is_whole = message["type"] == "http.request" and not message.get("more_body", False)
        if is_whole and not await permit.acquire():
            return {"type": "http.disconnect"}  # Django then answers nothing
        return message

    async def limited_send(message: MutableMapping[str, Any]) -> None:
        permit.release()
        await send(message)

    try:
        await app(scope, limited_receive, limited_send)
    finally:
        permit.release()
    if permit.is_refused:
        headers = [(b"retry-after", b"%d" % _RETRY_AFTER), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


class _Permit:
    """One request's place: none, taken, given back, or refused."""

    def __init__(self, limiter: CapacityLimiter, client: str) -> None:
        self._limiter, self._client = limiter, client
        self._is_held = self.is_refused = False

    async def acquire(self) -> bool:
        self._is_held = await self._limiter.acquire(self._client, timeout=_TIMEOUT_FACTOR * settings().BUSY_TIMEOUT)
        if not self._is_held:
            self.is_refused = True
            logger.warning("A request was answered 503: all places were taken for 3 x BUSY_TIMEOUT (see MAX_REQUESTS).")
        return self._is_held

    def release(self) -> None:
        if self._is_held:
            self._is_held = False
            self._limiter.release(self._client)


def _browser_key(scope: Scope) -> str:
    """The cookies of the request: one browser."""
    return "; ".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"cookie")


_limiters: WeakKeyDictionary[asyncio.AbstractEventLoop, CapacityLimiter] = WeakKeyDictionary()


def _current_limiter() -> CapacityLimiter:
    """The running loop's."""
    return _limiters.setdefault(asyncio.get_running_loop(), CapacityLimiter())
