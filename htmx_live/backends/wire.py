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
    "Catchup",
    "GrowingText",
    "Message",
    "Text",
    "append_data",
    "checked",
    "checked_event",
    "page_channel",
    "session_channel",
    "topic_channel",
    "user_channel",
    "view_channel",
]


_NAME = re.compile(r"[a-z]+:[A-Za-z0-9_.~%+=-]{1,200}")


def page_channel(page: str) -> str:
    """What is addressed to one page load; ``page`` is its id."""
    return _name("page", page)


def user_channel(pk: object) -> str:
    """What is addressed to all pages of one user."""
    return _name("user", str(pk))


def session_channel(token: str) -> str:
    """What is addressed to all pages of one visitor; ``token`` is their owner's."""
    return _name("session", token)


def view_channel(key: str) -> str:
    """What is addressed to all viewers of a shared view; ``key`` tells one instance of it from another."""
    return _name("view", key)


def topic_channel(topic: str) -> str:
    """What is addressed to all pages that name a topic."""
    return _name("topic", topic)


def event_channel(name: str) -> str:
    """What carries django-eventstream's events on its own channel ``name`` from process to process."""
    return _name("events", name)


def progress_channel(of: str) -> str:
    """What is addressed to all pages that show a session of progress in one way, or an owner's list of them."""
    return _name("progress", of)


def checked(channels: Iterable[str]) -> tuple[str, ...]:
    """``channels`` without repetitions, in order; ``ValueError`` names one that this module cannot have made."""
    names = tuple(dict.fromkeys(channels))
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no channel. Make its name with page_channel(), user_channel() or the like.")
    return names


def _name(kind: str, of: str) -> str:
    """Two different ``of`` never make one name; a long one is hashed."""
    quoted = quote(of, safe="", errors="surrogatepass")
    if not quoted:
        raise ValueError(f"A {kind} channel needs a name that is not empty.")
    if len(quoted) > 150:
        quoted = "+" + blake2b(of.encode(errors="surrogatepass"), digest_size=32).hexdigest()
    return f"{kind}:{quoted}"


APPEND = "append"  # the event of a text stream's messages
SYNC = "sync"  # the event of a message that has a page ask for what it lacks

_EVENT = re.compile(r"(?:[a-z][a-z0-9-]{0,63})?")
_RESERVED = {"hello", "bye", "reset", APPEND}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
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
class Catchup:
    """What a reader lacks, by rising number, and where it stands after that.

    ``reset`` says that what it missed is not known any more; there are no messages then.  ``channels`` are those that
    were read: the reader's, and those that its page has joined.
    """

    epoch: str
    number: int
    messages: tuple[Message, ...] = ()
    reset: bool = False
    channels: tuple[str, ...] = ()

    @property
    def position(self) -> str:
        return f"{self.epoch}.{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """The text of a stream; it only grows within one ``generation``, a word without dots."""

    generation: str
    text: str


def checked_event(event: str) -> str:
    """``event`` if a state message may carry it: a lower-case word, or empty, and none of the transport's own."""
    if not _EVENT.fullmatch(event) or event in _RESERVED:
        raise ValueError(
            f"{event!r} cannot be a message's event. It is a word of a-z, 0-9 and '-', and none of {sorted(_RESERVED)}."
        )
    return event


_MARKS = 512  # at most; then the older half is forgotten, and who is further behind gets the whole text


@dataclass(slots=True, kw_only=True)
class GrowingText:
    """One generation of a text, changed in place under its owner's lock.

    ``touched`` is seconds on the owner's clock; ``channels`` is where it was ever announced.
    """

    generation: str
    touched: float = 0.0
    text: str = ""
    channels: set[str] = field(default_factory=set)
    _numbers: list[int] = field(default_factory=list)
    _offsets: list[int] = field(default_factory=list)
    _is_complete: bool = True  # the marks reach back to the beginning of the generation
    _late: dict[str, tuple[int, int]] = field(default_factory=dict)  # by channel; see announce()

    def add(self, text: str, number: int) -> int:
        """Append; returns the offset at which ``text`` begins, in characters."""
        offset = len(self.text)
        self.text += text
        self._numbers.append(number)
        self._offsets.append(offset)
        if len(self._numbers) > _MARKS:
            del self._numbers[: _MARKS // 2], self._offsets[: _MARKS // 2]
            self._is_complete = False
        return offset

    def begin_again(self, generation: str, text: str, number: int) -> None:
        """A new generation, which holds ``text``."""
        self.generation, self.text, self._is_complete = generation, "", True
        self._numbers.clear()
        self._offsets.clear()
        self._late.clear()
        self.add(text, number)

    def announce(self, channel: str, *, since: int, number: int) -> None:
        """What was added after ``since`` is sent to one more channel now, as the message ``number``.

        Its readers may stand between the two and yet lack it, until they have read that message.
        """
        self.channels.add(channel)
        self._late[channel] = (number, self._begun_after(since))

    def unseen_from(self, since: int, channels: Iterable[str]) -> int:
        """The offset of what a reader of these channels lacks who has read up to the message numbered ``since``."""
        late = [self._late[channel] for channel in channels if channel in self._late]
        return min([self._begun_after(since), *(offset for number, offset in late if since < number)])

    def _begun_after(self, since: int) -> int:
        index = bisect_right(self._numbers, since)
        if index == len(self._numbers):
            return len(self.text)
        return self._offsets[index] if index or self._is_complete else 0


def append_data(target: str, generation: str, offset: int, text: str) -> str:
    """The data of an append message; see docs/wire.md."""
    return json.dumps({"target": target, "generation": generation, "offset": offset, "text": text})
