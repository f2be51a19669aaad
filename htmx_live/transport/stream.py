"""The endpoint of streams, twice: raw ASGI, and a Django view for where that is not installed.

Raw, a stream costs no thread, no middleware and no database connection.  The view gives the same body, but Django's
handler keeps a thread per request as long as it lasts.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import aclosing
from typing import Any

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, StreamingHttpResponse
from django.http.response import HttpResponseBase

from htmx_live.transport.access import Access, Gate, Refusal, Refused
from htmx_live.transport.body import HEADERS, Body
from htmx_live.transport.hub import current_hub

__all__ = ["Access", "Gate", "Refusal", "serve", "stream_response"]

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
