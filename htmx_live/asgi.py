"""``live_asgi``: the project's ASGI application, with streams that do not pass through Django's handler.

    application = live_asgi(get_asgi_application())

It answers GETs that ask for ``text/event-stream``, of a page's stream or of a session of progress, answers
``lifespan``, on which Django raises, and ends all streams when the server is told to stop: a server waits for open
responses before it goes.  It lets no more than ``MAX_REQUESTS`` events and syncs through at a time.
"""

import asyncio
import signal
import sys
from collections.abc import AsyncGenerator, Callable, MutableMapping
from functools import cache, partial
from types import FrameType
from typing import Any

from django.core.handlers.asgi import get_script_prefix
from django.urls import Resolver404, ResolverMatch, resolve

from htmx_live.backends.siblings import unregister_process
from htmx_live.core.concurrency import request_priority
from htmx_live.http.capacity import Application, limit_requests
from htmx_live.http.stream_connection import StreamBody, generate_stream
from htmx_live.http.stream_endpoint import Receive, Scope, Send, serve_stream
from htmx_live.http.stream_hub import Hub, StreamAuthorizer, current_hub
from htmx_live.runtime.processes import announce_process

__all__ = ["live_asgi"]


def live_asgi(app: Application, *, authorizer: StreamAuthorizer | None = None) -> Application:
    """``app`` with streams.  ``gate`` decides who may have a page's; by default the package's own."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _Lifespan(app, scope).run(receive, send)
        elif (stream_body := _stream_body(scope, authorizer)) is not None:
            _end_streams_on_signals()  # for servers without lifespan
            await serve_stream(scope, receive, send, body=stream_body)
        else:
            with request_priority.track_request():
                if _is_event_or_sync(scope):
                    await limit_requests(app, scope, receive, send)
                else:
                    await app(scope, receive, send)

    return application


@cache
def _default_authorizer() -> StreamAuthorizer:
    # Looked up at the first stream: the gate needs models, and this module is imported before apps are ready.
    from htmx_live.http.stream_endpoint import PageStreamAuthorizer

    return PageStreamAuthorizer()


def _stream_body(scope: Scope, authorizer: StreamAuthorizer | None) -> StreamBody | None:
    """What makes the stream that is asked for; None if none is."""
    if scope["type"] != "http" or scope["method"] != "GET":
        return None
    if not any(name == b"accept" and b"text/event-stream" in value for name, value in scope["headers"]):
        return None
    match = _resolve_endpoint(scope)
    if match is None:
        return None
    if match.url_name == "stream":
        return partial(generate_stream, authorizer or _default_authorizer())
    return partial(_progress_stream_body(), match.kwargs["grant"]) if match.url_name == "progress" else None


def _is_event_or_sync(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "POST":
        return False
    match = _resolve_endpoint(scope)
    return match is not None and match.url_name in ("event", "sync")


def _resolve_endpoint(scope: Scope) -> ResolverMatch | None:
    """What the request's path leads to, if that is one of the package's endpoints."""
    try:
        match = resolve(scope["path"].removeprefix(get_script_prefix(scope)) or "/")
    except Resolver404:
        return None
    return match if match.app_names[-1:] == ["htmx_live"] else None


@cache
def _progress_stream_body() -> Callable[..., AsyncGenerator[bytes, None]]:
    from htmx_live.progress.views import stream_events

    return stream_events


def _end_streams_on_signals() -> None:
    """Put a handler that ends this loop's streams before the server's own; once, and only in the main thread."""
    hub = current_hub()
    for number in _shutdown_signals():
        previous_handler = signal.getsignal(number)
        if not callable(previous_handler) or previous_handler is signal.default_int_handler:
            continue  # no server shuts down gracefully here
        if getattr(previous_handler, "hub", None) is not hub:
            handler = _shutdown_handler(hub, previous_handler)
            try:
                signal.signal(number, handler)
            except ValueError:  # not the main thread, and no signals here
                return


def _shutdown_signals() -> list[signal.Signals]:
    """The signals that stop the server; at SIGINT gunicorn's main process sends SIGQUIT to its workers."""
    is_gunicorn = "gunicorn.arbiter" in sys.modules
    return [signal.SIGTERM, signal.SIGINT, *([signal.SIGQUIT] if is_gunicorn else [])]


def _shutdown_handler(hub: Hub, previous_handler: Callable[..., Any]) -> Callable[[int, FrameType | None], None]:
    """A signal handler that ends the hub's streams and goes on to the one that was there ``before``."""

    def handler(number: int, frame: FrameType | None) -> None:
        unregister_process()
        if not hub.loop.is_closed():
            hub.loop.call_soon_threadsafe(hub.close)
        previous_handler(number, frame)
        if number not in (signal.SIGTERM, signal.SIGINT):
            signal.raise_signal(signal.SIGTERM)  # uvicorn's worker for gunicorn notes SIGQUIT and serves on

    handler.hub = hub  # type: ignore[attr-defined]
    return handler


class _Lifespan:
    """The server's lifespan conversation, held with the application too if that can have one.

    An application that raises before it has answered the start-up has no lifespan (ASGI, "Lifespan Protocol").
    """

    def __init__(self, app: Application, scope: Scope) -> None:
        self._to_app: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        self._from_app: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        self._app = asyncio.ensure_future(app(scope, self._to_app.get, self._from_app.put))

    async def run(self, receive: Receive, send: Send) -> None:
        try:
            reply = await self._exchange_with_app(await receive())
            if not reply["type"].endswith(".failed"):
                _end_streams_on_signals()
                announce_process()
            await send(reply)
            shutdown_message = await receive()
            unregister_process()
            current_hub().close()
            await send(await self._exchange_with_app(shutdown_message))
        finally:
            self._app.cancel()
            await asyncio.gather(self._app, return_exceptions=True)

    async def _exchange_with_app(self, message: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        self._to_app.put_nowait(message)
        reply = asyncio.ensure_future(self._from_app.get())
        await asyncio.wait((reply, self._app), return_when=asyncio.FIRST_COMPLETED)
        if reply.done() or not self._from_app.empty():
            return await reply
        reply.cancel()
        return {"type": f"{message['type']}.complete"}
