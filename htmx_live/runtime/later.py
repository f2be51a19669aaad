"""Later: calls that are made again while the store is away.

What has been saved must be told, and a job that has finished must not be lost to an outage.  ``insist`` is for a job's
own thread, which has nothing better to do; ``keep_trying`` makes nobody wait.
"""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from htmx_live.exceptions import StoreUnavailable
from htmx_live.runtime.parts import parts

__all__ = ["PATIENCE", "insist", "keep_trying"]

logger = logging.getLogger("htmx_live.runtime")

PATIENCE = 300.0  # seconds after which a store that is away is given up
_FIRST, _LONGEST = 0.1, 2.0  # seconds between two attempts
_MOST = 10_000  # calls that wait; one more is given up at once

_waiting = 0  # counted roughly: two threads may miscount by one

Answer = TypeVar("Answer")


def insist(call: Callable[[], Answer]) -> Answer:
    """The answer of ``call``, which is made until it has one; ``StoreUnavailable`` after ``PATIENCE`` seconds.

    A call whose answer was lost may have been heard: it must be one that can be made twice.
    """
    until, delay = time.monotonic() + PATIENCE, _FIRST
    while True:
        try:
            return call()
        except StoreUnavailable:
            if time.monotonic() > until:
                raise
        time.sleep(delay)
        delay = min(2 * delay, _LONGEST)


def keep_trying(call: Callable[[], object], *, after: float = 0) -> None:
    """Make ``call`` now, and by the pool of turns while it raises ``StoreUnavailable``, for ``PATIENCE`` seconds.

    ``after`` is in seconds, for what has failed just now.
    """
    timer = parts().timer
    attempt = partial(_attempt, call, timer() + PATIENCE, _FIRST)
    if after:
        timer.at(timer() + after, lambda: parts().turns.submit(attempt))
    else:
        attempt()


def _attempt(call: Callable[[], object], until: float, delay: float) -> None:
    global _waiting
    try:
        call()
    except StoreUnavailable:
        here = parts()
        at = here.timer() + delay
        if at > until or _waiting >= _MOST:
            logger.exception("The store is away for too long: given up")
            return
        _waiting += 1
        here.timer.at(at, partial(_attempt_in_pool, partial(_attempt, call, until, min(2 * delay, _LONGEST))))


def _attempt_in_pool(attempt: Callable[[], None]) -> None:
    global _waiting
    _waiting -= 1
    parts().turns.submit(attempt)
