"""Envelopes: what the scripts publish, taken apart.

    message EPOCH NUMBER [GENERATION OFFSET]        the last two with a piece of a text
    [[CHANNEL, …], EVENT, TARGET]                   JSON
    {TARGET: [GENERATION, TEXT], …}                 JSON, or nothing: the texts that stand in the data
    the data, as it is

    join EPOCH NUMBER                               close EPOCH NUMBER
    [PAGE, [CHANNEL, …]]                            SESSION

Slots are filled where an envelope arrives, with the texts that the script read in the step that numbered it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from htmx_live.fragments import fill
from htmx_live.transport.messages import APPEND, Message
from htmx_live.transport.receiver import Receiver
from htmx_live.transport.texts import append_data

__all__ = ["Envelope", "filled", "opened"]


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
