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

from htmx_live.backends.base import Receiver
from htmx_live.backends.redis.client import RedisConnection
from htmx_live.backends.wire import APPEND, Message, append_data
from htmx_live.core.exceptions import StoreUnavailable
from htmx_live.core.fragments import fill

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import PubSub

__all__ = ["ANSWER", "IDLE", "Envelope", "Subscription", "filled", "opened"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """``words`` say what it is; ``address`` is JSON."""

    words: list[str]
    address: str
    texts: str
    data: str

    @property
    def epoch(self) -> str:
        return self.words[1]

    def hand_over(self, receivers: tuple[Receiver, ...]) -> None:
        """Tell the receivers; ``ValueError`` or the like when it is not one of ours."""
        kind, address = self.words[0], json.loads(self.address)
        if kind == "message":
            channels, message = self._message(address)
            for receiver in receivers:
                receiver.deliver(channels, message)
        elif kind == "join":
            page, names = address
            for receiver in receivers:
                receiver.join(page, tuple(names))
        elif kind == "close":
            for receiver in receivers:
                receiver.close_streams(address)
        else:
            raise ValueError(f"{kind!r} is no kind of envelope.")

    def _message(self, address: tuple[list[str], str, str]) -> tuple[tuple[str, ...], Message]:
        names, event, target = address
        data, number = self.data, int(self.words[2])
        if event == APPEND:
            data = append_data(target, self.words[3], int(self.words[4]), data)
        elif self.texts:
            data = filled(data, json.loads(self.texts))
        return tuple(names), Message(channel=names[0], target=target, number=number, data=data, event=event)


def opened(payload: str) -> Envelope:
    """The parts of an envelope; ``ValueError`` when it is none."""
    head, address, texts, data = payload.split("\n", 3)
    words = head.split(" ")
    if len(words) not in (3, 5):
        raise ValueError(f"An envelope begins with 3 or 5 words, not with {head[:80]!r}.")
    return Envelope(words=words, address=address, texts=texts, data=data)


def filled(data: str, texts: Mapping[str, tuple[str, str]]) -> str:
    """``data`` with its slots filled: by target a generation and a text."""
    return fill(data, lambda target: (texts[target][0], texts[target][1]))


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
