"""The plan of a page: which panels run, how, and for how long they may."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest

from htmx_live.layouts.base import Layout
from htmx_live.layouts.cache import CacheRule
from htmx_live.layouts.conf import LayoutSettings
from htmx_live.layouts.panels import ConditionalPanel, Panel
from htmx_live.layouts.parts import Part, parts_of
from htmx_live.layouts.references import url_of
from htmx_live.layouts.requests import can_stream

__all__ = ["PanelRun", "Way", "plan_panel"]

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
