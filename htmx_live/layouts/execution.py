"""Running panels: each ends in a ``PanelOutcome``, whatever it does.

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

from htmx_live.layouts.base import Layout, create_queues, get_panel_url
from htmx_live.layouts.cache import CacheRule, build_cache_key, cache_get, cache_set
from htmx_live.layouts.conf import LayoutSettings, PanelError, PanelTimeout
from htmx_live.layouts.panels import (
    ConditionalPanel,
    Panel,
    Part,
    call_part,
    ensure_rendered,
    needs_rendering,
    resolve_parts,
    to_html,
)
from htmx_live.layouts.queues import get_queued_items, with_nonce
from htmx_live.layouts.requests import LayoutRequest, build_panel_request, can_stream, copy_csrf_token, get_csp_nonce
from htmx_live.layouts.threads import get_panel_threads

__all__ = [
    "Delivery",
    "PanelOutcome",
    "PanelOutput",
    "PanelRun",
    "arun_panel",
    "arun_panels",
    "plan_panel",
    "run_in_request_thread",
    "run_panel",
    "run_panels",
]


Delivery = Literal["inline", "lazy", "stream"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelRun:
    """One panel of one page.  ``request`` is the page's, ``context`` its frozen layout context.

    ``delivery`` is how the panel gets to the page; ``url`` is where it can be had later, empty where it cannot.
    """

    name: str
    panel: Panel
    parts: tuple[Part, ...]
    layout: type[Layout]
    request: HttpRequest
    context: Mapping[str, Any]
    conf: LayoutSettings
    timeout: float | None
    delivery: Delivery = "inline"
    url: str = ""

    @property
    def is_async(self) -> bool:
        return any(part.is_async for part in self.parts)

    @property
    def is_static(self) -> bool:
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
    if isinstance(panel, ConditionalPanel) and not panel.is_condition_met(context):
        return run
    delivery, url = _choose_delivery(panel, request), ""
    if panel.is_deferred:
        url = get_panel_url(name, panel, layout=layout, request=request, context=context)
    if delivery == "lazy" and not url:
        raise ImproperlyConfigured(
            f"Panel {name!r} is loaded after its page, and could not be found again then. Declare it on the layout "
            f"{layout.layout_key}, in @layout(panels=…) of the page's view, or in LayoutMixin.layout_panels."
        )
    return replace(run, parts=resolve_parts(panel, getattr(request, "urlconf", None)), delivery=delivery, url=url)


def _choose_delivery(panel: Panel, request: HttpRequest) -> Delivery:
    if panel.stream:
        return "stream" if can_stream(request) else "lazy"
    return "lazy" if panel.lazy else "inline"


R = TypeVar("R")

# Panels that were left: the loop itself holds its tasks weakly.
_abandoned: set[Task[Any]] = set()


@dataclass(frozen=True, slots=True)
class PanelOutput:
    """A panel's HTML and what it queued, as (queue's name, item)."""

    html: str = ""
    items: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelOutcome:
    """How a panel ended.  ``started`` is on ``time.perf_counter``'s clock, ``seconds`` how long it took."""

    run: PanelRun
    output: PanelOutput = PanelOutput()
    error: PanelError | None = None
    started: float
    seconds: float

    @property
    def is_timed_out(self) -> bool:
        return self.error is not None and isinstance(self.error.exception, PanelTimeout)


def run_panels(runs: Iterable[PanelRun]) -> list[PanelOutcome]:
    """One after the other, in the calling thread."""
    return [run_panel(each) for each in runs]


async def arun_panels(runs: Iterable[PanelRun]) -> list[PanelOutcome]:
    """Side by side; the outcomes are in the order of ``runs``."""
    return await asyncio.gather(*(arun_panel(each) for each in runs))


def run_panel(run: PanelRun) -> PanelOutcome:
    """One panel.  An async one, and one with a timeout of its own, runs as in ``arun_panel``, and the thread waits."""
    if run.is_async or (run.panel.timeout is not None and not run.is_static):
        return async_to_sync(arun_panel)(run)
    started = time.perf_counter()
    try:
        return _build_outcome(run, started, _produce(run))
    except (Exception, CancelledError) as error:  # the panel's boundary
        return _build_outcome(run, started, error)


async def arun_panel(run: PanelRun) -> PanelOutcome:
    """See run_panel()."""
    started = time.perf_counter()
    if run.is_static:
        return _build_outcome(run, started, _produce(run))
    task = create_task(_aproduce(run), name=f"panel {run.name}")
    try:
        await asyncio.wait({task}, timeout=run.timeout)
    finally:
        if not task.done():
            _abandon(task)
    return _build_outcome(run, started, _task_result(run, task))


async def run_in_panel_thread(conf: LayoutSettings, function: Callable[..., R], /, *args: Any) -> R:
    """``function(*args)`` on a panel's thread: threads run side by side, each with its own database connections."""
    if conf.THREAD_SENSITIVE:
        return await sync_to_async(function, thread_sensitive=True)(*args)
    # asgiref asks for a ThreadPoolExecutor and uses what every Executor has.
    executor = cast(ThreadPoolExecutor, get_panel_threads())
    return await sync_to_async(function, thread_sensitive=False, executor=executor)(*args)


@dataclass(frozen=True, slots=True)
class _PreparedRun:
    """What is known before a panel's view is called: its request, its cache key, what the cache has."""

    request: LayoutRequest
    key: str | None
    stored: PanelOutput | None


async def run_in_request_thread(function: Callable[..., R], /, *args: Any) -> R:
    """``function(*args)`` on the request's own thread, where its view's database connection is."""
    return await sync_to_async(function, thread_sensitive=True)(*args)


def _produce(run: PanelRun) -> PanelOutput:
    prepared = _prepare(run)
    return prepared.stored or _collect_output(run, prepared, [call_part(part, prepared.request) for part in run.parts])


async def _aproduce(run: PanelRun) -> PanelOutput:
    """See _produce().  A panel without an async part is just that, on a thread."""
    if not run.is_async:
        return await run_in_panel_thread(run.conf, _produce, run)
    prepared = await _off_loop_if_cached(run, _prepare, run)
    if prepared.stored is not None:
        return prepared.stored
    texts = [await _acall_part(run, part, prepared.request) for part in run.parts]
    return await _off_loop_if_cached(run, _collect_output, run, prepared, texts)


async def _off_loop_if_cached(run: PanelRun, function: Callable[..., R], *args: Any) -> R:
    """``function(*args)``, on a thread where there is a cache: it, and what it varies by, may block."""
    return function(*args) if run.cache is None else await run_in_panel_thread(run.conf, function, *args)


async def _acall_part(run: PanelRun, part: Part, request: LayoutRequest) -> str:
    if not part.is_async or part.view is None:
        return await run_in_panel_thread(run.conf, call_part, part, request)
    result = await part.view(request, *part.args, **part.kwargs)
    return to_html(await run_in_panel_thread(run.conf, ensure_rendered, result) if needs_rendering(result) else result)


def _prepare(run: PanelRun) -> _PreparedRun:
    request = build_panel_request(run.request, run.context, create_queues(run.layout))
    if run.cache is None or run.is_static:
        return _PreparedRun(request, None, None)
    vary = run.cache.vary(request)
    if vary is None:
        return _PreparedRun(request, None, None)
    key = build_cache_key(run.identity, vary)
    stored = cache_get(run.cache, key, run.conf.CACHE_BACKEND)
    return _PreparedRun(request, key, _restore_output(run, *stored) if stored else None)


def _collect_output(run: PanelRun, prepared: _PreparedRun, texts: list[str]) -> PanelOutput:
    """What the panel made, kept in the cache unless it holds a CSRF token: that belongs to one visitor."""
    output = PanelOutput(run.panel.join.join(texts), get_queued_items(prepared.request.layout_queues))
    has_used_token = copy_csrf_token(run.request, prepared.request)
    if run.cache is not None and prepared.key is not None and not has_used_token:
        cache_set(run.cache, prepared.key, (output.html, output.items), run.conf.CACHE_BACKEND)
    return output


def _restore_output(run: PanelRun, html: str, items: tuple[tuple[str, Any], ...]) -> PanelOutput:
    nonce = get_csp_nonce(run.request) if any(getattr(item, "nonce", None) for _, item in items) else None
    return PanelOutput(html, tuple((name, with_nonce(item, nonce)) for name, item in items))


def _abandon(task: Task[Any]) -> None:
    """Tell it to stop, and do not wait for it."""
    _abandoned.add(task)
    task.add_done_callback(_discard_abandoned)
    task.cancel()


def _discard_abandoned(task: Task[Any]) -> None:
    _abandoned.discard(task)
    if not task.cancelled():
        task.exception()  # looked at, or asyncio would log it: the page has long been told


def _task_result(run: PanelRun, task: Task[PanelOutput]) -> PanelOutput | BaseException:
    if not task.done():
        return PanelTimeout(run.name, run.timeout or 0)
    if task.cancelled():
        return CancelledError(f"Panel {run.name!r} cancelled itself.")
    return task.exception() or task.result()


def _build_outcome(run: PanelRun, started: float, result: PanelOutput | BaseException) -> PanelOutcome:
    seconds = time.perf_counter() - started
    if isinstance(result, PanelOutput):
        return PanelOutcome(run=run, output=result, started=started, seconds=seconds)
    error = PanelError.from_exception(run.name, run.panel.declared_source(), result)
    return PanelOutcome(run=run, error=error, started=started, seconds=seconds)
