"""Subscriptions: the channels that pages listen on beside those of their instances, in a bounded table.

Used under its owner's lock.  A browser says when it shows a page, never when it has closed one: what was not heard of
for long goes, and beyond the cap what was heard of longest ago.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from htmx_live.conf import settings

__all__ = ["CHANNELS_PER_PAGE", "Subscriptions"]

CHANNELS_PER_PAGE = 256  # a page that htmx keeps for hours has shown many; those that it shows now are the newest


@dataclass(slots=True)
class _Subscriber:
    heard: float
    channels: dict[str, None] = field(default_factory=dict)  # an ordered set


class Subscriptions:
    """``clock`` gives seconds that never run backwards."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._pages: OrderedDict[str, _Subscriber] = OrderedDict()  # heard of longest ago first

    def add(self, page: str, channel: str) -> None:
        channels = self._pages.setdefault(page, _Subscriber(self._clock())).channels
        channels.pop(channel, None)
        channels[channel] = None
        if len(channels) > CHANNELS_PER_PAGE:
            del channels[next(iter(channels))]
        self.hear(page)
        self.sweep()

    def of(self, page: str) -> tuple[str, ...]:
        known = self._pages.get(page)
        return tuple(known.channels) if known else ()

    def hear(self, page: str) -> None:
        """The page is shown; harmless when it has subscribed to nothing."""
        if page in self._pages:
            self._pages[page].heard = self._clock()
            self._pages.move_to_end(page)

    def sweep(self) -> None:
        """Drop the pages that have not been heard of for long."""
        limits, now = settings(), self._clock()
        while self._pages:
            page, oldest = next(iter(self._pages.items()))
            if len(self._pages) <= limits.MAX_RECORDS and now <= oldest.heard + limits.HIDDEN_TTL:
                return
            del self._pages[page]
