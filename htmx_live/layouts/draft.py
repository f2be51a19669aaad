"""``Draft``: a page with a layout while it is being made."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from django.http import HttpRequest, HttpResponseBase

from htmx_live.layouts.base import Layout, fresh_queues, layout_context, resolved
from htmx_live.layouts.conf import LayoutSettings, layout_settings
from htmx_live.layouts.context import freeze
from htmx_live.layouts.detection import is_forced, is_partial
from htmx_live.layouts.panels import ConditionalPanel, Panel
from htmx_live.layouts.plan import PanelRun, plan_panel
from htmx_live.layouts.requests import LayoutRequest

__all__ = ["Draft", "Frame"]

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
