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

from htmx_live.backends.siblings import withdraw
from htmx_live.core.concurrency import courtesy
from htmx_live.http.capacity import Application, limit_requests
from htmx_live.http.stream_connection import Body, stream
from htmx_live.http.stream_endpoint import Receive, Scope, Send, serve
from htmx_live.http.stream_hub import Gate, Hub, current_hub
from htmx_live.runtime.processes import announce

__all__ = ["live_asgi"]


def live_asgi(app: Application, *, gate: Gate | None = None) -> Application:
    """``app`` with streams.  ``gate`` decides who may have a page's; by default the package's own."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _Lifespan(app, scope).run(receive, send)
        elif (body := _body(scope, gate)) is not None:
            _end_streams_on_signals()  # for servers without lifespan
            await serve(scope, receive, send, body=body)
        else:
            with courtesy.request():
                if _is_event_or_sync(scope):
                    await limit_requests(app, scope, receive, send)
                else:
                    await app(scope, receive, send)

    return application


@cache
def _default_gate() -> Gate:
    # Looked up at the first stream: the gate needs models, and this module is imported before apps are ready.
    from htmx_live.http.stream_endpoint import StreamGate

    return StreamGate()


def _body(scope: Scope, gate: Gate | None) -> Body | None:
    """What makes the stream that is asked for; None if none is."""
    if scope["type"] != "http" or scope["method"] != "GET":
        return None
    if not any(name == b"accept" and b"text/event-stream" in value for name, value in scope["headers"]):
        return None
    match = _resolve(scope)
    if match is None:
        return None
    if match.url_name == "stream":
        return partial(stream, gate or _default_gate())
    return partial(_progress_body(), match.kwargs["grant"]) if match.url_name == "progress" else None


def _is_event_or_sync(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "POST":
        return False
    match = _resolve(scope)
    return match is not None and match.url_name in ("event", "sync")


def _resolve(scope: Scope) -> ResolverMatch | None:
    """What the request's path leads to, if that is one of the package's endpoints."""
    try:
        match = resolve(scope["path"].removeprefix(get_script_prefix(scope)) or "/")
    except Resolver404:
        return None
    return match if match.app_names[-1:] == ["htmx_live"] else None


@cache
def _progress_body() -> Callable[..., AsyncGenerator[bytes, None]]:
    from htmx_live.progress.views import events

    return events


def _end_streams_on_signals() -> None:
    """Put a handler that ends this loop's streams before the server's own; once, and only in the main thread."""
    hub = current_hub()
    for number in _signals_of_server():
        before = signal.getsignal(number)
        if not callable(before) or before is signal.default_int_handler:
            continue  # no server shuts down gracefully here
        if getattr(before, "hub", None) is not hub:
            handler = _ending(hub, before)
            try:
                signal.signal(number, handler)
            except ValueError:  # not the main thread, and no signals here
                return


def _signals_of_server() -> list[signal.Signals]:
    """The signals that stop the server; at SIGINT gunicorn's main process sends SIGQUIT to its workers."""
    is_gunicorn = "gunicorn.arbiter" in sys.modules
    return [signal.SIGTERM, signal.SIGINT, *([signal.SIGQUIT] if is_gunicorn else [])]


def _ending(hub: Hub, before: Callable[..., Any]) -> Callable[[int, FrameType | None], None]:
    """A signal handler that ends the hub's streams and goes on to the one that was there ``before``."""

    def handler(number: int, frame: FrameType | None) -> None:
        withdraw()
        if not hub.loop.is_closed():
            hub.loop.call_soon_threadsafe(hub.close)
        before(number, frame)
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
            answer = await self._answer_of_app(await receive())
            if not answer["type"].endswith(".failed"):
                _end_streams_on_signals()
                announce()
            await send(answer)
            ending = await receive()
            withdraw()
            current_hub().close()
            await send(await self._answer_of_app(ending))
        finally:
            self._app.cancel()
            await asyncio.gather(self._app, return_exceptions=True)

    async def _answer_of_app(self, message: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        self._to_app.put_nowait(message)
        answer = asyncio.ensure_future(self._from_app.get())
        await asyncio.wait((answer, self._app), return_when=asyncio.FIRST_COMPLETED)
        if answer.done() or not self._from_app.empty():
            return await answer
        answer.cancel()
        return {"type": f"{message['type']}.complete"}
