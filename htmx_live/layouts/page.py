"""From a view's response to the page: plan, run, assemble.

The sync and the async way share both ends; they differ in how the panels run.  Where the async way may block (hooks
of the layout, templates, the database) it goes to the request's own thread.

Assembling a page: the outcomes of its panels, its queues and its template become the response's body.

``PageBuild``: a page with a layout while it is being made.

Streamed panels: the page first, then each slow panel when it is ready, in the same response.

A panel arrives as a ``<template>`` for its placeholder, followed by a marker that says that the template is complete
(a parser inserts elements before it has read their contents).  ``layouts.js`` puts it in place.  Queued scripts and
styles that the page does not have yet travel in the template.

The panels run as tasks of the page.  When the browser goes away the response's generator ends, and they are cancelled.

``Server-Timing``: how long each panel took, for the browser's network view.
"""

import logging
import time
from asyncio import Task, as_completed, create_task
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.middleware.csrf import get_token
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from htmx_live.core.exceptions import log_failure
from htmx_live.layouts.base import Layout, build_layout_context, create_queues, resolve_layout
from htmx_live.layouts.conf import LayoutSettings, PanelError, PanelRenderError, layout_settings
from htmx_live.layouts.execution import (
    Delivery,
    PanelOutcome,
    PanelRun,
    arun_panel,
    arun_panels,
    plan_panel,
    run_in_request_thread,
    run_panels,
)
from htmx_live.layouts.panels import ConditionalPanel, Panel, ensure_rendered, needs_rendering
from htmx_live.layouts.partials import add_routing_headers, is_full_page_forced, is_partial
from htmx_live.layouts.queues import Queue, add_items, surround_with_tags
from htmx_live.layouts.requests import (
    LayoutRequest,
    freeze,
    get_csp_nonce,
    has_unread_session,
    read_session,
    share_csrf_secret,
)

__all__ = [
    "LayoutSpec",
    "PageBuild",
    "Slot",
    "Slots",
    "StreamedPanel",
    "abegin",
    "add_server_timing",
    "async_render_with_layout",
    "awrap_response",
    "build_streaming_response",
    "render_page",
    "render_panel_failure",
    "render_placeholder",
    "render_with_layout",
    "replace_content",
    "start_panels",
    "timing_entry",
    "wrap_response",
]


_HTML = ("text/html", "application/xhtml+xml")


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutSpec:
    """What a view is wrapped in: a layout or its name, the view's own panels, the statuses that are wrapped."""

    layout_class: type[Layout] | str
    panels: Mapping[str, Panel | None] = field(default_factory=dict)
    statuses: frozenset[int] = frozenset({200})


@dataclass(frozen=True, slots=True, kw_only=True)
class PageBuild:
    """``panels`` are the layout's and the view's, in definition order; ``started`` is ``time.perf_counter()``."""

    request: LayoutRequest
    layout: Layout
    panels: Mapping[str, Panel]
    statuses: frozenset[int]
    conf: LayoutSettings
    started: float

    @classmethod
    def begin(cls, request: HttpRequest, spec: LayoutSpec, *, detect_partial: bool = True) -> "PageBuild":
        """Set the layout's attributes on the request, before its view runs.  May block (``get_layout_context``)."""
        started, conf, layout_class = time.perf_counter(), layout_settings(), resolve_layout(spec.layout_class)
        page = cast(LayoutRequest, request)
        page.layout_role, page.layout_key, page.is_layout_partial = "main", layout_class.layout_key, False
        layout = layout_class()
        page.layout_context = build_layout_context(layout, page)
        page.layout_queues = create_queues(layout_class)
        page.is_layout_partial = detect_partial and is_partial(page, conf)
        panels = {**layout_class.layout_panels, **spec.panels}
        enabled_panels = {name: panel for name, panel in panels.items() if panel is not None}
        return cls(
            request=page, layout=layout, panels=enabled_panels, statuses=spec.statuses, conf=conf, started=started
        )

    def should_wrap(self, response: HttpResponseBase) -> bool:
        """Whether the view's answer is one for a layout: HTML, of a status that was asked for."""
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return response.status_code in self.statuses and not response.streaming and kind in _HTML

    def is_partial(self) -> bool:
        """Whether the answer is the view's own HTML.  The view may have asked for the full page meanwhile."""
        if is_full_page_forced(self.request):
            self.request.is_layout_partial = False
        return self.request.is_layout_partial

    def may_block(self) -> bool:
        """Whether ``plan()`` may read the database."""
        return any(panel.is_deferred or isinstance(panel, ConditionalPanel) for panel in self.panels.values())

    def plan(self) -> list[PanelRun]:
        """A run for each panel, in definition order; the layout context is what the view left."""
        context = freeze(self.request.layout_context)
        layout = type(self.layout)
        return [
            plan_panel(name, panel, layout=layout, request=self.request, context=context, conf=self.conf)
            for name, panel in self.panels.items()
        ]


logger = logging.getLogger("htmx_live.layouts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A panel's place in the layout template: its HTML, or where (``url``) and when (``trigger``) it is loaded."""

    name: str
    html: str = ""
    delivery: Delivery = "inline"
    url: str = ""
    trigger: str = "load"

    @classmethod
    def deferred(cls, run: PanelRun, delivery: Delivery) -> "Slot":
        trigger = "revealed" if run.panel.lazy == "visible" else "load"
        return cls(name=run.name, delivery=delivery, url=run.url, trigger=trigger)


class Slots(dict[str, Slot]):
    """Every slot of one page, for its ``{% panel %}`` tags."""

    def __init__(self, **slots: Slot) -> None:
        super().__init__(slots)
        self._script_included: set[Delivery] = set()

    def claim_script(self, delivery: Delivery) -> str:
        """How the first placeholder of its kind loads our script, "" for the others.

        A streamed panel needs it while the page is parsed (``async``), a lazy one before htmx starts (``defer``: in the
        order of the page, and before DOMContentLoaded).
        """
        if delivery in self._script_included:
            return ""
        self._script_included.add(delivery)
        return "async" if delivery == "stream" else "defer"


def render_page(
    build: PageBuild, response: HttpResponse, *, runs: Sequence[PanelRun], outcomes: Sequence[PanelOutcome]
) -> str:
    """The layout's template with everything in its place.  ``PanelRenderError`` where the settings ask for it."""
    outcome_by_name = {outcome.run.name: outcome for outcome in outcomes}
    slots = Slots(content=Slot(name="content", html=response.content.decode(response.charset)))
    for run in runs:
        slots[run.name] = (
            _build_slot(build, outcome_by_name[run.name])
            if run.delivery == "inline"
            else Slot.deferred(run, run.delivery)
        )
    for outcome in outcomes:
        add_items(build.request.layout_queues, outcome.output.items)
    context = {**build.request.layout_context, "layout_slots": slots}
    return render_to_string(build.layout.get_template(build.request), context, build.request)


def replace_content(response: HttpResponse, html: str) -> HttpResponse:
    """``response`` with another body; its headers, cookies and content type stay."""
    response.content = html
    response.headers.pop("Content-Length", None)
    return response


def render_panel_failure(layout: Layout, request: HttpRequest, error: PanelError) -> str:
    """What stands where a panel failed.  The failure is logged."""
    log_failure(logger, error.exception, "Panel %r of %s failed", error.panel_name, layout.layout_key)
    try:
        return layout.on_panel_error(request, error)
    except Exception:  # part of the panel's boundary: the page lives, whatever the project's hook does
        logger.exception("on_panel_error() of %s failed", layout.layout_key)
        return ""


def raise_if_configured(conf: LayoutSettings, error: PanelError) -> None:
    if conf.raises_errors:
        raise PanelRenderError(error) from error.exception


def render_placeholder(
    slot: Slot, request: HttpRequest, *, slots: Slots | None = None, fallback: str = ""
) -> SafeString:
    """What stands in the page until the panel comes; the first of ``slots`` brings our script."""
    script = slots.claim_script(slot.delivery) if slots is not None else ""
    context = {"slot": slot, "fallback": fallback, "script": script, "nonce": get_csp_nonce(request)}
    return render_to_string("layouts/placeholder.html", context)


def render_retry(name: str, url: str, message: str) -> SafeString:
    """A failed panel that can be tried again."""
    return render_to_string("layouts/failed.html", {"name": name, "url": url, "message": mark_safe(message)})


def _build_slot(build: PageBuild, outcome: PanelOutcome) -> Slot:
    run = outcome.run
    if outcome.error is None:
        return Slot(name=run.name, html=outcome.output.html)
    if outcome.is_timed_out and run.panel.lazy_on_timeout and run.url:
        return Slot.deferred(run, "lazy")
    raise_if_configured(build.conf, outcome.error)
    return Slot(name=run.name, html=render_panel_failure(build.layout, build.request, outcome.error))


@dataclass(frozen=True, slots=True)
class StreamedPanel:
    """What a streamed panel brings; ``seconds`` is how long it ran."""

    name: str
    html: str
    items: tuple[tuple[str, Any], ...]
    seconds: float


def start_panels(build: PageBuild, runs: Sequence[PanelRun]) -> list[Task[StreamedPanel]]:
    """Start the panels that follow the page."""
    return [create_task(_run_streamed_panel(build, run)) for run in runs]


def build_streaming_response(
    build: PageBuild,
    response: HttpResponse,
    html: str,
    *,
    runs: Sequence[PanelRun],
    tasks: Sequence[Task[StreamedPanel]],
) -> StreamingHttpResponse:
    """``response`` with ``html`` as its first part.  ``tasks`` are those of ``runs``, or empty: then they start now."""
    streaming_response = StreamingHttpResponse(
        _stream_content(build, html, runs=runs, tasks=tasks),
        status=response.status_code,
        reason=response.reason_phrase,
        headers={name: value for name, value in response.headers.items() if name != "Content-Length"},
    )
    streaming_response.cookies = response.cookies
    # Nothing on the way may wait for the whole: not nginx, and not GZipMiddleware, which skips what is encoded.
    streaming_response.headers["X-Accel-Buffering"] = "no"
    streaming_response.headers.setdefault("Content-Encoding", "identity")
    return streaming_response


async def _stream_content(
    build: PageBuild, html: str, *, runs: Sequence[PanelRun], tasks: Sequence[Task[StreamedPanel]]
) -> AsyncIterator[str]:
    head, closing_tag, tail = html.rpartition("</body>")
    if not closing_tag:
        head, tail = tail, ""
    tasks = tasks or start_panels(build, runs)
    try:
        yield head
        for streamed_panel in as_completed(tasks):
            yield _render_chunk(build, await streamed_panel)
    finally:
        for task in tasks:
            task.cancel()
    yield closing_tag + tail


async def _run_streamed_panel(build: PageBuild, run: PanelRun) -> StreamedPanel:
    outcome = await arun_panel(run)
    if outcome.error is None:
        return StreamedPanel(run.name, outcome.output.html, outcome.output.items, outcome.seconds)
    html = await run_in_request_thread(_render_missing, build, outcome)
    return StreamedPanel(run.name, html, (), outcome.seconds)


def _render_missing(build: PageBuild, outcome: PanelOutcome) -> str:
    """What comes instead of a panel that failed.  Never raises: the page is out already."""
    run, error = outcome.run, outcome.error
    if error is None:
        return ""
    if outcome.is_timed_out and run.panel.lazy_on_timeout and run.url:
        return render_placeholder(Slot.deferred(run, "lazy"), build.request)
    message = render_panel_failure(build.layout, build.request, error)
    return render_retry(run.name, run.url, message) if run.url else message


def _render_chunk(build: PageBuild, streamed_panel: StreamedPanel) -> str:
    """The panel with those of its scripts and styles that the page does not have yet."""
    page_queues = build.request.layout_queues
    new_queues: dict[str, Queue] = create_queues(type(build.layout))
    add_items(
        new_queues,
        [
            (name, item)
            for name, item in streamed_panel.items
            if name in page_queues and item not in set(page_queues[name])
        ],
    )
    add_items(page_queues, streamed_panel.items)
    return format_html(
        '<template data-layout-for="{}">{}</template><template data-layout-ready="{}" data-layout-ms="{}"></template>',
        streamed_panel.name,
        mark_safe(surround_with_tags(streamed_panel.html, new_queues.values())),
        streamed_panel.name,
        f"{streamed_panel.seconds * 1000:.1f}",
    )


def timing_entry(name: str, *, started: float, seconds: float) -> str:
    """One metric.  ``started`` is seconds after the page's; both are shown in milliseconds."""
    return f'{name};dur={seconds * 1000:.1f};desc="at {max(0.0, started) * 1000:.1f} ms"'


def add_server_timing(response: HttpResponseBase, entries: Iterable[str]) -> None:
    """Add to what the view itself measured."""
    existing = response.headers.get("Server-Timing")
    response.headers["Server-Timing"] = ", ".join([*([existing] if existing else []), *entries])


def panel_timing_entries(runs: Iterable[PanelRun], outcomes: Iterable[PanelOutcome], page_started: float) -> list[str]:
    """One entry for each panel, in definition order; one that comes later has no duration yet."""
    outcome_by_name = {outcome.run.name: outcome for outcome in outcomes}
    return [_panel_timing_entry(run, outcome_by_name.get(run.name), page_started) for run in runs]


def _panel_timing_entry(run: PanelRun, outcome: PanelOutcome | None, page_started: float) -> str:
    if outcome is None:
        return f'{run.name};desc="{run.delivery}"'
    return timing_entry(run.name, started=outcome.started - page_started, seconds=outcome.seconds)


_Overrides = Mapping[str, Panel | None]


def render_with_layout(
    request: HttpRequest,
    layout_class: type[Layout] | str,
    template_name: str,
    context: Mapping[str, Any] | None = None,
    *,
    panels: _Overrides | None = None,
) -> HttpResponseBase:
    """A template as the content of a layout.  Always the full page: no partial detection."""
    build = PageBuild.begin(request, LayoutSpec(layout_class=layout_class, panels=panels or {}), detect_partial=False)
    return wrap_response(build, HttpResponse(render_to_string(template_name, dict(context or {}), request)))


async def async_render_with_layout(
    request: HttpRequest,
    layout_class: type[Layout] | str,
    template_name: str,
    context: Mapping[str, Any] | None = None,
    *,
    panels: _Overrides | None = None,
) -> HttpResponseBase:
    """See render_with_layout(); panels run side by side."""
    build = await abegin(request, LayoutSpec(layout_class=layout_class, panels=panels or {}), detect_partial=False)
    html = await run_in_request_thread(render_to_string, template_name, dict(context or {}), request)
    return await awrap_response(build, HttpResponse(html))


async def abegin(request: HttpRequest, spec: LayoutSpec, *, detect_partial: bool = True) -> PageBuild:
    """See PageBuild.begin()."""
    has_context_hook = resolve_layout(spec.layout_class).get_layout_context is not Layout.get_layout_context
    if has_context_hook or (detect_partial and layout_settings().PARTIAL_DETECTORS):
        return await run_in_request_thread(lambda: PageBuild.begin(request, spec, detect_partial=detect_partial))
    return PageBuild.begin(request, spec, detect_partial=detect_partial)


def wrap_response(build: PageBuild, response: HttpResponseBase) -> HttpResponseBase:
    """The page around the view's ``response``, or the response itself where no layout belongs around it."""
    if not build.should_wrap(response):
        return response
    content = cast(HttpResponse, ensure_rendered(response))
    if build.is_partial():
        return _partial_response(build, content)
    runs, view_ended = build.plan(), time.perf_counter()
    outcomes = run_panels(run for run in runs if run.delivery == "inline")
    return _page_response(build, content, runs=runs, outcomes=outcomes, view_ended=view_ended)


async def awrap_response(build: PageBuild, response: HttpResponseBase) -> HttpResponseBase:
    """See wrap_response().  Streamed panels start with the others."""
    if not build.should_wrap(response):
        return response
    whole = await run_in_request_thread(ensure_rendered, response) if needs_rendering(response) else response
    content = cast(HttpResponse, whole)
    if build.is_partial():
        return _partial_response(build, content)
    view_ended = time.perf_counter()
    runs = await run_in_request_thread(build.plan) if build.may_block() else build.plan()
    share_csrf_secret(build.request)
    if has_unread_session(build.request) and not all(run.is_static for run in runs):
        await run_in_request_thread(read_session, build.request)
    tasks = start_panels(build, [run for run in runs if run.delivery == "stream"])
    try:
        outcomes = await arun_panels(run for run in runs if run.delivery == "inline")
        return await run_in_request_thread(
            lambda: _page_response(build, content, runs=runs, outcomes=outcomes, view_ended=view_ended, tasks=tasks)
        )
    except BaseException:
        for task in tasks:
            task.cancel()
        raise


def _partial_response(build: PageBuild, content: HttpResponse) -> HttpResponse:
    """The view's own HTML with the scripts and styles that it queued."""
    queues = build.request.layout_queues.values()
    if any(queues):
        replace_content(content, surround_with_tags(content.content.decode(content.charset), queues))
    add_routing_headers(build.request, content, build.conf)
    return content


def _page_response(
    build: PageBuild,
    content: HttpResponse,
    *,
    runs: Sequence[PanelRun],
    outcomes: Sequence[PanelOutcome],
    view_ended: float,
    tasks: Sequence[Task[StreamedPanel]] = (),
) -> HttpResponseBase:
    """``view_ended`` is when the view had answered, on ``time.perf_counter``'s clock."""
    following = [run for run in runs if run.delivery == "stream"]
    if following:
        get_token(build.request)  # a panel that follows may hold a form, and cookies go out with the headers
    html = render_page(build, content, runs=runs, outcomes=outcomes)
    if following:
        response: HttpResponseBase = build_streaming_response(build, content, html, runs=following, tasks=tasks)
    else:
        response = replace_content(content, html)
    if build.conf.sends_server_timing:
        view = timing_entry("content", started=0, seconds=view_ended - build.started)
        add_server_timing(response, [view, *panel_timing_entries(runs, outcomes, build.started)])
    add_routing_headers(build.request, response, build.conf)
    return response
