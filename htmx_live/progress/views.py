"""The endpoints of progress: one address that reads a session, and two that act on it.

    GET  progress/GRANT/          a page (meta-refresh), a card for htmx, JSON, or an event stream, as the client asks
    POST progress/GRANT/cancel/   \
    POST progress/GRANT/retry/    / then the card for htmx, JSON, or back to where it came from

A grant that is forged, expired, somebody else's, for another door, or of a session that is gone: one and the same 404.

``accepted``: the answer to a request whose work goes on after it.

Events: a session as server-sent events, for clients of the project's own (``EventSource``).

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
from functools import partial, wraps
from typing import Any
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async
from django.contrib.auth.decorators import login_not_required
from django.core.handlers.asgi import ASGIRequest
from django.db import transaction
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    JsonResponse,
)
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from htmx_live.backends.wire import user_channel
from htmx_live.core.concurrency import DaemonPool, run_in
from htmx_live.core.exceptions import GrantError, StoreUnavailable
from htmx_live.core.records import Owner
from htmx_live.http.sessions import request_of, sign_in_of, visitors
from htmx_live.http.stream_connection import HEADERS, admit
from htmx_live.http.stream_endpoint import stream_response
from htmx_live.http.stream_hub import Access, Listener, Refusal, Refused, current_hub
from htmx_live.progress.cards import ProgressGrant, unsign
from htmx_live.progress.fragments import progress_card, status_url
from htmx_live.progress.model import ProgressStatus, seen
from htmx_live.progress.publisher import event_channel, follow_events
from htmx_live.progress.session import ProgressSession
from htmx_live.progress.snapshots import snapshot
from htmx_live.progress.store import keeping
from htmx_live.runtime.owners import owner_of, stream_words

__all__ = ["INTERVAL", "RETRY_AFTER", "accepted", "cancel", "events", "progress", "retry", "single_event", "wants_html"]


RETRY_AFTER = 2  # seconds until somebody who polls asks again


def accepted(
    request: HttpRequest, session: ProgressSession, *, redirect: str = "", event: str = "", css: str = ""
) -> HttpResponseBase:
    """202 with the status page's address in ``Location``, and ``Retry-After``.

    htmx gets the session's card, which follows the work, an API client its snapshot as JSON; a browser without
    JavaScript is sent to the status page (303).  ``redirect``, ``event`` and ``css`` are the card's.
    """
    url = status_url(session.session, owner_of(request), redirect=redirect)
    if request.headers.get("HX-Request") == "true":
        card = progress_card(session, request=request, redirect=redirect, event=event, css=css)
        answer: HttpResponseBase = HttpResponse(card, status=202)
    elif wants_html(request):
        answer = HttpResponseRedirect(url)
        answer.status_code = 303
    else:
        answer = JsonResponse(session.to_dict(), status=202)
    answer["Location"] = url
    answer["Retry-After"] = str(RETRY_AFTER)
    answer["Cache-Control"] = "no-store"
    return answer


def wants_html(request: HttpRequest) -> bool:
    """Whether a browser asks for a page; ``*/*`` is what API clients say."""
    return "text/html" in request.headers.get("Accept", "")


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
    """Whether ``grant`` opens a stream, and of which ``session``; see ``htmx_live.http.stream_hub.Gate``."""

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


View = Callable[[HttpRequest, ProgressSession, ProgressGrant], HttpResponseBase]
Endpoint = Callable[[HttpRequest, str], HttpResponseBase]


def _granted(view: View) -> Endpoint:
    """Call ``view`` with what the grant opens."""

    @login_not_required  # the grant says who may see it, API clients and visitors without a login among them
    @wraps(view)
    def endpoint(request: HttpRequest, grant: str) -> HttpResponseBase:
        try:
            opened = unsign(grant, request)
            session = ProgressSession.get(opened.session)
        except GrantError:
            raise Http404 from None
        except StoreUnavailable:
            return HttpResponse(status=503, headers={"Retry-After": str(RETRY_AFTER)})
        if session is None:
            raise Http404
        return view(request, session, opened)

    return endpoint


@login_not_required
@transaction.non_atomic_requests  # Django refuses atomic requests with an async view
@require_GET
@never_cache
async def progress(request: HttpRequest, grant: str) -> HttpResponseBase:
    """The session as the client asks for it; with ``live_asgi`` an event stream does not come here."""
    if isinstance(request, ASGIRequest) and _asks_for_events(request):
        return await stream_response(request, partial(events, grant))
    return await sync_to_async(_progress)(request, grant)


@_granted
def _progress(request: HttpRequest, session: ProgressSession, grant: ProgressGrant) -> HttpResponseBase:
    if grant.may_control:
        raise Http404
    if _asks_for_events(request):
        event = single_event(session.session_id, request.headers.get("Last-Event-ID", ""))
        return HttpResponse(event, headers=HEADERS) if event else HttpResponse(status=204)
    if request.headers.get("HX-Request") == "true":
        return HttpResponse(progress_card(session, request=request, redirect=grant.redirect))
    if wants_html(request):
        return _page(request, session, grant)
    return JsonResponse(
        session.to_dict(), headers={} if session._seen().is_ended else {"Retry-After": str(RETRY_AFTER)}
    )


@transaction.non_atomic_requests
@require_POST
@never_cache
@_granted
def cancel(request: HttpRequest, session: ProgressSession, grant: ProgressGrant) -> HttpResponseBase:
    """Cancel what has not ended."""
    _check_control(grant)
    session.cancel()
    return _acted(request, session)


@transaction.non_atomic_requests
@require_POST
@never_cache
@_granted
def retry(request: HttpRequest, session: ProgressSession, grant: ProgressGrant) -> HttpResponseBase:
    """Start again what has failed."""
    _check_control(grant)
    session.retry()
    return _acted(request, session)


def _check_control(grant: ProgressGrant) -> None:
    if not grant.may_control:
        raise Http404


def _acted(request: HttpRequest, session: ProgressSession) -> HttpResponseBase:
    """What was done is published to every page that shows it, the asking one included."""
    if request.headers.get("HX-Request") == "true":
        return HttpResponse(status=204)
    if not wants_html(request):
        return JsonResponse(session.to_dict())
    came_from = request.headers.get("Referer", "")
    is_ours = url_has_allowed_host_and_scheme(came_from, {request.get_host()}, require_https=request.is_secure())
    response = HttpResponseRedirect(came_from if is_ours else status_url(session.session, owner_of(request)))
    response.status_code = 303
    return response


def _page(request: HttpRequest, session: ProgressSession, grant: ProgressGrant) -> HttpResponse:
    here = session._seen()
    if grant.redirect and here.status is ProgressStatus.COMPLETE and "done" not in request.GET:
        return HttpResponseRedirect(grant.redirect)
    card = progress_card(session, request=request, redirect=grant.redirect)
    context = {
        "card": card,
        "refresh": 0 if here.is_ended else RETRY_AFTER,
        "title": ", ".join(list(session.session.names.values())[:3]),
    }
    return render(request, "htmx_live/progress_page.html", context)


def _asks_for_events(request: HttpRequest) -> bool:
    return "text/event-stream" in request.headers.get("Accept", "")
