"""Channels: what streams listen on, and who may name one.

The server derives a channel's name from a signed grant; no browser ever sends one.

Messages: what travels on channels, as values.

Text streams: the text so far, and which part of it a reader has not seen.

A reader is known by the number of the last message it has read.  ``marks`` remembers, for the latest additions, the
number of each and where in the text it began, so that a reader who is little behind gets little.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from urllib.parse import quote

__all__ = [
    "APPEND",
    "SYNC",
    "BusMessage",
    "Replay",
    "TextLog",
    "TextSnapshot",
    "encode_append",
    "page_channel",
    "session_channel",
    "topic_channel",
    "user_channel",
    "validate_channels",
    "validate_event",
    "view_channel",
]


_CHANNEL_NAME = re.compile(r"[a-z]+:[A-Za-z0-9_.~%+=-]{1,200}")


def page_channel(page: str) -> str:
    """What is addressed to one page load; ``page`` is its id."""
    return _channel_name("page", page)


def user_channel(pk: object) -> str:
    """What is addressed to all pages of one user."""
    return _channel_name("user", str(pk))


def session_channel(token: str) -> str:
    """What is addressed to all pages of one visitor; ``token`` is their owner's."""
    return _channel_name("session", token)


def view_channel(key: str) -> str:
    """What is addressed to all viewers of a shared view; ``key`` tells one instance of it from another."""
    return _channel_name("view", key)


def topic_channel(topic: str) -> str:
    """What is addressed to all pages that name a topic."""
    return _channel_name("topic", topic)


def eventstream_channel(name: str) -> str:
    """What carries django-eventstream's events on its own channel ``name`` from process to process."""
    return _channel_name("events", name)


def progress_channel(name: str) -> str:
    """What is addressed to all pages that show a session of progress in one way, or an owner's list of them."""
    return _channel_name("progress", name)


def validate_channels(channels: Iterable[str]) -> tuple[str, ...]:
    """``channels`` without repetitions, in order; ``ValueError`` names one that this module cannot have made."""
    names = tuple(dict.fromkeys(channels))
    for name in names:
        if not _CHANNEL_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no channel. Make its name with page_channel(), user_channel() or the like.")
    return names


def _channel_name(kind: str, identifier: str) -> str:
    """Two different ``of`` never make one name; a long one is hashed."""
    quoted = quote(identifier, safe="", errors="surrogatepass")
    if not quoted:
        raise ValueError(f"A {kind} channel needs a name that is not empty.")
    if len(quoted) > 150:
        quoted = "+" + blake2b(identifier.encode(errors="surrogatepass"), digest_size=32).hexdigest()
    return f"{kind}:{quoted}"


APPEND = "append"  # the event of a text stream's messages
SYNC = "sync"  # the event of a message that has a page ask for what it lacks

_EVENT_NAME = re.compile(r"(?:[a-z][a-z0-9-]{0,63})?")
_RESERVED_EVENTS = {"hello", "bye", "reset", APPEND}


@dataclass(frozen=True, slots=True, kw_only=True)
class BusMessage:
    """``data`` for the element or purpose ``target``, to whoever listens on ``channel``.

    ``event`` is empty for partials.  ``number`` orders all messages of one bus; one publication to several channels
    has one number.
    """

    channel: str
    target: str
    number: int
    data: str
    event: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What a reader lacks, by rising number, and where it stands after that.

    ``reset`` says that what it missed is not known any more; there are no messages then.  ``channels`` are those that
    were read: the reader's, and those that its page has joined.
    """

    epoch: str
    number: int
    messages: tuple[BusMessage, ...] = ()
    is_reset: bool = False
    channels: tuple[str, ...] = ()

    @property
    def position(self) -> str:
        return f"{self.epoch}.{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSnapshot:
    """The text of a stream; it only grows within one ``generation``, a word without dots."""

    generation: str
    text: str


def validate_event(event: str) -> str:
    """``event`` if a state message may carry it: a lower-case word, or empty, and none of the transport's own."""
    if not _EVENT_NAME.fullmatch(event) or event in _RESERVED_EVENTS:
        raise ValueError(
            f"{event!r} cannot be a message's event. It is a word of a-z, 0-9 and '-', "
            f"and none of {sorted(_RESERVED_EVENTS)}."
        )
    return event


_MAX_OFFSETS = 512  # at most; then the older half is forgotten, and who is further behind gets the whole text


@dataclass(slots=True, kw_only=True)
class TextLog:
    """One generation of a text, changed in place under its owner's lock.

    ``touched`` is seconds on the owner's clock; ``channels`` is where it was ever announced.
    """

    generation: str
    touched_at: float = 0.0
    text: str = ""
    channels: set[str] = field(default_factory=set)
    _numbers: list[int] = field(default_factory=list)
    _offsets: list[int] = field(default_factory=list)
    _is_complete: bool = True  # the marks reach back to the beginning of the generation
    _late_channels: dict[str, tuple[int, int]] = field(default_factory=dict)  # by channel; see announce()

    def append(self, text: str, number: int) -> int:
        """Append; returns the offset at which ``text`` begins, in characters."""
        offset = len(self.text)
        self.text += text
        self._numbers.append(number)
        self._offsets.append(offset)
        if len(self._numbers) > _MAX_OFFSETS:
            del self._numbers[: _MAX_OFFSETS // 2], self._offsets[: _MAX_OFFSETS // 2]
            self._is_complete = False
        return offset

    def restart(self, generation: str, text: str, number: int) -> None:
        """A new generation, which holds ``text``."""
        self.generation, self.text, self._is_complete = generation, "", True
        self._numbers.clear()
        self._offsets.clear()
        self._late_channels.clear()
        self.append(text, number)

    def add_channel(self, channel: str, *, since: int, number: int) -> None:
        """What was added after ``since`` is sent to one more channel now, as the message ``number``.

        Its readers may stand between the two and yet lack it, until they have read that message.
        """
        self.channels.add(channel)
        self._late_channels[channel] = (number, self._offset_after(since))

    def replay_offset(self, since: int, channels: Iterable[str]) -> int:
        """The offset of what a reader of these channels lacks who has read up to the message numbered ``since``."""
        late = [self._late_channels[channel] for channel in channels if channel in self._late_channels]
        return min([self._offset_after(since), *(offset for number, offset in late if since < number)])

    def _offset_after(self, since: int) -> int:
        index = bisect_right(self._numbers, since)
        if index == len(self._numbers):
            return len(self.text)
        return self._offsets[index] if index or self._is_complete else 0


def encode_append(target: str, generation: str, offset: int, text: str) -> str:
    """The data of an append message; see docs/wire.md."""
    return json.dumps({"target": target, "generation": generation, "offset": offset, "text": text})
