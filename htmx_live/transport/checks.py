"""Checks: whether open streams may go on, asked again before a heartbeat has passed.

    opened (the gate has just looked) ──▶ checked ──▶ due ──▶ with a thread ──▶ revoked: the stream ends
                                             ▲                    │   └─────▶ unknown (database away): due again
                                             └────────────────────┘

A check counts from the moment before it read anything.  A stream sends content for ``validity()`` seconds from there:
what was rendered later than that after a revocation never leaves.  Where a check comes late, the stream holds content
back until it has come.  Streams of one owner are checked together, in batches, and at most ``_AT_ONCE`` batches at a
time.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence

from django.db import Error as DatabaseError
from django.db import connections

from htmx_live.exceptions import StoreUnavailable
from htmx_live.outages import log_unavailable
from htmx_live.pool import DaemonPool
from htmx_live.transport.access import validity
from htmx_live.transport.listener import Listener
from htmx_live.transport.threads import run_in

__all__ = ["Checks"]

logger = logging.getLogger("htmx_live.transport")

_BATCH = 200  # streams
_AT_ONCE = 2  # batches
_DUE_AFTER = 0.7  # of the validity: the rest is for a check to take place
_LOOK = 0.05  # of the validity, between two looks for streams that are due

_pool = DaemonPool("htmx-live-check", lambda: _AT_ONCE, after=connections.close_all)


class Checks:
    """Of one hub, on its loop; ``listeners()`` are those of its streams."""

    def __init__(self, loop: asyncio.AbstractEventLoop, listeners: Callable[[], Iterable[Listener]]) -> None:
        self._loop, self._listeners = loop, listeners
        self._timer: asyncio.TimerHandle | None = None
        self._busy: set[Listener] = set()
        self._batches: set[asyncio.Task[None]] = set()
        self._is_late = False  # a check was not possible, and that has been logged

    def start(self) -> None:
        """Check from now on, while there are streams."""
        if self._timer is None:
            self._timer = self._loop.call_later(_LOOK * validity(), self._look)

    def _look(self) -> None:
        self._timer = None
        listeners = list(self._listeners())
        if listeners:
            self._begin(listeners)
            self.start()

    def _begin(self, listeners: Sequence[Listener]) -> None:
        before = self._loop.time() - _DUE_AFTER * validity()
        due = {each.access.owner for each in listeners if each.checked_at <= before}
        chosen = [each for each in listeners if each.access.owner in due and each not in self._busy]
        chosen.sort(key=lambda each: each.checked_at)
        while chosen and len(self._batches) < _AT_ONCE:
            batch, chosen = chosen[:_BATCH], chosen[_BATCH:]
            self._busy.update(batch)
            task = self._loop.create_task(self._check(batch))
            self._batches.add(task)
            task.add_done_callback(self._batches.discard)

    async def _check(self, batch: list[Listener]) -> None:
        try:
            began, (answers, is_late) = await run_in(_pool, lambda: (self._loop.time(), _answers(batch)))
            for listener, may_go_on in zip(batch, answers, strict=True):
                if may_go_on:
                    listener.have_checked(began)
                elif may_go_on is False:
                    listener.end(drain=False)
            self._log(is_late=is_late)
        finally:
            self._busy.difference_update(batch)
        self._begin(list(self._listeners()))

    def _log(self, *, is_late: bool) -> None:
        if is_late and not self._is_late:
            logger.warning("Open streams could not be checked. They hold content back until they can be.")
        elif self._is_late and not is_late:
            logger.warning("Open streams can be checked again.")
        self._is_late = is_late


def _answers(batch: list[Listener]) -> tuple[list[bool | None], bool]:
    """For each stream whether it may go on, None where that cannot be told now; and whether a database is to blame.

    While the store is away, its own two lines in the log say so.
    """
    answers: dict[Listener, bool | None] = {}
    is_late = False
    for check in dict.fromkeys(listener.check for listener in batch):
        those = [listener for listener in batch if listener.check == check]
        found: Sequence[bool | None] = [None] * len(those)
        try:
            found = check([listener.access for listener in those])
            is_late |= None in found
        except StoreUnavailable as error:
            log_unavailable(logger, error, "checks of streams", "Open streams could not be checked")
        except DatabaseError:
            is_late = True
        except Exception:  # a boundary: what may be wrong with one stream must not keep the others from being checked
            logger.exception("Streams could not be checked and end")
            found = [False] * len(those)
        answers.update(zip(those, found, strict=True))
    return [answers[listener] for listener in batch], is_late
