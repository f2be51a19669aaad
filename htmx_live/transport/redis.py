"""``RedisBus``: the bus of many processes, on one Redis.

What ``MemoryBus`` does under a lock is a Lua script here, so numbering, keeping and publishing are one step for all
processes.  A script publishes to one pub/sub channel; every process with streams has one subscription to it, and gets
its own messages that way too.  The clock is Redis's own.
"""

import json
import re
import secrets
from collections.abc import Callable, Iterable
from typing import Any

from htmx_live.conf import settings
from htmx_live.fragments import fill
from htmx_live.redis_connection import RedisConnection, Script, redis_connection
from htmx_live.transport import redis_scripts as scripts
from htmx_live.transport.channels import checked, page_channel
from htmx_live.transport.messages import APPEND, Catchup, Message, Text, checked_event
from htmx_live.transport.receiver import Receiver
from htmx_live.transport.redis_envelope import filled
from htmx_live.transport.redis_subscription import Subscription
from htmx_live.transport.texts import append_data

__all__ = ["RedisBus"]

_KEPT_PER_CHANNEL = 500  # state messages of different targets
_POSITION = re.compile(r"([0-9a-f]+)\.([0-9]{1,19})", re.ASCII)


class RedisBus:
    """See ``htmx_live.transport.bus.Bus``.  ``clock`` gives seconds in Redis's place, for tests."""

    def __init__(self, connection: RedisConnection | None = None, *, clock: Callable[[], float] | None = None) -> None:
        self._connection = connection or redis_connection()
        self._clock = clock
        self._channel = self._connection.key("bus")
        self._subscription = Subscription(self._connection, self._channel, self._epoch)

    @property
    def epoch(self) -> str:
        """That of what receivers are being told; without any, of this moment."""
        return self._subscription.epoch or self._epoch()

    def position(self) -> str:
        epoch, number = self._run(scripts.POSITION)
        self._connection.note_epoch(epoch)
        return f"{epoch}.{number}"

    def now(self) -> float:
        if self._clock is not None:
            return self._clock()
        seconds, micros = self._connection.call("TIME")
        return int(seconds) + int(micros) / 1e6

    # Publishing

    def publish(self, channels: Iterable[str], target: str, data: str, *, event: str = "") -> int:
        names, word = checked(channels), checked_event(event)
        value = f"{_slots(data)}\n{data}"
        return int(self._run(scripts.PUBLISH, f"{word} {target}", value, *names)[1])

    def append(self, channels: Iterable[str], target: str, text: str, *, replace: bool = False) -> int:
        names, limit = checked(channels), settings().MAX_STREAM_TEXT
        how = (len(text), int(replace), limit)
        return int(self._run(scripts.APPEND, target, text[-limit:], *how, *names)[1])

    # Texts

    def text(self, target: str) -> Text | None:
        found = self._run(scripts.TEXT, target)
        return Text(generation=found[0], text=found[1]) if found else None

    def end_texts(self, targets: Iterable[str]) -> None:
        if names := tuple(targets):
            self._run(scripts.END, *names)

    def end_texts_under(self, prefix: str) -> None:
        self._run(scripts.END_UNDER, prefix)

    # Reading

    def read(self, channels: Iterable[str], since: str) -> Catchup:
        names = checked(channels)
        epoch, number, is_lost, read, *found = self._run(scripts.READ, *_place(since), *names)
        if is_lost:
            return Catchup(epoch=epoch, number=number, reset=True, channels=tuple(read))
        rows, texts = found
        known = {target: (generation, text) for target, generation, text in texts}
        messages = tuple(_message(row, known) for row in rows)
        return Catchup(epoch=epoch, number=number, messages=messages, channels=tuple(read))

    def forget(self, channels: Iterable[str]) -> None:
        if names := checked(channels):
            self._run(scripts.FORGET, *names)

    # Control, in order with the messages

    def join(self, page: str, channels: Iterable[str], *, since: str = "") -> None:
        self._run(scripts.JOIN, page, page_channel(page), *_place(since), *checked(channels))

    def close_streams(self, session: str) -> None:
        self._run(scripts.CONTROL, "close", json.dumps(session))

    def subscribe(self, receiver: Receiver) -> None:
        """It is told to converge once the subscription stands, if that is not so yet."""
        self._subscription.add(receiver)

    def unsubscribe(self, receiver: Receiver) -> None:
        self._subscription.remove(receiver)

    def _epoch(self) -> str:
        return self.position().partition(".")[0]

    def _run(self, script: Script, *args: str | int) -> Any:
        chosen, connection = settings(), self._connection
        common = (
            secrets.token_hex(8),
            "" if self._clock is None else self._clock(),
            chosen.LOG_TTL,
            max(chosen.LOG_TTL, chosen.HIDDEN_TTL),
            _KEPT_PER_CHANNEL,
            self._channel,
        )
        return connection.run(script, (connection.key("epoch"), connection.key("bus:")), (*common, *args))


def _slots(data: str) -> str:
    """The targets of the texts that stand in ``data``, as JSON; nothing if there are none."""
    found: dict[str, tuple[str, str]] = {}
    fill(data, lambda target: found.setdefault(target, ("0", "")))
    return json.dumps(list(found)) if found else ""


def _place(position: str) -> tuple[str, str]:
    """The epoch and the number of a position; empty when it is none."""
    match = _POSITION.fullmatch(position)
    return (match[1], match[2]) if match else ("", "")


def _message(row: list[Any], texts: dict[str, tuple[str, str]]) -> Message:
    """One message as the script READ gives it."""
    number, channel, member, *content = row
    event, _, target = member.partition(" ")
    if event == APPEND:
        generation, offset, text = content
        data = append_data(target, generation, int(offset), text)
    else:
        slots, _, data = content[0].partition("\n")
        data = filled(data, texts) if slots else data
    return Message(channel=channel, target=target, number=number, data=data, event=event)
