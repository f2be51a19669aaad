"""Events: a session as server-sent events, for clients of the project's own (``EventSource``).

Each event is a whole snapshot with the session's number as its id, so a client that reconnects needs only the next one.
The stream ends with the session.  A client that comes back with the last id then gets 204 and does not come again.

A stream is a listener of the hub, like a page's: it counts against the caps, and ends at logout and at shutdown.

    opening ── grant, caps, store away ──▶ Refused
       │ listen, note that somebody follows, read
       ▼
    waiting ── woken, INTERVAL over while work runs, or heartbeat ──▶ read ── changed ──▶ send
       │ end of the work, of the session, of the stream
       ▼
     over

A message on the session's channel carries nothing and only wakes: the stream reads the session itself.  Percentages
that are simulated, and tasks that stall, follow from the time, so a running session is read every ``INTERVAL`` too.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from htmx_live.exceptions import GrantError, StoreUnavailable
from htmx_live.owners import owner_of, stream_words
from htmx_live.pool import DaemonPool
from htmx_live.progress.grants import unsign
from htmx_live.progress.keeping import keeping
from htmx_live.progress.showing import event_channel, follow_events
from htmx_live.progress.snapshots import snapshot
from htmx_live.progress.values import ProgressStatus, seen
from htmx_live.records import Owner
from htmx_live.sessions import request_of, sign_in_of, visitors
from htmx_live.transport.access import Access, Refusal, Refused
from htmx_live.transport.body import admit
from htmx_live.transport.channels import user_channel
from htmx_live.transport.hub import current_hub
from htmx_live.transport.listener import Listener
from htmx_live.transport.threads import run_in

__all__ = ["INTERVAL", "events", "single_event"]

INTERVAL = 1.0  # seconds between two reads of a session that runs
_RETRY = b"retry: 2000\n"  # milliseconds until a client asks again for a single event
_GONE = b"event: gone\ndata: {}\n\n"
_BEAT = b":\n\n"

_pool = DaemonPool("htmx-live-progress-read", lambda: 2)


@dataclass(frozen=True, slots=True)
class Look:
    """A session at one time: its event, and what tells it from another (a clock that went on does not)."""

    event: bytes = _GONE
    shown: str = ""
    number: int = -1
    is_over: bool = True
    is_running: bool = False


async def events(grant: str, headers: Mapping[str, str], *, cut: Callable[[], None]) -> AsyncGenerator[bytes, None]:
    """The chunks of an event stream of the session that ``grant`` opens; see ``transport.body.stream()``."""
    hub, gate = current_hub(), ProgressGate(grant)
    listener = await admit(hub, gate, headers, cut=cut)
    try:
        look = await _first(gate.session)
        if not listener.is_checked:
            raise Refused(503)
        yield look.event
        while not look.is_over and await _has_woken(listener, look):
            is_beat = listener.is_due
            listener.begin_reading()
            before, look = look, await _next(gate.session, look)
            if not listener.is_checked:
                look = before  # a check is late; it wakes this stream
            if look.shown != before.shown:
                yield look.event
            elif is_beat:
                yield _BEAT
    finally:
        hub.leave(listener)


def single_event(session: str, last_id: str) -> bytes:
    """What a server without streams answers: one event, after which the client asks again; nothing after the end."""
    look = _look(session)
    if look.is_over:
        return b"" if last_id == str(look.number) else look.event
    return _RETRY + look.event


class ProgressGate:
    """Whether ``grant`` opens a stream, and of which ``session``; see ``htmx_live.transport.access.Gate``."""

    def __init__(self, grant: str) -> None:
        self._grant = grant
        self.session = ""

    def open(self, headers: Mapping[str, str]) -> Access | Refusal:
        request = request_of(headers)
        try:
            grant = unsign(self._grant, request)
        except GrantError:
            return Refusal(status=404)
        look = _look(grant.session)
        if grant.may_control or look.number < 0:
            return Refusal(status=404)
        if look.is_over and headers.get("last-event-id") == str(look.number):
            return Refusal(status=204)
        self.session, owner = grant.session, owner_of(request)
        return Access(
            page="",
            owner=owner.key if owner != Owner() else self._grant,  # visitors without a token are not one owner
            session=next(iter(stream_words(request)), ""),
            channels=(event_channel(grant.session),),
            user=user_channel(owner.user) if owner.user else "",
            sign_in=sign_in_of(request),
        )

    def opened(self, access: Access) -> None: ...

    def renewed(self, access: Access) -> None: ...

    def closed(self, access: Access) -> None: ...

    @staticmethod
    def check(accesses: Sequence[Access]) -> list[bool | None]:
        """A session of progress belongs to its owner: the grant holds as long as the sign-in."""
        return [visitor is not None for visitor in visitors([access.sign_in for access in accesses])]


async def _first(session: str) -> Look:
    """Note that somebody follows before reading: a change that this read misses is published."""
    try:
        await run_in(_pool, partial(follow_events, session))
        return await _read(session)
    except StoreUnavailable:
        raise Refused(503) from None


async def _next(session: str, look: Look) -> Look:
    """A new look, or the same one while the store is away."""
    try:
        return await _read(session)
    except StoreUnavailable:
        return look


async def _has_woken(listener: Listener, look: Look) -> bool:
    """Wait until there may be something to send; False when the stream is to end."""
    sleep = listener.rest()
    if sleep is not None:
        await asyncio.wait((sleep,), timeout=INTERVAL if look.is_running else None)
    return not listener.is_ending


# Reads that have not begun, by session.
_reads: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, "asyncio.Task[Look]"]] = WeakKeyDictionary()


async def _read(session: str) -> Look:
    """The session as it is after this call began; streams that wait for the same session share a read."""
    loop = asyncio.get_running_loop()
    waiting = _reads.setdefault(loop, {})
    task = waiting.get(session)
    if task is None:

        def call() -> Look:
            waiting.pop(session, None)  # a call of _read() that begins now needs another read
            return _look(session)

        task = waiting[session] = loop.create_task(run_in(_pool, call))
    return await asyncio.shield(task)


def _look(session: str) -> Look:
    kept = keeping().load(session)
    if kept is None:
        return Look()
    here, told = seen(kept), snapshot(kept)
    return Look(
        event=f"id: {here.number}\ndata: {json.dumps(told)}\n\n".encode(),
        shown=_without_times(told),
        number=here.number,
        is_over=here.is_ended,
        is_running=any(one.is_running or one is ProgressStatus.QUEUED for one in here.statuses.values()),
    )


def _without_times(told: dict[str, Any]) -> str:
    times = ("elapsed", "eta", "rate")
    tasks = {
        task: {name: value for name, value in shown.items() if name not in times}
        for task, shown in told["tasks"].items()
    }
    return json.dumps({**told, "tasks": tasks})
