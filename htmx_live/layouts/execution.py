"""Running panels: each ends in an ``Outcome``, whatever it does.

A panel is done, failed, or late (it took longer than its timeout).  Its failure, its ``CancelledError`` and its
hanging are its own: nothing here raises for them, and no other panel waits for it.  Only the cancelling of the page
itself (the browser went away) cancels the panels that still run.

The plan of a page: which panels run, how, and for how long they may.
"""

import asyncio
import time
from asyncio import CancelledError, Task, create_task
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, cast

from asgiref.sync import async_to_sync, sync_to_async
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest

from htmx_live.layouts.base import Layout, fresh_queues, url_of
from htmx_live.layouts.cache import CacheRule, cache_key, recall, remember
from htmx_live.layouts.conf import LayoutSettings, PanelError, PanelTimeout
from htmx_live.layouts.panels import ConditionalPanel, Panel, Part, call, html_of, needs_rendering, parts_of, rendered
from htmx_live.layouts.queues import items_of, with_nonce
from htmx_live.layouts.requests import LayoutRequest, can_stream, nonce_of, panel_request, settle
from htmx_live.layouts.threads import panel_threads

__all__ = [
    "Outcome",
    "Output",
    "PanelRun",
    "Way",
    "arun",
    "arun_all",
    "in_request_thread",
    "plan_panel",
    "run",
    "run_all",
]


Way = Literal["inline", "lazy", "stream"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelRun:
    """One panel of one page.  ``request`` is the page's, ``context`` its frozen layout context.

    ``way`` is how the panel gets to the page; ``url`` is where it can be had later, empty where it cannot.
    """

    name: str
    panel: Panel
    parts: tuple[Part, ...]
    layout: type[Layout]
    request: HttpRequest
    context: Mapping[str, Any]
    conf: LayoutSettings
    timeout: float | None
    way: Way = "inline"
    url: str = ""

    @property
    def is_async(self) -> bool:
        return any(part.is_async for part in self.parts)

    @property
    def is_known(self) -> bool:
        """Whether there is nothing to run."""
        return all(part.view is None for part in self.parts)

    @property
    def cache(self) -> CacheRule | None:
        return self.panel.cache if self.conf.CACHE_ENABLED else None

    @property
    def identity(self) -> tuple[str, ...]:
        """Which panel it is, for its cache key."""
        context = repr(sorted((self.panel.context or {}).items()))
        return (self.layout.layout_key, self.name, context, *(source.describe() for source in self.panel.sources))


def plan_panel(
    name: str,
    panel: Panel,
    *,
    layout: type[Layout],
    request: HttpRequest,
    context: Mapping[str, Any],
    conf: LayoutSettings,
) -> PanelRun:
    """How ``panel`` is run in its page.  A condition that does not hold leaves nothing to run.

    May block (conditions, the user's key).  ``ImproperlyConfigured`` for a lazy panel that nobody could find later.
    """
    timeout = conf.PANEL_TIMEOUT if panel.timeout is None else panel.timeout
    run = PanelRun(
        name=name, panel=panel, parts=(), layout=layout, request=request, context=context, conf=conf, timeout=timeout
    )
    if isinstance(panel, ConditionalPanel) and not panel.holds(context):
        return run
    way, url = _way(panel, request), ""
    if panel.comes_later:
        url = url_of(name, panel, layout=layout, request=request, context=context)
    if way == "lazy" and not url:
        raise ImproperlyConfigured(
            f"Panel {name!r} is loaded after its page, and could not be found again then. Declare it on the layout "
            f"{layout.layout_key}, in @layout(panels=…) of the page's view, or in LayoutMixin.layout_panels."
        )
    return replace(run, parts=parts_of(panel, getattr(request, "urlconf", None)), way=way, url=url)


def _way(panel: Panel, request: HttpRequest) -> Way:
    if panel.stream:
        return "stream" if can_stream(request) else "lazy"
    return "lazy" if panel.lazy else "inline"


R = TypeVar("R")

# Panels that were left: the loop itself holds its tasks weakly.
_left: set[Task[Any]] = set()


@dataclass(frozen=True, slots=True)
class Output:
    """A panel's HTML and what it queued, as (queue's name, item)."""

    html: str = ""
    items: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a panel ended.  ``started`` is on ``time.perf_counter``'s clock, ``seconds`` how long it took."""

    run: PanelRun
    output: Output = Output()
    error: PanelError | None = None
    started: float
    seconds: float

    @property
    def is_late(self) -> bool:
        return self.error is not None and isinstance(self.error.exception, PanelTimeout)


def run_all(runs: Iterable[PanelRun]) -> list[Outcome]:
    """One after the other, in the calling thread."""
    return [run(each) for each in runs]


async def arun_all(runs: Iterable[PanelRun]) -> list[Outcome]:
    """Side by side; the outcomes are in the order of ``runs``."""
    return await asyncio.gather(*(arun(each) for each in runs))


def run(run: PanelRun) -> Outcome:
    """One panel.  An async one, and one with a timeout of its own, runs as in ``arun``, and the thread waits."""
    if run.is_async or (run.panel.timeout is not None and not run.is_known):
        return async_to_sync(arun)(run)
    started = time.perf_counter()
    try:
        return _outcome(run, started, _output(run))
    except (Exception, CancelledError) as error:  # the panel's boundary
        return _outcome(run, started, error)


async def arun(run: PanelRun) -> Outcome:
    """See run()."""
    started = time.perf_counter()
    if run.is_known:
        return _outcome(run, started, _output(run))
    task = create_task(_aoutput(run), name=f"panel {run.name}")
    try:
        await asyncio.wait({task}, timeout=run.timeout)
    finally:
        if not task.done():
            _leave(task)
    return _outcome(run, started, _result(run, task))


async def in_thread(conf: LayoutSettings, function: Callable[..., R], /, *args: Any) -> R:
    """``function(*args)`` on a panel's thread: threads run side by side, each with its own database connections."""
    if conf.THREAD_SENSITIVE:
        return await sync_to_async(function, thread_sensitive=True)(*args)
    # asgiref asks for a ThreadPoolExecutor and uses what every Executor has.
    executor = cast(ThreadPoolExecutor, panel_threads())
    return await sync_to_async(function, thread_sensitive=False, executor=executor)(*args)


@dataclass(frozen=True, slots=True)
class _Start:
    """What is known before a panel's view is called: its request, its cache key, what the cache has."""

    request: LayoutRequest
    key: str | None
    stored: Output | None


async def in_request_thread(function: Callable[..., R], /, *args: Any) -> R:
    """``function(*args)`` on the request's own thread, where its view's database connection is."""
    return await sync_to_async(function, thread_sensitive=True)(*args)


def _output(run: PanelRun) -> Output:
    start = _begin(run)
    return start.stored or _end(run, start, [call(part, start.request) for part in run.parts])


async def _aoutput(run: PanelRun) -> Output:
    """See _output().  A panel without an async part is just that, on a thread."""
    if not run.is_async:
        return await in_thread(run.conf, _output, run)
    start = await _aside(run, _begin, run)
    if start.stored is not None:
        return start.stored
    texts = [await _acall(run, part, start.request) for part in run.parts]
    return await _aside(run, _end, run, start, texts)


async def _aside(run: PanelRun, function: Callable[..., R], *args: Any) -> R:
    """``function(*args)``, on a thread where there is a cache: it, and what it varies by, may block."""
    return function(*args) if run.cache is None else await in_thread(run.conf, function, *args)


async def _acall(run: PanelRun, part: Part, request: LayoutRequest) -> str:
    if not part.is_async or part.view is None:
        return await in_thread(run.conf, call, part, request)
    result = await part.view(request, *part.args, **part.kwargs)
    return html_of(await in_thread(run.conf, rendered, result) if needs_rendering(result) else result)


def _begin(run: PanelRun) -> _Start:
    request = panel_request(run.request, run.context, fresh_queues(run.layout))
    if run.cache is None or run.is_known:
        return _Start(request, None, None)
    vary = run.cache.vary(request)
    if vary is None:
        return _Start(request, None, None)
    key = cache_key(run.identity, vary)
    stored = recall(run.cache, key, run.conf.CACHE_BACKEND)
    return _Start(request, key, _replayed(run, *stored) if stored else None)


def _end(run: PanelRun, start: _Start, texts: list[str]) -> Output:
    """What the panel made, kept in the cache unless it holds a CSRF token: that belongs to one visitor."""
    output = Output(run.panel.join.join(texts), items_of(start.request.layout_queues))
    used_token = settle(run.request, start.request)
    if run.cache is not None and start.key is not None and not used_token:
        remember(run.cache, start.key, (output.html, output.items), run.conf.CACHE_BACKEND)
    return output


def _replayed(run: PanelRun, html: str, items: tuple[tuple[str, Any], ...]) -> Output:
    nonce = nonce_of(run.request) if any(getattr(item, "nonce", None) for _, item in items) else None
    return Output(html, tuple((name, with_nonce(item, nonce)) for name, item in items))


def _leave(task: Task[Any]) -> None:
    """Tell it to stop, and do not wait for it."""
    _left.add(task)
    task.add_done_callback(_forget)
    task.cancel()


def _forget(task: Task[Any]) -> None:
    _left.discard(task)
    if not task.cancelled():
        task.exception()  # looked at, or asyncio would log it: the page has long been told


def _result(run: PanelRun, task: Task[Output]) -> Output | BaseException:
    if not task.done():
        return PanelTimeout(run.name, run.timeout or 0)
    if task.cancelled():
        return CancelledError(f"Panel {run.name!r} cancelled itself.")
    return task.exception() or task.result()


def _outcome(run: PanelRun, started: float, result: Output | BaseException) -> Outcome:
    seconds = time.perf_counter() - started
    if isinstance(result, Output):
        return Outcome(run=run, output=result, started=started, seconds=seconds)
    error = PanelError.of(run.name, run.panel.declared_source(), result)
    return Outcome(run=run, error=error, started=started, seconds=seconds)
