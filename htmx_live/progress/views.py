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
    waiting ── woken, READ_INTERVAL over while work runs, or heartbeat ──▶ read ── changed ──▶ send
       │ end of the work, of the session, of the stream
       ▼
     over

A message on the session's channel carries nothing and only wakes: the stream reads the session itself.  Percentages
that are simulated, and tasks that stall, follow from the time, so a running session is read every ``READ_INTERVAL``.
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
from htmx_live.core.concurrency import DaemonPool, run_in_pool
from htmx_live.core.exceptions import GrantError, StoreUnavailable
from htmx_live.core.records import Owner
from htmx_live.http.sessions import build_request, load_visitors, read_sign_in
from htmx_live.http.stream_connection import STREAM_HEADERS, open_connection
from htmx_live.http.stream_endpoint import stream_response
from htmx_live.http.stream_hub import Denial, StreamConnection, StreamDenied, StreamGrant, current_hub
from htmx_live.progress.cards import ProgressGrant, unsign_progress_grant
from htmx_live.progress.fragments import progress_card, status_url
from htmx_live.progress.model import ProgressStatus, summarize
from htmx_live.progress.publisher import enable_event_channel, event_channel
from htmx_live.progress.session import ProgressSession
from htmx_live.progress.snapshots import serialize_snapshot
from htmx_live.progress.store import progress_store
from htmx_live.runtime.owners import get_owner, stream_session_keys

__all__ = [
    "READ_INTERVAL",
    "RETRY_AFTER",
    "accepted",
    "cancel",
    "progress",
    "retry",
    "single_event",
    "stream_events",
    "wants_html",
]


RETRY_AFTER = 2  # seconds until somebody who polls asks again


def accepted(
    request: HttpRequest, session: ProgressSession, *, redirect: str = "", event: str = "", css: str = ""
) -> HttpResponseBase:
    """202 with the status page's address in ``Location``, and ``Retry-After``.

    htmx gets the session's card, which follows the work, an API client its snapshot as JSON; a browser without
    JavaScript is sent to the status page (303).  ``redirect``, ``event`` and ``css`` are the card's.
    """
    url = status_url(session.header, get_owner(request), redirect=redirect)
    if request.headers.get("HX-Request") == "true":
        card = progress_card(session, request=request, redirect=redirect, event=event, css=css)
        response: HttpResponseBase = HttpResponse(card, status=202)
    elif wants_html(request):
        response = HttpResponseRedirect(url)
        response.status_code = 303
    else:
        response = JsonResponse(session.to_dict(), status=202)
    response["Location"] = url
    response["Retry-After"] = str(RETRY_AFTER)
    response["Cache-Control"] = "no-store"
    return response


def wants_html(request: HttpRequest) -> bool:
    """Whether a browser asks for a page; ``*/*`` is what API clients say."""
    return "text/html" in request.headers.get("Accept", "")


READ_INTERVAL = 1.0  # seconds between two reads of a session that runs
_RETRY_FIELD = b"retry: 2000\n"  # milliseconds until a client asks again for a single event
_GONE_EVENT = b"event: gone\ndata: {}\n\n"
_HEARTBEAT = b":\n\n"

_pool = DaemonPool("htmx-live-progress-read", lambda: 2)


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """A session at one time: its event, and what tells it from another (a clock that went on does not)."""

    content: bytes = _GONE_EVENT
    fingerprint: str = ""
    number: int = -1
    is_last: bool = True
    is_running: bool = False


async def stream_events(
    grant: str, headers: Mapping[str, str], *, abort: Callable[[], None]
) -> AsyncGenerator[bytes, None]:
    """The chunks of an event stream of the session that ``grant`` opens; see ``transport.body.stream()``."""
    hub, gate = current_hub(), ProgressStreamAuthorizer(grant)
    listener = await open_connection(hub, gate, headers, abort=abort)
    try:
        event = await _subscribe_and_read(gate.session_id)
        if not listener.is_checked:
            raise StreamDenied(503)
        yield event.content
        while not event.is_last and await _wait_for_change(listener, event):
            is_heartbeat = listener.is_sync_due
            listener.begin_sync()
            before, event = event, await _read_again(gate.session_id, event)
            if not listener.is_checked:
                event = before  # a check is late; it wakes this stream
            if event.fingerprint != before.fingerprint:
                yield event.content
            elif is_heartbeat:
                yield _HEARTBEAT
    finally:
        hub.remove_connection(listener)


def single_event(session_id: str, last_event_id: str) -> bytes:
    """What a server without streams answers: one event, after which the client asks again; nothing after the end."""
    event = _load_event(session_id)
    if event.is_last:
        return b"" if last_event_id == str(event.number) else event.content
    return _RETRY_FIELD + event.content


class ProgressStreamAuthorizer:
    """Whether ``grant`` opens a stream, and of which ``session``; see ``http.stream_hub.StreamAuthorizer``."""

    def __init__(self, grant: str) -> None:
        self._grant = grant
        self.session_id = ""

    def authorize(self, headers: Mapping[str, str]) -> StreamGrant | Denial:
        request = build_request(headers)
        try:
            grant = unsign_progress_grant(self._grant, request)
        except GrantError:
            return Denial(status=404)
        event = _load_event(grant.session_id)
        if grant.may_control or event.number < 0:
            return Denial(status=404)
        if event.is_last and headers.get("last-event-id") == str(event.number):
            return Denial(status=204)
        self.session_id, owner = grant.session_id, get_owner(request)
        return StreamGrant(
            page="",
            owner_key=owner.key if owner != Owner() else self._grant,  # visitors without a token are not one owner
            session_hash=next(iter(stream_session_keys(request)), ""),
            channels=(event_channel(grant.session_id),),
            user_channel=user_channel(owner.user) if owner.user else "",
            sign_in=read_sign_in(request),
        )

    def on_open(self, grant: StreamGrant) -> None: ...

    def on_heartbeat(self, grant: StreamGrant) -> None: ...

    def on_close(self, grant: StreamGrant) -> None: ...

    @staticmethod
    def check(grants: Sequence[StreamGrant]) -> list[bool | None]:
        """A session of progress belongs to its owner: the grant holds as long as the sign-in."""
        return [visitor is not None for visitor in load_visitors([access.sign_in for access in grants])]


async def _subscribe_and_read(session_id: str) -> SessionEvent:
    """Note that somebody follows before reading: a change that this read misses is published."""
    try:
        await run_in_pool(_pool, partial(enable_event_channel, session_id))
        return await _read_event(session_id)
    except StoreUnavailable:
        raise StreamDenied(503) from None


async def _read_again(session_id: str, previous: SessionEvent) -> SessionEvent:
    """A new look, or the same one while the store is away."""
    try:
        return await _read_event(session_id)
    except StoreUnavailable:
        return previous


async def _wait_for_change(listener: StreamConnection, event: SessionEvent) -> bool:
    """Wait until there may be something to send; False when the stream is to end."""
    sleep = listener.wait()
    if sleep is not None:
        await asyncio.wait((sleep,), timeout=READ_INTERVAL if event.is_running else None)
    return not listener.is_ending


# Reads that have not begun, by session.
_pending_reads: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, "asyncio.Task[SessionEvent]"]] = (
    WeakKeyDictionary()
)


async def _read_event(session_id: str) -> SessionEvent:
    """The session as it is after this call began; streams that wait for the same session share a read."""
    loop = asyncio.get_running_loop()
    waiting = _pending_reads.setdefault(loop, {})
    task = waiting.get(session_id)
    if task is None:

        def call() -> SessionEvent:
            waiting.pop(session_id, None)  # a call of _read_event() that begins now needs another read
            return _load_event(session_id)

        task = waiting[session_id] = loop.create_task(run_in_pool(_pool, call))
    return await asyncio.shield(task)


def _load_event(session_id: str) -> SessionEvent:
    snapshot = progress_store().load(session_id)
    if snapshot is None:
        return SessionEvent()
    summary, serialized = summarize(snapshot), serialize_snapshot(snapshot)
    return SessionEvent(
        content=f"id: {summary.number}\ndata: {json.dumps(serialized)}\n\n".encode(),
        fingerprint=_fingerprint(serialized),
        number=summary.number,
        is_last=summary.is_ended,
        is_running=any(one.is_running or one is ProgressStatus.QUEUED for one in summary.statuses.values()),
    )


def _fingerprint(serialized: dict[str, Any]) -> str:
    times = ("elapsed", "eta", "rate")
    tasks = {
        task: {name: value for name, value in shown.items() if name not in times}
        for task, shown in serialized["tasks"].items()
    }
    return json.dumps({**serialized, "tasks": tasks})


GrantedView = Callable[[HttpRequest, ProgressSession, ProgressGrant], HttpResponseBase]
Endpoint = Callable[[HttpRequest, str], HttpResponseBase]


def _require_grant(view: GrantedView) -> Endpoint:
    """Call ``view`` with what the grant opens."""

    @login_not_required  # the grant says who may see it, API clients and visitors without a login among them
    @wraps(view)
    def endpoint(request: HttpRequest, grant: str) -> HttpResponseBase:
        try:
            unsigned = unsign_progress_grant(grant, request)
            session = ProgressSession.get(unsigned.session_id)
        except GrantError:
            raise Http404 from None
        except StoreUnavailable:
            return HttpResponse(status=503, headers={"Retry-After": str(RETRY_AFTER)})
        if session is None:
            raise Http404
        return view(request, session, unsigned)

    return endpoint


@login_not_required
@transaction.non_atomic_requests  # Django refuses atomic requests with an async view
@require_GET
@never_cache
async def progress(request: HttpRequest, grant: str) -> HttpResponseBase:
    """The session as the client asks for it; with ``live_asgi`` an event stream does not come here."""
    if isinstance(request, ASGIRequest) and _accepts_event_stream(request):
        return await stream_response(request, partial(stream_events, grant))
    return await sync_to_async(_progress)(request, grant)


@_require_grant
def _progress(request: HttpRequest, session: ProgressSession, grant: ProgressGrant) -> HttpResponseBase:
    if grant.may_control:
        raise Http404
    if _accepts_event_stream(request):
        event = single_event(session.session_id, request.headers.get("Last-Event-ID", ""))
        return HttpResponse(event, headers=STREAM_HEADERS) if event else HttpResponse(status=204)
    if request.headers.get("HX-Request") == "true":
        return HttpResponse(progress_card(session, request=request, redirect=grant.redirect))
    if wants_html(request):
        return _status_page(request, session, grant)
    return JsonResponse(
        session.to_dict(), headers={} if session._summary().is_ended else {"Retry-After": str(RETRY_AFTER)}
    )


@transaction.non_atomic_requests
@require_POST
@never_cache
@_require_grant
def cancel(request: HttpRequest, session: ProgressSession, grant: ProgressGrant) -> HttpResponseBase:
    """Cancel what has not ended."""
    _check_control(grant)
    session.cancel()
    return _action_response(request, session)


@transaction.non_atomic_requests
@require_POST
@never_cache
@_require_grant
def retry(request: HttpRequest, session: ProgressSession, grant: ProgressGrant) -> HttpResponseBase:
    """Start again what has failed."""
    _check_control(grant)
    session.retry()
    return _action_response(request, session)


def _check_control(grant: ProgressGrant) -> None:
    if not grant.may_control:
        raise Http404


def _action_response(request: HttpRequest, session: ProgressSession) -> HttpResponseBase:
    """What was done is published to every page that shows it, the asking one included."""
    if request.headers.get("HX-Request") == "true":
        return HttpResponse(status=204)
    if not wants_html(request):
        return JsonResponse(session.to_dict())
    referrer = request.headers.get("Referer", "")
    is_ours = url_has_allowed_host_and_scheme(referrer, {request.get_host()}, require_https=request.is_secure())
    response = HttpResponseRedirect(referrer if is_ours else status_url(session.header, get_owner(request)))
    response.status_code = 303
    return response


def _status_page(request: HttpRequest, session: ProgressSession, grant: ProgressGrant) -> HttpResponse:
    summary = session._summary()
    if grant.redirect and summary.status is ProgressStatus.COMPLETE and "done" not in request.GET:
        return HttpResponseRedirect(grant.redirect)
    card = progress_card(session, request=request, redirect=grant.redirect)
    context = {
        "card": card,
        "refresh": 0 if summary.is_ended else RETRY_AFTER,
        "title": ", ".join(list(session.header.names.values())[:3]),
    }
    return render(request, "htmx_live/progress_page.html", context)


def _accepts_event_stream(request: HttpRequest) -> bool:
    return "text/event-stream" in request.headers.get("Accept", "")
