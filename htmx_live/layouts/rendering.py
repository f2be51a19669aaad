"""From a view's response to the page: plan, run, assemble.

The sync and the async way share both ends; they differ in how the panels run.  Where the async way may block (hooks
of the layout, templates, the database) it goes to the request's own thread.
"""

import time
from asyncio import Task
from collections.abc import Mapping, Sequence
from typing import Any, cast

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.csrf import get_token
from django.template.loader import render_to_string

from htmx_live.layouts.assembly import page_html, with_content
from htmx_live.layouts.base import Layout, resolved
from htmx_live.layouts.conf import layout_settings
from htmx_live.layouts.detection import route
from htmx_live.layouts.draft import Draft, Frame
from htmx_live.layouts.execution import Outcome, arun_all, in_request_thread, run_all
from htmx_live.layouts.panels import Panel
from htmx_live.layouts.parts import needs_rendering, rendered
from htmx_live.layouts.plan import PanelRun
from htmx_live.layouts.queues import with_tags
from htmx_live.layouts.requests import has_unread_session, read_session, share_csrf_secret
from htmx_live.layouts.streaming import Arrival, start, streamed
from htmx_live.layouts.timing import add_timing, entry, panel_entries

__all__ = ["abegin", "afinish", "async_render_with_layout", "finish", "render_with_layout"]

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
