"""Messages: what travels on channels, as values."""

import re
from dataclasses import dataclass

__all__ = ["APPEND", "SYNC", "Catchup", "Message", "Text", "checked_event"]

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
