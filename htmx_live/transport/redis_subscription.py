"""The subscription: a process's one connection that hears what all processes publish, while it has receivers.

    asking ── no answer, refused, broken ──▶ pausing (at most a second) ──▶ asking
       │ Redis confirms: its calls are allowed again, every receiver converges
       ▼
    hearing ── silent for IDLE ──▶ PING ── silent for ANSWER more, or broken ──▶ asking
       │
       └── no receiver is left ──▶ ended; the next receiver starts it again

What is published while nobody hears it is in the logs, and converging reads it from there.  So every confirmation
makes receivers converge, also one after a connection that redis-py renewed by itself; a message of another epoch does,
before it is handed over, and one that cannot be understood.

A process forked off this one begins without a subscription and without receivers.
"""

import logging
import os
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from htmx_live.exceptions import StoreUnavailable
from htmx_live.redis_connection import RedisConnection
from htmx_live.transport.receiver import Receiver
from htmx_live.transport.redis_envelope import opened

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import PubSub

__all__ = ["ANSWER", "IDLE", "Subscription"]

logger = logging.getLogger("htmx_live.transport")

IDLE = 1.5  # seconds of silence after which Redis is asked whether it is there
ANSWER = 1.0  # seconds that it may take to say so
_LASTING = 10.0  # seconds after which a connection that breaks is no sign of another one's breaking at once
_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)  # seconds between attempts, with jitter; the last one goes on for ever


class _Silence(Exception):
    """Redis did not answer on a connection that looks open."""


class Subscription:
    """To one pub/sub channel; ``ask_epoch`` says which epoch it is now, and may raise ``StoreUnavailable``."""

    epoch: str  # of what receivers hear; empty before anything was heard
    _receivers: tuple[Receiver, ...]
    _thread: threading.Thread | None
    _pubsub: "PubSub | None"
    _is_logged: bool  # that it broke

    def __init__(self, connection: RedisConnection, channel: str, ask_epoch: Callable[[], str]) -> None:
        self._connection, self._channel, self._ask_epoch = connection, channel, ask_epoch
        self._begin()
        _subscriptions.add(self)

    def add(self, receiver: Receiver) -> None:
        with self._lock:
            self._receivers = (*self._receivers, receiver)
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="htmx-live-bus", daemon=True)
                thread.start()  # it begins by waiting for the lock
                self._thread = thread

    def remove(self, receiver: Receiver) -> None:
        with self._lock:
            self._receivers = tuple(each for each in self._receivers if each is not receiver)

    def _begin(self) -> None:
        self._lock = threading.Lock()  # over the receivers and the thread's beginning and end; never during a call
        self._receivers, self._thread, self._pubsub = (), None, None
        self._is_logged = False
        self.epoch = ""

    # The thread

    def _run(self) -> None:
        failures = 0
        while not self._has_ended():
            began = time.monotonic()
            try:
                self._hear()
            except Exception as error:  # the boundary: whatever ends one connection, another one is made
                failures = 0 if time.monotonic() - began > _LASTING else failures + 1
                self._log(error)
                time.sleep(_PAUSES[min(failures, len(_PAUSES) - 1)] * random.uniform(0.5, 1.25))

    def _log(self, error: Exception) -> None:
        """Log once that the subscription broke, unless Redis is away: then the log says that."""
        if self._is_logged:
            return
        try:
            self._ask_epoch()
        except StoreUnavailable as unavailable:
            if unavailable.outage:
                return
        self._is_logged = True
        logger.warning("The subscription to Redis broke; it will be made again: %s", error or repr(error))

    def _has_ended(self) -> bool:
        """Whether nobody listens any more; then the thread is over, and whoever comes next starts another."""
        with self._lock:
            if not self._receivers:
                self._thread, self.epoch = None, ""
            return not self._receivers

    def _hear(self) -> None:
        """Make a connection and hand over what comes on it; returns when no receiver is left."""
        client = self._connection.client()
        try:
            pubsub = self._pubsub = client.pubsub()  # type: ignore[no-untyped-call]
            pubsub.subscribe(self._channel)
            is_asked = True  # the confirmation is an answer too
            while self._receivers:
                item = pubsub.get_message(timeout=ANSWER if is_asked else IDLE)
                if item is not None:
                    is_asked = False
                    self._take(item)
                elif is_asked:
                    raise _Silence(f"Redis has said nothing for {ANSWER} s after it was asked.")
                else:
                    pubsub.ping()
                    is_asked = True
        finally:
            with suppress(Exception):  # what is broken may fail to close
                self._close(client)

    def _close(self, client: "Redis") -> None:
        pubsub, self._pubsub = self._pubsub, None
        try:
            if pubsub is not None:
                pubsub.close()
        finally:
            client.close()

    def _take(self, item: dict[str, Any]) -> None:
        if item["type"] == "subscribe":
            self._confirm()
        elif item["type"] == "message":
            try:
                self._hand_over(item["data"])
            except Exception:  # the boundary: one message must not end the others
                logger.exception("A message on %r could not be handed over: %.80r", self._channel, item["data"])
                self._converge()  # it may have been a good one

    def _confirm(self) -> None:
        self._connection.heal()
        if self._is_logged:
            self._is_logged = False
            logger.warning("The subscription to Redis stands again.")
        with suppress(StoreUnavailable):  # the first message will say it
            self.epoch = self._ask_epoch()
        self._converge()

    def _hand_over(self, payload: str) -> None:
        envelope = opened(payload)
        if envelope.epoch != self.epoch:
            self.epoch = envelope.epoch
            self._converge()
        envelope.hand_over(self._receivers)

    def _converge(self) -> None:
        for receiver in self._receivers:
            receiver.converge()

    # Another process

    def _forget(self) -> None:
        """This is a process that was forked off: the thread and the receivers are the other one's."""
        pubsub = self._pubsub
        self._begin()
        if pubsub is not None and pubsub.connection is not None:
            with suppress(Exception):  # our copy of the socket only; redis-py sees that the process is another one
                pubsub.connection.disconnect()


_subscriptions: WeakSet[Subscription] = WeakSet()


def _forget_all() -> None:
    for subscription in list(_subscriptions):
        subscription._forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
