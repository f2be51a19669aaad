"""Assembling a page: the outcomes of its panels, its queues and its template become the response's body."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from htmx_live.exceptions import log_failure
from htmx_live.layouts.base import Layout
from htmx_live.layouts.conf import LayoutSettings
from htmx_live.layouts.draft import Draft
from htmx_live.layouts.errors import PanelError, PanelRenderError
from htmx_live.layouts.execution import Outcome
from htmx_live.layouts.plan import PanelRun, Way
from htmx_live.layouts.queues import add_all
from htmx_live.layouts.requests import nonce_of

__all__ = ["Slot", "Slots", "failure_html", "page_html", "placeholder_html", "with_content"]

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
