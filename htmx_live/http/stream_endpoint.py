"""The endpoint of streams, twice: raw ASGI, and a Django view for where that is not installed.

Raw, a stream costs no thread, no middleware and no database connection.  The view gives the same body, but Django's
handler keeps a thread per request as long as it lasts.

``StreamGate``: who may open a page's stream, and what it carries.

Signals of Django: a login makes its session's token; logging in and out and changes of a user end streams.

A login or logout comes with the request's old cookies, by which the streams are known.  What no signal tells (an update
of many users, a group's permissions) is found by the check that each open stream gets before a heartbeat has passed.
The deletion of sessions is left to that check on purpose: with a receiver for it, ``clearsessions`` would have to load
every session that it deletes.
"""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Mapping,
    MutableMapping,
    Sequence,
)
from contextlib import aclosing
from threading import Lock
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.core.handlers.asgi import ASGIRequest
from django.db import Error as DatabaseError
from django.db.models.signals import m2m_changed, post_delete, post_save
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, StreamingHttpResponse
from django.http.response import HttpResponseBase

from htmx_live.backends.wire import page_channel, user_channel
from htmx_live.core.conf import settings
from htmx_live.core.exceptions import GrantError, StoreNotShared, StoreUnavailable
from htmx_live.core.records import Owner, Record
from htmx_live.core.signing import unsign_page
from htmx_live.http.sessions import (
    Visitor,
    build_request,
    close_streams_of_browser,
    close_streams_of_user,
    load_visitors,
    read_sign_in,
)
from htmx_live.http.stream_connection import STREAM_HEADERS, StreamBody
from htmx_live.http.stream_hub import Denial, StreamAuthorizer, StreamDenied, StreamGrant, current_hub
from htmx_live.runtime.dispatch import schedule_turn
from htmx_live.runtime.mounting import notify_viewed
from htmx_live.runtime.owners import forget_visitor, get_owner, stream_session_keys, transfer_owner_to_session
from htmx_live.runtime.ownership import can_join, has_page_permission, has_view_permission
from htmx_live.runtime.processes import check_position
from htmx_live.runtime.services import services
from htmx_live.runtime.turn_result import start_ticking
from htmx_live.runtime.variants import subscribed_channels

__all__ = [
    "Denial",
    "PageStreamAuthorizer",
    "StreamAuthorizer",
    "StreamGrant",
    "connect_auth_signals",
    "serve_stream",
    "stream_response",
]


Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_HEADERS = [(name.lower().encode(), value.encode()) for name, value in STREAM_HEADERS.items()]


async def serve_stream(scope: Scope, receive: Receive, send: Send, *, body: StreamBody) -> None:
    """Answer a GET with a stream, or with the status that refuses it."""
    task = asyncio.current_task()
    assert task is not None  # an ASGI application runs in a task
    _close_hub_with_hypercorn(send)
    disconnect_task = asyncio.create_task(_cancel_on_disconnect(receive, task))
    try:
        await _send_stream(body(_decode_headers(scope), abort=lambda: _abort(send, task)), send)
    except asyncio.CancelledError:
        if not disconnect_task.done():  # the server's doing, or _cut's; the client's leaving is no error
            raise
        task.uncancel()
    finally:
        disconnect_task.cancel()


async def _send_stream(body: AsyncGenerator[bytes, None], send: Send) -> None:
    async with aclosing(body):
        try:
            chunk = await anext(body)
        except StreamDenied as refused:
            headers = [] if refused.status == 204 else [(b"content-length", b"0")]  # RFC 9110, 8.6
            await send({"type": "http.response.start", "status": refused.status, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
        del chunk  # a stream sleeps for long; what it has sent shall not stay in memory with it
        async for chunk in body:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            del chunk
        await send({"type": "http.response.body", "body": b""})


async def _cancel_on_disconnect(receive: Receive, task: "asyncio.Task[Any]") -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    task.cancel()


def _abort(send: Send, task: "asyncio.Task[Any]") -> None:
    """End a stream whose client does not read: it hangs in ``send`` for as long as the connection lasts.

    uvicorn waits for its connections when it shuts down, and ``task.cancel()`` does not close one with data to send;
    its transport, found behind ``send``, does.  With other servers the task is cancelled, which is what they do too.
    """
    transport: Any = getattr(getattr(send, "__self__", None), "transport", None)
    if hasattr(transport, "abort"):
        transport.abort()
    else:
        task.cancel()


def _close_hub_with_hypercorn(send: Send) -> None:
    """Close the hub when hypercorn shuts down.

    Its workers get no signal, and it ends the lifespan only after it has waited for open responses.  The event that it
    sets at once is found behind ``send``.
    """
    context: Any = getattr(getattr(send, "__self__", None), "context", None)
    terminated: Any = getattr(context, "terminated", None)
    if hasattr(terminated, "wait"):
        current_hub().close_after(terminated.wait)


def _decode_headers(scope: Scope) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name in headers:  # as HTTP/2 may split cookies; RFC 9113, 8.2.3
            value = headers[name] + ("; " if name == "cookie" else ", ") + value
        headers[name] = value
    return headers


async def stream_response(request: HttpRequest, body: StreamBody) -> HttpResponseBase:
    """The stream as a Django response; 204 under WSGI, where pages poll instead."""
    if request.method != "GET":
        return HttpResponseNotAllowed(["GET"])
    if not isinstance(request, ASGIRequest):
        return HttpResponse(status=204)
    task = asyncio.current_task()
    assert task is not None  # an ASGI request is handled in a task
    headers: Mapping[str, str] = {name.lower(): value for name, value in request.headers.items()}
    chunks = body(headers, abort=lambda: _cancel(task))
    try:
        first = await anext(chunks)
    except StreamDenied as refused:
        return HttpResponse(status=refused.status)
    return StreamingHttpResponse(_with_first_chunk(first, chunks), headers=STREAM_HEADERS)


def _cancel(task: "asyncio.Task[Any]") -> None:
    task.cancel()


async def _with_first_chunk(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    async with aclosing(rest):
        yield first
        async for chunk in rest:
            yield chunk


logger = logging.getLogger("htmx_live.http")

_RECONNECT_GRACE = (
    10.0  # seconds that a page whose stream has ended still counts as present: it reconnects, or is reloaded
)

_lock = Lock()
_open_streams: Counter[str] = Counter()  # streams of this process, by page


class PageStreamAuthorizer:
    """See ``htmx_live.http.stream_hub.StreamAuthorizer``."""

    def authorize(self, headers: Mapping[str, str]) -> StreamGrant | Denial:
        try:
            grant = unsign_page(headers.get("x-live-page", ""), max_age=settings().GRANT_MAX_AGE)
        except GrantError as error:
            return Denial(status=401 if error.expired else 404)
        request = build_request(headers)
        owner = get_owner(request)
        if not can_join(grant, request):
            return Denial(status=404)
        if not has_page_permission(grant.page, request):
            return Denial(status=403)
        try:
            check_position(headers.get("last-event-id", ""))
        except StoreNotShared as error:
            return Denial(status=error.status)
        channels = [page_channel(grant.page), *subscribed_channels(grant.page)]
        if owner.user:
            channels.append(user_channel(owner.user))
        return StreamGrant(
            page=grant.page,
            owner_key=owner.key if owner != Owner() else grant.page,  # visitors without a token are not one owner
            session_hash=next(iter(stream_session_keys(request)), ""),
            channels=tuple(channels),
            user_channel=user_channel(owner.user) if owner.user else "",
            sign_in=read_sign_in(request),
        )

    def on_open(self, grant: StreamGrant) -> None:
        services().deadline_monitor.start()
        with _lock:
            _open_streams[grant.page] += 1
        self.on_heartbeat(grant)

    def on_heartbeat(self, grant: StreamGrant) -> None:
        """The page is there; what was held back because it seemed to be away is made good."""
        store = services().store
        store.touch_page(grant.page, present_for=3 * settings().HEARTBEAT, retain_for=0)
        for instance in store.instances_on(grant.page):
            loaded = store.load(instance)
            if loaded is not None:
                start_ticking(loaded.record)
                notify_viewed(loaded.record, grant.page)
                if loaded.messages:
                    schedule_turn(instance)

    @staticmethod
    def check(grants: Sequence[StreamGrant]) -> list[bool | None]:
        found = load_visitors([access.sign_in for access in grants])
        return [
            visitor is not None and _may_go_on(access, visitor) for access, visitor in zip(grants, found, strict=True)
        ]

    def on_close(self, grant: StreamGrant) -> None:
        with _lock:
            _open_streams[grant.page] -= 1
            if _open_streams[grant.page]:
                return  # it has connected anew before its old connection was found dead
            del _open_streams[grant.page]
        services().store.touch_page(grant.page, present_for=_RECONNECT_GRACE, retain_for=0)


def _may_go_on(grant: StreamGrant, visitor: Visitor) -> bool | None:
    """Whether every view on a page still lets its visitor in; None when its database cannot tell now."""
    try:
        store = services().store
        loaded = [store.load(instance) for instance in store.instances_on(grant.page)]
        records = [one.record for one in loaded if one is not None]
        return all(_has_permission(one, visitor) for one in records if one.owner.user in ("", grant.sign_in.user))
    except StoreUnavailable:
        raise
    except DatabaseError:
        return None
    except Exception:  # a boundary: has_permission() is the project's code, and other streams wait for their check
        logger.exception("A permission of page %s could not be checked; its stream ends", grant.page)
        return False


def _has_permission(record: Record, visitor: Visitor) -> bool:
    """The view's answer, asked once for a visitor, view and arguments."""
    cache_key = (record.view, json.dumps(record.kwargs, sort_keys=True))
    if cache_key not in visitor.permission_cache:
        visitor.permission_cache[cache_key] = has_view_permission(record, visitor.request)
    return visitor.permission_cache[cache_key]


_PERMISSION_FIELDS = {"password", "is_active", "is_staff", "is_superuser"}  # fields of a user


def connect_auth_signals() -> None:
    """Listen for as long as the process lives."""
    user_logged_in.connect(_on_login, dispatch_uid="htmx_live")
    user_logged_out.connect(_on_logout, dispatch_uid="htmx_live")
    if not apps.is_installed("django.contrib.auth"):
        return
    model = get_user_model()
    post_save.connect(_on_user_saved, sender=model, dispatch_uid="htmx_live")
    post_delete.connect(_on_user_deleted, sender=model, dispatch_uid="htmx_live")
    for name in ("groups", "user_permissions"):
        if relation := getattr(model, name, None):
            m2m_changed.connect(_on_permissions_changed, sender=relation.through, dispatch_uid="htmx_live")


def _on_login(request: HttpRequest | None = None, **kwargs: Any) -> None:
    if request is not None:
        close_streams_of_browser(request)
        transfer_owner_to_session(request)


def _on_logout(request: HttpRequest | None = None, **kwargs: Any) -> None:
    if request is not None:
        close_streams_of_browser(request)
        forget_visitor(request)


def _on_user_saved(instance: Any, created: bool, update_fields: Collection[str] | None, **kwargs: Any) -> None:
    """End the streams of a user who was deactivated, or whose password or rights were saved."""
    # AbstractBaseUser keeps a password that set_password() was given until the user has been saved.
    is_new_password = getattr(instance, "_password", None) is not None
    is_named = not _PERMISSION_FIELDS.isdisjoint(update_fields or ())
    if not created and (is_new_password or is_named or not getattr(instance, "is_active", True)):
        close_streams_of_user(instance.pk)


def _on_user_deleted(instance: Any, **kwargs: Any) -> None:
    close_streams_of_user(instance.pk)


def _on_permissions_changed(instance: Any, action: str, reverse: bool, pk_set: set[Any] | None, **kwargs: Any) -> None:
    """End the streams of users who lost a group or a permission of their own."""
    if action in ("post_remove", "post_clear"):
        for pk in (pk_set or ()) if reverse else (instance.pk,):
            close_streams_of_user(pk)
