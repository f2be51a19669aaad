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

Envelopes: what the scripts publish, taken apart.

    message EPOCH NUMBER [GENERATION OFFSET]        the last two with a piece of a text
    [[CHANNEL, …], EVENT, TARGET]                   JSON
    {TARGET: [GENERATION, TEXT], …}                 JSON, or nothing: the texts that stand in the data
    the data, as it is

    join EPOCH NUMBER                               close EPOCH NUMBER
    [PAGE, [CHANNEL, …]]                            SESSION

Slots are filled where an envelope arrives, with the texts that the script read in the step that numbered it.
"""

import json
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from htmx_live.backends.base import Subscriber
from htmx_live.backends.redis.client import RedisConnection
from htmx_live.backends.wire import APPEND, BusMessage, encode_append
from htmx_live.core.exceptions import StoreUnavailable
from htmx_live.core.fragments import fill_text_placeholders

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import PubSub

__all__ = ["IDLE_TIMEOUT", "REPLY_TIMEOUT", "BusFrame", "RedisSubscription", "fill_texts", "parse_frame"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BusFrame:
    """``words`` say what it is; ``address`` is JSON."""

    head: list[str]
    address: str
    texts: str
    data: str

    @property
    def epoch(self) -> str:
        return self.head[1]

    def deliver(self, subscribers: tuple[Subscriber, ...]) -> None:
        """Tell the receivers; ``ValueError`` or the like when it is not one of ours."""
        kind, address = self.head[0], json.loads(self.address)
        if kind == "message":
            channels, message = self._message(address)
            for subscriber in subscribers:
                subscriber.deliver(channels, message)
        elif kind == "join":
            page, names = address
            for subscriber in subscribers:
                subscriber.add_channels(page, tuple(names))
        elif kind == "close":
            for subscriber in subscribers:
                subscriber.close_streams(address)
        else:
            raise ValueError(f"{kind!r} is no kind of envelope.")

    def _message(self, address: tuple[list[str], str, str]) -> tuple[tuple[str, ...], BusMessage]:
        names, event, target = address
        data, number = self.data, int(self.head[2])
        if event == APPEND:
            data = encode_append(target, self.head[3], int(self.head[4]), data)
        elif self.texts:
            data = fill_texts(data, json.loads(self.texts))
        return tuple(names), BusMessage(channel=names[0], target=target, number=number, data=data, event=event)


def parse_frame(payload: str) -> BusFrame:
    """The parts of an envelope; ``ValueError`` when it is none."""
    head, address, texts, data = payload.split("\n", 3)
    fields = head.split(" ")
    if len(fields) not in (3, 5):
        raise ValueError(f"An envelope begins with 3 or 5 words, not with {head[:80]!r}.")
    return BusFrame(head=fields, address=address, texts=texts, data=data)


def fill_texts(data: str, texts: Mapping[str, tuple[str, str]]) -> str:
    """``data`` with its slots filled: by target a generation and a text."""
    return fill_text_placeholders(data, lambda target: (texts[target][0], texts[target][1]))


logger = logging.getLogger("htmx_live.backends")

IDLE_TIMEOUT = 1.5  # seconds of silence after which Redis is asked whether it is there
REPLY_TIMEOUT = 1.0  # seconds that it may take to say so
_STABLE_AFTER = 10.0  # seconds after which a connection that breaks is no sign of another one's breaking at once
_RETRY_DELAYS = (0.05, 0.1, 0.2, 0.4, 0.8)  # seconds between attempts, with jitter; the last one goes on for ever


class _NoReply(Exception):
    """Redis did not answer on a connection that looks open."""


class RedisSubscription:
    """To one pub/sub channel; ``ask_epoch`` says which epoch it is now, and may raise ``StoreUnavailable``."""

    epoch: str  # of what receivers hear; empty before anything was heard
    _subscribers: tuple[Subscriber, ...]
    _thread: threading.Thread | None
    _pubsub: "PubSub | None"
    _is_failure_logged: bool  # that it broke

    def __init__(self, connection: RedisConnection, channel: str, read_epoch: Callable[[], str]) -> None:
        self._connection, self._channel, self._read_epoch = connection, channel, read_epoch
        self._reset()
        _subscriptions.add(self)

    def add(self, subscriber: Subscriber) -> None:
        with self._lock:
            self._subscribers = (*self._subscribers, subscriber)
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="htmx-live-bus", daemon=True)
                thread.start()  # it begins by waiting for the lock
                self._thread = thread

    def remove(self, subscriber: Subscriber) -> None:
        with self._lock:
            self._subscribers = tuple(each for each in self._subscribers if each is not subscriber)

    def _reset(self) -> None:
        self._lock = threading.Lock()  # over the receivers and the thread's beginning and end; never during a call
        self._subscribers, self._thread, self._pubsub = (), None, None
        self._is_failure_logged = False
        self.epoch = ""

    # The thread

    def _run(self) -> None:
        failures = 0
        while not self._stop_if_unused():
            started_at = time.monotonic()
            try:
                self._listen()
            except Exception as error:  # the boundary: whatever ends one connection, another one is made
                failures = 0 if time.monotonic() - started_at > _STABLE_AFTER else failures + 1
                self._log_failure(error)
                time.sleep(_RETRY_DELAYS[min(failures, len(_RETRY_DELAYS) - 1)] * random.uniform(0.5, 1.25))

    def _log_failure(self, error: Exception) -> None:
        """Log once that the subscription broke, unless Redis is away: then the log says that."""
        if self._is_failure_logged:
            return
        try:
            self._read_epoch()
        except StoreUnavailable as unavailable:
            if unavailable.outage:
                return
        self._is_failure_logged = True
        logger.warning("The subscription to Redis broke; it will be made again: %s", error or repr(error))

    def _stop_if_unused(self) -> bool:
        """Whether nobody listens any more; then the thread is over, and whoever comes next starts another."""
        with self._lock:
            if not self._subscribers:
                self._thread, self.epoch = None, ""
            return not self._subscribers

    def _listen(self) -> None:
        """Make a connection and hand over what comes on it; returns when no receiver is left."""
        client = self._connection.client()
        try:
            pubsub = self._pubsub = client.pubsub()  # type: ignore[no-untyped-call]
            pubsub.subscribe(self._channel)
            is_reply_due = True  # the confirmation is an answer too
            while self._subscribers:
                item = pubsub.get_message(timeout=REPLY_TIMEOUT if is_reply_due else IDLE_TIMEOUT)
                if item is not None:
                    is_reply_due = False
                    self._handle_item(item)
                elif is_reply_due:
                    raise _NoReply(f"Redis has said nothing for {REPLY_TIMEOUT} s after it was asked.")
                else:
                    pubsub.ping()
                    is_reply_due = True
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

    def _handle_item(self, item: dict[str, Any]) -> None:
        if item["type"] == "subscribe":
            self._handle_confirmation()
        elif item["type"] == "message":
            try:
                self._deliver(item["data"])
            except Exception:  # the boundary: one message must not end the others
                logger.exception("A message on %r could not be handed over: %.80r", self._channel, item["data"])
                self._resync()  # it may have been a good one

    def _handle_confirmation(self) -> None:
        self._connection.reset_breaker()
        if self._is_failure_logged:
            self._is_failure_logged = False
            logger.warning("The subscription to Redis stands again.")
        with suppress(StoreUnavailable):  # the first message will say it
            self.epoch = self._read_epoch()
        self._resync()

    def _deliver(self, payload: str) -> None:
        frame = parse_frame(payload)
        if frame.epoch != self.epoch:
            self.epoch = frame.epoch
            self._resync()
        frame.deliver(self._subscribers)

    def _resync(self) -> None:
        for subscriber in self._subscribers:
            subscriber.resync()

    # Another process

    def _reset_after_fork(self) -> None:
        """This is a process that was forked off: the thread and the receivers are the other one's."""
        pubsub = self._pubsub
        self._reset()
        if pubsub is not None and pubsub.connection is not None:
            with suppress(Exception):  # our copy of the socket only; redis-py sees that the process is another one
                pubsub.connection.disconnect()


_subscriptions: WeakSet[RedisSubscription] = WeakSet()


def _reset_all_after_fork() -> None:
    for subscription in list(_subscriptions):
        subscription._reset_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_all_after_fork)
