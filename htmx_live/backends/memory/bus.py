"""``MemoryBus``: the bus of one process.

One lock makes numbering, keeping and handing over one step.  What is kept is bounded: channels that nobody published
to or read for ``REPLAY_TTL`` go, and beyond a total size those that were not used for longest.  Whoever stands below
what went is told so (``reset``): the *floor* is the highest number that was dropped with a channel, and each channel
has one for the messages that it dropped itself.
"""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from htmx_live.backends.base import Subscriber
from htmx_live.backends.wire import (
    APPEND,
    BusMessage,
    Replay,
    TextLog,
    TextSnapshot,
    encode_append,
    page_channel,
    validate_channels,
    validate_event,
)
from htmx_live.core.conf import settings
from htmx_live.core.fragments import fill_text_placeholders

__all__ = ["MemoryBus"]


_MAX_MESSAGES_PER_CHANNEL = 500  # state messages of different targets
_MAX_CHARACTERS = 64_000_000  # characters of messages, and as many of texts

# What a page shows of a text that does not exist; the first append is of another generation and replaces it.
_NO_TEXT = ("0", "")

MessageKey = tuple[str, str]  # target, event


@dataclass(slots=True)
class _Log:
    """What one channel keeps: by key the number and the data of the newest message, by rising number.

    The data of an append is in the bus's texts.  ``joined`` holds, for a page's own channel, those that it joined and
    the number of that moment: reading the page's channel reads them too, from there on.
    """

    touched_at: float = 0.0
    floor: int = 0
    messages: dict[MessageKey, tuple[int, str]] = field(default_factory=dict)
    added_channels: dict[str, int] = field(default_factory=dict)


class MemoryBus:
    """See ``htmx_live.backends.Bus``.  ``clock`` gives seconds that never run back."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.epoch = secrets.token_hex(4)
        self._clock = clock
        self._lock = threading.Lock()
        self._number = 0
        self._floor = 0
        self._size = 0  # characters in all logs
        self._text_size = 0  # characters in all texts
        self._logs: OrderedDict[str, _Log] = OrderedDict()  # used longest ago first
        self._texts: OrderedDict[str, TextLog] = OrderedDict()  # likewise
        self._subscribers: tuple[Subscriber, ...] = ()

    # Publishing

    def position(self) -> str:
        with self._lock:
            return f"{self.epoch}.{self._number}"

    def now(self) -> float:
        return time.time()

    def publish(self, channels: Iterable[str], target: str, data: str, *, event: str = "") -> int:
        names, event = validate_channels(channels), validate_event(event)
        with self._lock:
            return self._publish(names, (target, event), str(data))

    def append(self, channels: Iterable[str], target: str, text: str, *, replace: bool = False) -> int:
        names, limit = validate_channels(channels), settings().MAX_STREAM_TEXT
        with self._lock:
            self._number += 1
            known, offset = self._append_text(target, text[-limit:] if replace else text, replace=replace, limit=limit)
            known.channels.update(names)
            self._retain(names, (target, APPEND), "")
            self._deliver(names, (target, APPEND), encode_append(target, known.generation, offset, known.text[offset:]))
            return self._number

    def _publish(self, names: tuple[str, ...], key: MessageKey, data: str) -> int:
        filled = fill_text_placeholders(
            data, self._current_text
        )  # first of all: what cannot be filled must not be kept
        self._number += 1
        self._retain(names, key, data)
        self._deliver(names, key, filled)
        return self._number

    def _retain(self, names: tuple[str, ...], key: MessageKey, data: str) -> None:
        for name in names:
            log = self._logs.setdefault(name, _Log())
            self._drop(log, key)
            log.messages[key] = (self._number, data)
            self._size += len(data)
            if len(log.messages) > _MAX_MESSAGES_PER_CHANNEL:
                oldest = next(iter(log.messages))
                log.floor = log.messages[oldest][0]
                self._drop(log, oldest)
            self._touch(name, log)
        self._expire()

    def _deliver(self, names: tuple[str, ...], key: MessageKey, data: str) -> None:
        if names:
            message = BusMessage(channel=names[0], target=key[0], number=self._number, data=data, event=key[1])
            for subscriber in self._subscribers:
                subscriber.deliver(names, message)

    # Texts

    def text(self, target: str) -> TextSnapshot | None:
        with self._lock:
            known = self._texts.get(target)
            return TextSnapshot(generation=known.generation, text=known.text) if known else None

    def clear_texts(self, targets: Iterable[str]) -> None:
        with self._lock:
            for target in targets:
                self._clear_text(target)

    def clear_texts_under(self, prefix: str) -> None:
        with self._lock:
            for target in [target for target in self._texts if target.startswith(prefix)]:
                self._clear_text(target)

    def _append_text(self, target: str, text: str, *, replace: bool, limit: int) -> tuple[TextLog, int]:
        """The text after the change, and where the change begins in it."""
        known = self._texts.get(target)
        before = len(known.text) if known else 0
        if known is None:
            known = self._texts[target] = TextLog(generation=self._next_generation())
            offset = known.append(text[-limit:], self._number)
        elif replace or len(known.text) + len(text) > limit:
            kept = text if replace else (known.text + text)[-(limit // 2) :]
            known.restart(self._next_generation(), kept, self._number)
            offset = 0
        else:
            offset = known.append(text, self._number)
        self._text_size += len(known.text) - before
        known.touched_at = self._clock()
        self._texts.move_to_end(target)
        return known, offset

    def _next_generation(self) -> str:
        return f"{self.epoch}-{self._number:x}"

    def _current_text(self, target: str) -> tuple[str, str]:
        known = self._texts.get(target)
        return (known.generation, known.text) if known else _NO_TEXT

    def _clear_text(self, target: str) -> None:
        known = self._texts.pop(target, None)
        if known is None:
            return
        self._text_size -= len(known.text)
        for name in known.channels:
            if name in self._logs:
                self._drop(self._logs[name], (target, APPEND))

    # Reading

    def read(self, channels: Iterable[str], since: str) -> Replay:
        names = validate_channels(channels)
        with self._lock:
            begins = self._with_added_channels(names)
            for name in begins:
                if name in self._logs:
                    self._touch(name, self._logs[name])
            self._expire()
            number = self._replayable_number(since)
            if number is None or self._needs_reset(begins, number):
                return Replay(epoch=self.epoch, number=self._number, is_reset=True, channels=tuple(begins))
            messages = tuple(self._messages_after(begins, number))
            return Replay(epoch=self.epoch, number=self._number, messages=messages, channels=tuple(begins))

    def _replayable_number(self, position: str) -> int | None:
        """The number in a position that we can still serve, or None."""
        epoch, _, digits = position.rpartition(".")
        if epoch != self.epoch or not (digits.isascii() and digits.isdigit() and len(digits) < 20):
            return None
        return int(digits) if self._floor <= int(digits) <= self._number else None

    def _with_added_channels(self, names: Iterable[str]) -> dict[str, int]:
        """These channels and those they joined, each with the number after which it counts."""
        begins = dict.fromkeys(names, 0)
        for log in [self._logs[name] for name in begins if name in self._logs]:
            begins.update(log.added_channels)
        return begins

    def _needs_reset(self, begins: dict[str, int], since: int) -> bool:
        return any(max(since, begin) < self._logs[name].floor for name, begin in begins.items() if name in self._logs)

    def _messages_after(self, begins: dict[str, int], since: int) -> list[BusMessage]:
        """What was published after ``since``: a message once, though it stands in several channels."""
        found: dict[tuple[int, MessageKey], BusMessage] = {}
        for name in [name for name in begins if name in self._logs]:
            for key, (number, data) in reversed(self._logs[name].messages.items()):
                if number <= max(since, begins[name]):
                    break
                target, event = key
                full = (
                    self._text_tail(target, since, begins)
                    if event == APPEND
                    else fill_text_placeholders(data, self._current_text)
                )
                message = BusMessage(channel=name, target=target, number=number, data=full, event=event)
                found[0 if event == APPEND else number, key] = message
        return sorted(found.values(), key=lambda message: message.number)

    def _text_tail(self, target: str, since: int, names: Iterable[str]) -> str:
        known = self._texts[target]
        offset = known.replay_offset(since, names)
        return encode_append(target, known.generation, offset, known.text[offset:])

    def purge(self, channels: Iterable[str]) -> None:
        with self._lock:
            for name in validate_channels(channels):
                if name in self._logs:
                    self._clear_log(self._logs[name])

    # Control, in order with the messages

    def add_channels(self, page: str, channels: Iterable[str], *, since: str = "") -> None:
        own = (page_channel(page),)
        with self._lock:
            log = self._logs.setdefault(own[0], _Log())
            self._touch(own[0], log)
            names = tuple(name for name in validate_channels(channels) if name not in log.added_channels)
            log.added_channels.update(dict.fromkeys(names, self._number))
            if since:
                self._republish(names, own, since)
            for subscriber in self._subscribers:
                subscriber.add_channels(page, names)

    def _republish(self, names: tuple[str, ...], own: tuple[str, ...], since: str) -> None:
        """Publish to the page what the channels have got since; numbers that its reader cannot have passed yet."""
        number = self._replayable_number(since)
        if number is None:
            return  # so old a page is reset when it reads
        found = self._messages_after(dict.fromkeys(names, 0), number)
        kept = [
            self._logs[each.channel].messages[each.target, each.event][1] for each in found
        ]  # slots are filled later
        for message, data in zip(found, kept, strict=True):
            key = (message.target, message.event)
            if message.event == APPEND:
                self._number += 1
                self._texts[message.target].add_channel(own[0], since=number, number=self._number)
                self._retain(own, key, "")
                self._deliver(own, key, message.data)
            else:
                self._publish(own, key, data)

    def close_streams(self, key: str) -> None:
        with self._lock:
            for subscriber in self._subscribers:
                subscriber.close_streams(key)

    def subscribe(self, subscriber: Subscriber) -> None:
        with self._lock:
            self._subscribers = (*self._subscribers, subscriber)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        with self._lock:
            self._subscribers = tuple(each for each in self._subscribers if each is not subscriber)

    # Bounds

    def sweep(self) -> None:
        """Drop what has expired, also while nothing is published or read.  Called every few seconds."""
        with self._lock:
            self._expire()

    def _touch(self, name: str, log: _Log) -> None:
        log.touched_at = self._clock()
        self._logs.move_to_end(name)

    def _drop(self, log: _Log, key: MessageKey) -> None:
        self._size -= len(log.messages.pop(key, (0, ""))[1])

    def _clear_log(self, log: _Log) -> None:
        """Keep nothing but the knowledge that something went."""
        log.added_channels.clear()
        for key, (number, _) in list(log.messages.items()):
            log.floor = max(log.floor, number)
            self._drop(log, key)

    def _expire(self) -> None:
        chosen, now = settings(), self._clock()
        while self._logs:
            log = next(iter(self._logs.values()))
            if self._size <= _MAX_CHARACTERS and log.touched_at > now - chosen.REPLAY_TTL:
                break
            self._clear_log(log)
            self._floor = max(self._floor, log.floor)
            self._logs.popitem(last=False)
        while self._texts:  # kept as long as any record that shows them can be; usually end_texts comes first
            target, text = next(iter(self._texts.items()))
            if self._text_size <= _MAX_CHARACTERS and text.touched_at > now - max(chosen.REPLAY_TTL, chosen.HIDDEN_TTL):
                break
            self._clear_text(target)
