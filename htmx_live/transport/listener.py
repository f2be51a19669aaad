"""A listener: one open stream's share of the hub.

Its stream sleeps on ``rest()`` until something is to be sent, a beat is due, or it is to end.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from htmx_live.conf import settings
from htmx_live.transport.access import Access, validity

__all__ = ["Ending", "Frame", "Listener"]

Result = TypeVar("Result")

_PENDING = 256  # frames; one more, and the stream reads from the bus instead
_GRACE = 3.0  # seconds that a stream has to end by itself: less than a server's patience when it shuts down


class Ending(Exception):
    """The stream is to end, before a call that it waited for has returned."""


class Frame:
    """One message, encoded; shared by all listeners.  Of the frames with one ``key`` only the newest is sent."""

    __slots__ = ("body", "channels", "key", "number")

    def __init__(self, *, channels: tuple[str, ...], key: object, number: int, body: bytes) -> None:
        self.channels, self.key, self.number, self.body = channels, key, number, body


class Listener:
    """Used on its loop only.  ``number`` (of ``epoch``) is that of the last message that its stream has taken."""

    __slots__ = (
        "_cut",
        "_ending",
        "_ends_at",
        "_heartbeat",
        "_loop",
        "_pending",
        "_timer",
        "_validity",
        "_waiter",
        "access",
        "channels",
        "check",
        "checked_at",
        "epoch",
        "is_behind",
        "is_draining",
        "is_due",
        "is_ending",
        "number",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        access: Access,
        *,
        cut: Callable[[], None],
        check: Callable[[Sequence[Access]], Sequence[bool | None]],
        checked_at: float,
    ) -> None:
        chosen = settings()
        self.access = access
        self.check = check
        self.checked_at = checked_at  # the loop's time before the last check that was passed
        self._validity = validity()
        self.channels = access.channels
        self.epoch = ""
        self.number = -1  # nothing is covered before the first read
        self.is_behind = False
        self.is_due = False  # a beat, or a convergence that should not wait for one
        self.is_ending = False
        self.is_draining = False  # while ending: send what is pending
        self._loop = loop
        self._cut = cut
        self._pending: dict[object, Frame] = {}
        self._waiter: asyncio.Future[None] | None = None
        self._ending: asyncio.Future[None] | None = None  # while the stream waits for a call
        self._heartbeat = chosen.HEARTBEAT
        self._ends_at = loop.time() + chosen.STREAM_LIFETIME * random.uniform(0.8, 1.2)
        # Streams opened together, after a restart, shall not beat together for ever.
        self._timer = self._after(self._heartbeat * random.uniform(0.5, 1.0))

    # The hub's side

    def put(self, frame: Frame) -> None:
        """Take a frame to send, unless it is covered, or will be by the convergence to come."""
        if self.is_behind or frame.number <= self.number:
            return
        pending = self._pending
        pending.pop(frame.key, None)
        pending[frame.key] = frame
        if len(pending) > _PENDING:
            self.fall_behind()
        elif self._waiter is not None:
            self._wake()

    def fall_behind(self) -> None:
        """Something was or may have been lost: converge, as soon as the stream gets to it."""
        self._pending.clear()
        self.is_behind = self.is_due = True
        self._wake()

    def end(self, *, drain: bool) -> None:
        """End the stream; ``drain`` sends first what is pending.  It is cut if it does not end by itself."""
        if not self.is_ending:
            self.is_ending, self.is_draining = True, drain
            self._timer.cancel()
            self._timer = self._loop.call_later(_GRACE, self._cut)
            self._wake()
            if self._ending is not None and not self._ending.done():
                self._ending.set_result(None)

    def stop(self) -> None:
        """The stream has ended."""
        self._timer.cancel()
        self._pending.clear()

    @property
    def is_checked(self) -> bool:
        """Whether the last check is recent enough to send content."""
        return self._loop.time() < self.checked_at + self._validity

    def have_checked(self, at: float) -> None:
        """A check that began ``at`` was passed: send what was held back."""
        self.checked_at = at
        if self.is_behind:
            self.is_due = True
        self._wake()

    # The stream's side

    def rest(self) -> "asyncio.Future[None] | None":
        """What to await before looking again; None when there is something to do."""
        if self.is_due or self.is_ending or (self._pending and self.is_checked):
            return None
        self._waiter = self._loop.create_future()
        return self._waiter

    async def wait_for(self, call: Coroutine[Any, Any, Result]) -> Result:
        """The result of ``call``.  Raise ``Ending`` as soon as the stream is to end, even if the call takes longer."""
        task, self._ending = asyncio.ensure_future(call), self._loop.create_future()
        try:
            if not self.is_ending:
                await asyncio.wait((task, self._ending), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise Ending
        finally:
            task.cancel()
            self._ending = None

    def take(self) -> bytes:
        """What is pending, in order; the listener's number becomes that of the last."""
        frames = list(self._pending.values())
        self._pending.clear()
        if not frames:
            return b""
        self.number = frames[-1].number
        return frames[0].body if len(frames) == 1 else b"".join([frame.body for frame in frames])

    def begin_reading(self) -> None:
        """Start a convergence: what comes in from now on is kept, and what is pending will be read."""
        self.is_due = self.is_behind = False
        self._pending.clear()

    def have_read(self, epoch: str, number: int) -> None:
        """The convergence has brought everything up to ``number`` of ``epoch``."""
        self.epoch, self.number = epoch, number
        for key in [key for key, frame in self._pending.items() if frame.number <= number]:
            del self._pending[key]

    def have_failed(self) -> None:
        """The convergence has not read; the next beat, or the client's next stream, tries again."""
        self._pending.clear()
        self.is_behind = True

    def _beat(self) -> None:
        if self._loop.time() >= self._ends_at:
            self.end(drain=True)
            return
        self.is_due = True
        self._wake()
        self._timer = self._after(self._heartbeat)

    def _after(self, delay: float) -> asyncio.TimerHandle:
        return self._loop.call_at(min(self._loop.time() + delay, self._ends_at), self._beat)

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
