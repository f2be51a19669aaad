"""The overview, four times: the view is the same, what differs is the layout around it."""

from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views.generic import RedirectView

from demo.source import python_of, template_of
from htmx_live.layouts import Layout, async_layout, layout

from . import panels
from .waterfall import ticks, with_waterfall


@login_required
@with_waterfall
@layout("demo.Overview")
def plain(request):
    return answer(request, "plain")


@login_required
@with_waterfall
@async_layout("demo.Overview")
async def side_by_side(request):
    return answer(request, "async")


@login_required
@with_waterfall
@async_layout("demo.LazyOverview")
async def lazy(request):
    return answer(request, "lazy")


@login_required
@with_waterfall
@async_layout("demo.StreamedOverview")
async def streamed(request):
    return answer(request, "streamed")


class StartView(RedirectView):
    """The navigation leads to the way that shows something at once."""

    pattern_name = "overview:streamed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One of the four pages: what it shows, and what to try on it."""

    title: str
    view: object
    layout: str
    shows: str
    to_try: str


WAYS = {
    "plain": Way(
        title="Plain",
        view=plain,
        layout="demo.Overview",
        shows="The panels run one after the other, and the browser waits for their sum.",
        to_try="Press reload and count. Then open the same page as Async.",
    ),
    "async": Way(
        title="Async",
        view=side_by_side,
        layout="demo.Overview",
        shows="All panels start together. The browser waits for the slowest one.",
        to_try="Compare the bars with Plain: the same views, and async_layout instead of layout.",
    ),
    "lazy": Way(
        title="Lazy",
        view=lazy,
        layout="demo.LazyOverview",
        shows="The page is there at once. Then each panel is fetched by a request of its own.",
        to_try="Look at the browser's network view while you reload: each request has its own Server-Timing.",
    ),
    "streamed": Way(
        title="Streamed",
        view=streamed,
        layout="demo.StreamedOverview",
        shows="The page is there at once, and the panels follow in the same response, whichever is ready first.",
        to_try="Reload, and find the one request in the browser's network view.",
    ),
}


def answer(request: HttpRequest, slug: str) -> HttpResponse:
    """What the page says about itself: the layout's ``content``."""
    way = WAYS[slug]
    frame = Layout.resolve(way.layout)
    files = [
        {"name": "layouts.py", "code": python_of(frame)},
        {"name": "views.py", "code": python_of(way.view)},
        {"name": "panels.py", "code": python_of(panels)},
        {"name": "page.html", "code": template_of(frame.template)},
    ]
    tabs = [(key, f"overview:{key}", each.title) for key, each in WAYS.items()]
    request.layout_context.update(slug=slug, way=way, tabs=tabs, files=files, ticks=ticks(), pace=settings.DEMO_PACE)
    return TemplateResponse(request, "overview/about.html", {"way": way})
