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
    close_streams_of_browser,
    close_streams_of_user,
    request_of,
    sign_in_of,
    visitors,
)
from htmx_live.http.stream_connection import HEADERS, Body
from htmx_live.http.stream_hub import Access, Gate, Refusal, Refused, current_hub
from htmx_live.runtime.dispatch import look_after
from htmx_live.runtime.mounting import say_viewed
from htmx_live.runtime.owners import keep_owner, leave_visitor, owner_of, stream_words
from htmx_live.runtime.ownership import is_allowed, lets_in, opens_page
from htmx_live.runtime.processes import check_position
from htmx_live.runtime.services import parts
from htmx_live.runtime.turn_result import watch
from htmx_live.runtime.variants import shared_channels

__all__ = ["Access", "Gate", "Refusal", "StreamGate", "connect", "serve", "stream_response"]


Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_HEADERS = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]


async def serve(scope: Scope, receive: Receive, send: Send, *, body: Body) -> None:
    """Answer a GET with a stream, or with the status that refuses it."""
    task = asyncio.current_task()
    assert task is not None  # an ASGI application runs in a task
    _end_with_hypercorn(send)
    watch = asyncio.create_task(_until_gone(receive, task))
    try:
        await _respond(body(_headers(scope), cut=lambda: _cut(send, task)), send)
    except asyncio.CancelledError:
        if not watch.done():  # the server's doing, or _cut's; the client's leaving is no error
            raise
        task.uncancel()
    finally:
        watch.cancel()


async def _respond(body: AsyncGenerator[bytes, None], send: Send) -> None:
    async with aclosing(body):
        try:
            chunk = await anext(body)
        except Refused as refused:
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


async def _until_gone(receive: Receive, task: "asyncio.Task[Any]") -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    task.cancel()


def _cut(send: Send, task: "asyncio.Task[Any]") -> None:
    """End a stream whose client does not read: it hangs in ``send`` for as long as the connection lasts.

    uvicorn waits for its connections when it shuts down, and ``task.cancel()`` does not close one with data to send;
    its transport, found behind ``send``, does.  With other servers the task is cancelled, which is what they do too.
    """
    transport: Any = getattr(getattr(send, "__self__", None), "transport", None)
    if hasattr(transport, "abort"):
        transport.abort()
    else:
        task.cancel()


def _end_with_hypercorn(send: Send) -> None:
    """Close the hub when hypercorn shuts down.

    Its workers get no signal, and it ends the lifespan only after it has waited for open responses.  The event that it
    sets at once is found behind ``send``.
    """
    context: Any = getattr(getattr(send, "__self__", None), "context", None)
    terminated: Any = getattr(context, "terminated", None)
    if hasattr(terminated, "wait"):
        current_hub().close_after(terminated.wait)


def _headers(scope: Scope) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name in headers:  # as HTTP/2 may split cookies; RFC 9113, 8.2.3
            value = headers[name] + ("; " if name == "cookie" else ", ") + value
        headers[name] = value
    return headers


async def stream_response(request: HttpRequest, body: Body) -> HttpResponseBase:
    """The stream as a Django response; 204 under WSGI, where pages poll instead."""
    if request.method != "GET":
        return HttpResponseNotAllowed(["GET"])
    if not isinstance(request, ASGIRequest):
        return HttpResponse(status=204)
    task = asyncio.current_task()
    assert task is not None  # an ASGI request is handled in a task
    headers: Mapping[str, str] = {name.lower(): value for name, value in request.headers.items()}
    chunks = body(headers, cut=lambda: _cancel(task))
    try:
        first = await anext(chunks)
    except Refused as refused:
        return HttpResponse(status=refused.status)
    return StreamingHttpResponse(_resumed(first, chunks), headers=HEADERS)


def _cancel(task: "asyncio.Task[Any]") -> None:
    task.cancel()


async def _resumed(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    async with aclosing(rest):
        yield first
        async for chunk in rest:
            yield chunk


logger = logging.getLogger("htmx_live.http.endpoints")

_GRACE = 10.0  # seconds that a page whose stream has ended still counts as present: it reconnects, or is reloaded

_lock = Lock()
_open: Counter[str] = Counter()  # streams of this process, by page


class StreamGate:
    """See ``htmx_live.http.stream_endpoint.Gate``."""

    def open(self, headers: Mapping[str, str]) -> Access | Refusal:
        try:
            grant = unsign_page(headers.get("x-live-page", ""), max_age=settings().GRANT_MAX_AGE)
        except GrantError as error:
            return Refusal(status=401 if error.expired else 404)
        request = request_of(headers)
        owner = owner_of(request)
        if not opens_page(grant, request):
            return Refusal(status=404)
        if not is_allowed(grant.page, request):
            return Refusal(status=403)
        try:
            check_position(headers.get("last-event-id", ""))
        except StoreNotShared as error:
            return Refusal(status=error.status)
        channels = [page_channel(grant.page), *shared_channels(grant.page)]
        if owner.user:
            channels.append(user_channel(owner.user))
        return Access(
            page=grant.page,
            owner=owner.key if owner != Owner() else grant.page,  # visitors without a token are not one owner
            session=next(iter(stream_words(request)), ""),
            channels=tuple(channels),
            user=user_channel(owner.user) if owner.user else "",
            sign_in=sign_in_of(request),
        )

    def opened(self, access: Access) -> None:
        parts().watcher.start()
        with _lock:
            _open[access.page] += 1
        self.renewed(access)

    def renewed(self, access: Access) -> None:
        """The page is there; what was held back because it seemed to be away is made good."""
        store = parts().store
        store.show(access.page, present=3 * settings().HEARTBEAT, kept=0)
        for instance in store.members(access.page):
            loaded = store.load(instance)
            if loaded is not None:
                watch(loaded.record)
                say_viewed(loaded.record, access.page)
                if loaded.mail:
                    look_after(instance)

    @staticmethod
    def check(accesses: Sequence[Access]) -> list[bool | None]:
        found = visitors([access.sign_in for access in accesses])
        return [
            visitor is not None and _may_see(access, visitor) for access, visitor in zip(accesses, found, strict=True)
        ]

    def closed(self, access: Access) -> None:
        with _lock:
            _open[access.page] -= 1
            if _open[access.page]:
                return  # it has connected anew before its old connection was found dead
            del _open[access.page]
        parts().store.show(access.page, present=_GRACE, kept=0)


def _may_see(access: Access, visitor: Visitor) -> bool | None:
    """Whether every view on a page still lets its visitor in; None when its database cannot tell now."""
    try:
        store = parts().store
        loaded = [store.load(instance) for instance in store.members(access.page)]
        records = [one.record for one in loaded if one is not None]
        return all(_lets_in(one, visitor) for one in records if one.owner.user in ("", access.sign_in.user))
    except StoreUnavailable:
        raise
    except DatabaseError:
        return None
    except Exception:  # a boundary: has_permission() is the project's code, and other streams wait for their check
        logger.exception("A permission of page %s could not be checked; its stream ends", access.page)
        return False


def _lets_in(record: Record, visitor: Visitor) -> bool:
    """The view's answer, asked once for a visitor, view and arguments."""
    question = (record.view, json.dumps(record.kwargs, sort_keys=True))
    if question not in visitor.answers:
        visitor.answers[question] = lets_in(record, visitor.request)
    return visitor.answers[question]


_RIGHTS = {"password", "is_active", "is_staff", "is_superuser"}  # fields of a user


def connect() -> None:
    """Listen for as long as the process lives."""
    user_logged_in.connect(_logged_in, dispatch_uid="htmx_live")
    user_logged_out.connect(_logged_out, dispatch_uid="htmx_live")
    if not apps.is_installed("django.contrib.auth"):
        return
    model = get_user_model()
    post_save.connect(_user_saved, sender=model, dispatch_uid="htmx_live")
    post_delete.connect(_user_deleted, sender=model, dispatch_uid="htmx_live")
    for name in ("groups", "user_permissions"):
        if relation := getattr(model, name, None):
            m2m_changed.connect(_rights_changed, sender=relation.through, dispatch_uid="htmx_live")


def _logged_in(request: HttpRequest | None = None, **kwargs: Any) -> None:
    if request is not None:
        close_streams_of_browser(request)
        keep_owner(request)


def _logged_out(request: HttpRequest | None = None, **kwargs: Any) -> None:
    if request is not None:
        close_streams_of_browser(request)
        leave_visitor(request)


def _user_saved(instance: Any, created: bool, update_fields: Collection[str] | None, **kwargs: Any) -> None:
    """End the streams of a user who was deactivated, or whose password or rights were saved."""
    # AbstractBaseUser keeps a password that set_password() was given until the user has been saved.
    is_new_password = getattr(instance, "_password", None) is not None
    is_named = not _RIGHTS.isdisjoint(update_fields or ())
    if not created and (is_new_password or is_named or not getattr(instance, "is_active", True)):
        close_streams_of_user(instance.pk)


def _user_deleted(instance: Any, **kwargs: Any) -> None:
    close_streams_of_user(instance.pk)


def _rights_changed(instance: Any, action: str, reverse: bool, pk_set: set[Any] | None, **kwargs: Any) -> None:
    """End the streams of users who lost a group or a permission of their own."""
    if action in ("post_remove", "post_clear"):
        for pk in (pk_set or ()) if reverse else (instance.pk,):
            close_streams_of_user(pk)
