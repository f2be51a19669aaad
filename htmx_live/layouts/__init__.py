"""Layouts: pages put together from panels that render side by side, isolated, cached, lazy or streamed.

An island: it needs no live views.  The guide is docs/layouts.md.
"""

from htmx_live.layouts import cache
from htmx_live.layouts.base import Layout
from htmx_live.layouts.conf import PanelError, PanelRenderError
from htmx_live.layouts.page import async_render_with_layout, render_with_layout
from htmx_live.layouts.panels import ConditionalPanel, Panel
from htmx_live.layouts.queues import (
    RenderQueue,
    ScriptItem,
    ScriptQueue,
    StyleItem,
    StyleQueue,
    add_script,
    add_style,
    add_to_queue,
)
from htmx_live.layouts.views import LayoutMixin, async_layout, layout, panel_only

__all__ = [
    "ConditionalPanel",
    "Layout",
    "LayoutMixin",
    "Panel",
    "PanelError",
    "PanelRenderError",
    "RenderQueue",
    "ScriptItem",
    "ScriptQueue",
    "StyleItem",
    "StyleQueue",
    "add_script",
    "add_style",
    "add_to_queue",
    "async_layout",
    "async_render_with_layout",
    "cache",
    "layout",
    "panel_only",
    "render_with_layout",
]
