"""From a view's response to the page: plan, run, assemble.

The sync and the async way share both ends; they differ in how the panels run.  Where the async way may block (hooks
of the layout, templates, the database) it goes to the request's own thread.

Assembling a page: the outcomes of its panels, its queues and its template become the response's body.

``Draft``: a page with a layout while it is being made.

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
from htmx_live.layouts.base import Layout, fresh_queues, layout_context, resolved
from htmx_live.layouts.conf import LayoutSettings, PanelError, PanelRenderError, layout_settings
from htmx_live.layouts.execution import Outcome, PanelRun, Way, arun, arun_all, in_request_thread, plan_panel, run_all
from htmx_live.layouts.panels import ConditionalPanel, Panel, needs_rendering, rendered
from htmx_live.layouts.partials import is_forced, is_partial, route
from htmx_live.layouts.queues import Queue, add_all, with_tags
from htmx_live.layouts.requests import (
    LayoutRequest,
    freeze,
    has_unread_session,
    nonce_of,
    read_session,
    share_csrf_secret,
)

__all__ = [
    "Arrival",
    "Draft",
    "Frame",
    "Slot",
    "Slots",
    "abegin",
    "add_timing",
    "afinish",
    "async_render_with_layout",
    "entry",
    "failure_html",
    "finish",
    "page_html",
    "placeholder_html",
    "render_with_layout",
    "start",
    "streamed",
    "with_content",
]


_HTML = ("text/html", "application/xhtml+xml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What a view is wrapped in: a layout or its name, the view's own panels, the statuses that are wrapped."""

    layout_class: type[Layout] | str
    panels: Mapping[str, Panel | None] = field(default_factory=dict)
    statuses: frozenset[int] = frozenset({200})


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """``panels`` are the layout's and the view's, in definition order; ``started`` is ``time.perf_counter()``."""

    request: LayoutRequest
    layout: Layout
    panels: Mapping[str, Panel]
    statuses: frozenset[int]
    conf: LayoutSettings
    started: float

    @classmethod
    def begin(cls, request: HttpRequest, frame: Frame, *, detects: bool = True) -> "Draft":
        """Set the layout's attributes on the request, before its view runs.  May block (``get_layout_context``)."""
        started, conf, layout_class = time.perf_counter(), layout_settings(), resolved(frame.layout_class)
        page = cast(LayoutRequest, request)
        page.layout_role, page.layout_key, page.is_layout_partial = "main", layout_class.layout_key, False
        layout = layout_class()
        page.layout_context = layout_context(layout, page)
        page.layout_queues = fresh_queues(layout_class)
        page.is_layout_partial = detects and is_partial(page, conf)
        panels = {**layout_class.layout_panels, **frame.panels}
        kept = {name: panel for name, panel in panels.items() if panel is not None}
        return cls(request=page, layout=layout, panels=kept, statuses=frame.statuses, conf=conf, started=started)

    def wraps(self, response: HttpResponseBase) -> bool:
        """Whether the view's answer is one for a layout: HTML, of a status that was asked for."""
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return response.status_code in self.statuses and not response.streaming and kind in _HTML

    def is_partial(self) -> bool:
        """Whether the answer is the view's own HTML.  The view may have asked for the full page meanwhile."""
        if is_forced(self.request):
            self.request.is_layout_partial = False
        return self.request.is_layout_partial

    def may_block(self) -> bool:
        """Whether ``plan()`` may read the database."""
        return any(panel.comes_later or isinstance(panel, ConditionalPanel) for panel in self.panels.values())

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
    way: Way = "inline"
    url: str = ""
    trigger: str = "load"

    @classmethod
    def later(cls, run: PanelRun, way: Way) -> "Slot":
        trigger = "revealed" if run.panel.lazy == "visible" else "load"
        return cls(name=run.name, way=way, url=run.url, trigger=trigger)


class Slots(dict[str, Slot]):
    """Every slot of one page, for its ``{% panel %}`` tags."""

    def __init__(self, **slots: Slot) -> None:
        super().__init__(slots)
        self._scripted: set[Way] = set()

    def script_for(self, way: Way) -> str:
        """How the first placeholder of its kind loads our script, "" for the others.

        A streamed panel needs it while the page is parsed (``async``), a lazy one before htmx starts (``defer``: in the
        order of the page, and before DOMContentLoaded).
        """
        if way in self._scripted:
            return ""
        self._scripted.add(way)
        return "async" if way == "stream" else "defer"


def page_html(draft: Draft, response: HttpResponse, *, runs: Sequence[PanelRun], outcomes: Sequence[Outcome]) -> str:
    """The layout's template with everything in its place.  ``PanelRenderError`` where the settings ask for it."""
    ended = {outcome.run.name: outcome for outcome in outcomes}
    slots = Slots(content=Slot(name="content", html=response.content.decode(response.charset)))
    for run in runs:
        slots[run.name] = _slot(draft, ended[run.name]) if run.way == "inline" else Slot.later(run, run.way)
    for outcome in outcomes:
        add_all(draft.request.layout_queues, outcome.output.items)
    context = {**draft.request.layout_context, "layout_slots": slots}
    return render_to_string(draft.layout.get_template(draft.request), context, draft.request)


def with_content(response: HttpResponse, html: str) -> HttpResponse:
    """``response`` with another body; its headers, cookies and content type stay."""
    response.content = html
    response.headers.pop("Content-Length", None)
    return response


def failure_html(layout: Layout, request: HttpRequest, error: PanelError) -> str:
    """What stands where a panel failed.  The failure is logged."""
    log_failure(logger, error.exception, "Panel %r of %s failed", error.panel_name, layout.layout_key)
    try:
        return layout.on_panel_error(request, error)
    except Exception:  # part of the panel's boundary: the page lives, whatever the project's hook does
        logger.exception("on_panel_error() of %s failed", layout.layout_key)
        return ""


def raise_if_asked(conf: LayoutSettings, error: PanelError) -> None:
    if conf.raises:
        raise PanelRenderError(error) from error.exception


def placeholder_html(slot: Slot, request: HttpRequest, *, slots: Slots | None = None, fallback: str = "") -> SafeString:
    """What stands in the page until the panel comes; the first of ``slots`` brings our script."""
    script = slots.script_for(slot.way) if slots is not None else ""
    context = {"slot": slot, "fallback": fallback, "script": script, "nonce": nonce_of(request)}
    return render_to_string("layouts/placeholder.html", context)


def retry_html(name: str, url: str, message: str) -> SafeString:
    """A failed panel that can be tried again."""
    return render_to_string("layouts/failed.html", {"name": name, "url": url, "message": mark_safe(message)})


def _slot(draft: Draft, outcome: Outcome) -> Slot:
    run = outcome.run
    if outcome.error is None:
        return Slot(name=run.name, html=outcome.output.html)
    if outcome.is_late and run.panel.lazy_on_timeout and run.url:
        return Slot.later(run, "lazy")
    raise_if_asked(draft.conf, outcome.error)
    return Slot(name=run.name, html=failure_html(draft.layout, draft.request, outcome.error))


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a streamed panel brings; ``seconds`` is how long it ran."""

    name: str
    html: str
    items: tuple[tuple[str, Any], ...]
    seconds: float


def start(draft: Draft, runs: Sequence[PanelRun]) -> list[Task[Arrival]]:
    """Start the panels that follow the page."""
    return [create_task(_arrival(draft, run)) for run in runs]


def streamed(
    draft: Draft, response: HttpResponse, html: str, *, runs: Sequence[PanelRun], tasks: Sequence[Task[Arrival]]
) -> StreamingHttpResponse:
    """``response`` with ``html`` as its first part.  ``tasks`` are those of ``runs``, or empty: then they start now."""
    answer = StreamingHttpResponse(
        _content(draft, html, runs=runs, tasks=tasks),
        status=response.status_code,
        reason=response.reason_phrase,
        headers={name: value for name, value in response.headers.items() if name != "Content-Length"},
    )
    answer.cookies = response.cookies
    # Nothing on the way may wait for the whole: not nginx, and not GZipMiddleware, which skips what is encoded.
    answer.headers["X-Accel-Buffering"] = "no"
    answer.headers.setdefault("Content-Encoding", "identity")
    return answer


async def _content(
    draft: Draft, html: str, *, runs: Sequence[PanelRun], tasks: Sequence[Task[Arrival]]
) -> AsyncIterator[str]:
    head, end, tail = html.rpartition("</body>")
    if not end:
        head, tail = tail, ""
    tasks = tasks or start(draft, runs)
    try:
        yield head
        for arrived in as_completed(tasks):
            yield _chunk(draft, await arrived)
    finally:
        for task in tasks:
            task.cancel()
    yield end + tail


async def _arrival(draft: Draft, run: PanelRun) -> Arrival:
    outcome = await arun(run)
    if outcome.error is None:
        return Arrival(run.name, outcome.output.html, outcome.output.items, outcome.seconds)
    html = await in_request_thread(_missing, draft, outcome)
    return Arrival(run.name, html, (), outcome.seconds)


def _missing(draft: Draft, outcome: Outcome) -> str:
    """What comes instead of a panel that failed.  Never raises: the page is out already."""
    run, error = outcome.run, outcome.error
    if error is None:
        return ""
    if outcome.is_late and run.panel.lazy_on_timeout and run.url:
        return placeholder_html(Slot.later(run, "lazy"), draft.request)
    message = failure_html(draft.layout, draft.request, error)
    return retry_html(run.name, run.url, message) if run.url else message


def _chunk(draft: Draft, arrival: Arrival) -> str:
    """The panel with those of its scripts and styles that the page does not have yet."""
    there = draft.request.layout_queues
    new: dict[str, Queue] = fresh_queues(type(draft.layout))
    add_all(new, [(name, item) for name, item in arrival.items if name in there and item not in set(there[name])])
    add_all(there, arrival.items)
    return format_html(
        '<template data-layout-for="{}">{}</template><template data-layout-ready="{}" data-layout-ms="{}"></template>',
        arrival.name,
        mark_safe(with_tags(arrival.html, new.values())),
        arrival.name,
        f"{arrival.seconds * 1000:.1f}",
    )


def entry(name: str, *, started: float, seconds: float) -> str:
    """One metric.  ``started`` is seconds after the page's; both are shown in milliseconds."""
    return f'{name};dur={seconds * 1000:.1f};desc="at {max(0.0, started) * 1000:.1f} ms"'


def add_timing(response: HttpResponseBase, entries: Iterable[str]) -> None:
    """Add to what the view itself measured."""
    own = response.headers.get("Server-Timing")
    response.headers["Server-Timing"] = ", ".join([*([own] if own else []), *entries])


def panel_entries(runs: Iterable[PanelRun], outcomes: Iterable[Outcome], page_started: float) -> list[str]:
    """One entry for each panel, in definition order; one that comes later has no duration yet."""
    ended = {outcome.run.name: outcome for outcome in outcomes}
    return [_panel_entry(run, ended.get(run.name), page_started) for run in runs]


def _panel_entry(run: PanelRun, outcome: Outcome | None, page_started: float) -> str:
    if outcome is None:
        return f'{run.name};desc="{run.way}"'
    return entry(run.name, started=outcome.started - page_started, seconds=outcome.seconds)


Overrides = Mapping[str, Panel | None]


def render_with_layout(
    request: HttpRequest,
    layout_class: type[Layout] | str,
    template_name: str,
    context: Mapping[str, Any] | None = None,
    *,
    panels: Overrides | None = None,
) -> HttpResponseBase:
    """A template as the content of a layout.  Always the full page: no partial detection."""
    draft = Draft.begin(request, Frame(layout_class=layout_class, panels=panels or {}), detects=False)
    return finish(draft, HttpResponse(render_to_string(template_name, dict(context or {}), request)))


async def async_render_with_layout(
    request: HttpRequest,
    layout_class: type[Layout] | str,
    template_name: str,
    context: Mapping[str, Any] | None = None,
    *,
    panels: Overrides | None = None,
) -> HttpResponseBase:
    """See render_with_layout(); panels run side by side."""
    draft = await abegin(request, Frame(layout_class=layout_class, panels=panels or {}), detects=False)
    html = await in_request_thread(render_to_string, template_name, dict(context or {}), request)
    return await afinish(draft, HttpResponse(html))


async def abegin(request: HttpRequest, frame: Frame, *, detects: bool = True) -> Draft:
    """See Draft.begin()."""
    hooked = resolved(frame.layout_class).get_layout_context is not Layout.get_layout_context
    if hooked or (detects and layout_settings().PARTIAL_DETECTORS):
        return await in_request_thread(lambda: Draft.begin(request, frame, detects=detects))
    return Draft.begin(request, frame, detects=detects)


def finish(draft: Draft, response: HttpResponseBase) -> HttpResponseBase:
    """The page around the view's ``response``, or the response itself where no layout belongs around it."""
    if not draft.wraps(response):
        return response
    content = cast(HttpResponse, rendered(response))
    if draft.is_partial():
        return _partial(draft, content)
    runs, answered = draft.plan(), time.perf_counter()
    outcomes = run_all(run for run in runs if run.way == "inline")
    return _page(draft, content, runs=runs, outcomes=outcomes, answered=answered)


async def afinish(draft: Draft, response: HttpResponseBase) -> HttpResponseBase:
    """See finish().  Streamed panels start with the others."""
    if not draft.wraps(response):
        return response
    whole = await in_request_thread(rendered, response) if needs_rendering(response) else response
    content = cast(HttpResponse, whole)
    if draft.is_partial():
        return _partial(draft, content)
    answered = time.perf_counter()
    runs = await in_request_thread(draft.plan) if draft.may_block() else draft.plan()
    share_csrf_secret(draft.request)
    if has_unread_session(draft.request) and not all(run.is_known for run in runs):
        await in_request_thread(read_session, draft.request)
    tasks = start(draft, [run for run in runs if run.way == "stream"])
    try:
        outcomes = await arun_all(run for run in runs if run.way == "inline")
        return await in_request_thread(
            lambda: _page(draft, content, runs=runs, outcomes=outcomes, answered=answered, tasks=tasks)
        )
    except BaseException:
        for task in tasks:
            task.cancel()
        raise


def _partial(draft: Draft, content: HttpResponse) -> HttpResponse:
    """The view's own HTML with the scripts and styles that it queued."""
    queues = draft.request.layout_queues.values()
    if any(queues):
        with_content(content, with_tags(content.content.decode(content.charset), queues))
    route(draft.request, content, draft.conf)
    return content


def _page(
    draft: Draft,
    content: HttpResponse,
    *,
    runs: Sequence[PanelRun],
    outcomes: Sequence[Outcome],
    answered: float,
    tasks: Sequence[Task[Arrival]] = (),
) -> HttpResponseBase:
    """``answered`` is when the view had answered, on ``time.perf_counter``'s clock."""
    following = [run for run in runs if run.way == "stream"]
    if following:
        get_token(draft.request)  # a panel that follows may hold a form, and cookies go out with the headers
    html = page_html(draft, content, runs=runs, outcomes=outcomes)
    if following:
        answer: HttpResponseBase = streamed(draft, content, html, runs=following, tasks=tasks)
    else:
        answer = with_content(content, html)
    if draft.conf.shows_times:
        view = entry("content", started=0, seconds=answered - draft.started)
        add_timing(answer, [view, *panel_entries(runs, outcomes, draft.started)])
    route(draft.request, answer, draft.conf)
    return answer
