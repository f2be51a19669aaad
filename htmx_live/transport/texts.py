"""Text streams: the text so far, and which part of it a reader has not seen.

A reader is known by the number of the last message it has read.  ``marks`` remembers, for the latest additions, the
number of each and where in the text it began, so that a reader who is little behind gets little.
"""

import json
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["GrowingText", "append_data"]

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
