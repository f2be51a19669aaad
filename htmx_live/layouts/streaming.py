"""Streamed panels: the page first, then each slow panel when it is ready, in the same response.

A panel arrives as a ``<template>`` for its placeholder, followed by a marker that says that the template is complete
(a parser inserts elements before it has read their contents).  ``layouts.js`` puts it in place.  Queued scripts and
styles that the page does not have yet travel in the template.

The panels run as tasks of the page.  When the browser goes away the response's generator ends, and they are cancelled.
"""

from asyncio import Task, as_completed, create_task
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse, StreamingHttpResponse
from django.utils.html import format_html
from django.utils.safestring import mark_safe

from htmx_live.layouts.assembly import Slot, failure_html, placeholder_html, retry_html
from htmx_live.layouts.base import fresh_queues
from htmx_live.layouts.draft import Draft
from htmx_live.layouts.execution import Outcome, arun, in_request_thread
from htmx_live.layouts.plan import PanelRun
from htmx_live.layouts.queues import Queue, add_all, with_tags

__all__ = ["Arrival", "start", "streamed"]


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
