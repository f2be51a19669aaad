"""A small site for the tests of layouts: pages, panels, and the package's own URLs.

Slow panels wait for the gate that is named in the page's query (``?gate=x``); ``/open/x/`` opens it.  So tests say in
which order things end.
"""

import asyncio
import threading
from collections import defaultdict
from typing import Any

from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.urls import include, path
from django.utils import translation

from htmx_live.layouts import (
    ConditionalPanel,
    Layout,
    Panel,
    ScriptQueue,
    StyleQueue,
    add_script,
    add_style,
    async_layout,
    layout,
    render_with_layout,
)
from htmx_live.urls import urlpatterns as layout_urls
from tests.layouts import test_panels
from tests.layouts.conftest import answer

PATIENCE = 20.0  # seconds that a panel waits for its gate

gates: defaultdict[str, threading.Event] = defaultdict(threading.Event)
seen: list[HttpRequest] = []


class Site(Layout):
    """Its panels are given by its views; its template shows those that ``names`` lists."""

    template = "site.html"
    layout_context_defaults = {"title": "Site"}
    scripts = ScriptQueue()
    styles = StyleQueue()

    account = Panel("site:account", lazy=True, carry=("order",))
    seen = Panel("site:account", lazy="visible")
    broken = Panel("site:broken", lazy=True)
    maybe = ConditionalPanel("site:account", lazy=True, condition="order")
    fast = Panel("site:fast", stream=True)
    slow = Panel("site:slow", stream=True)
    aslow = Panel("site:aslow", stream=True)
    failing = Panel("site:broken", stream=True)
    late = Panel("site:slow", stream=True, timeout=0.01, lazy_on_timeout=True)
    limited = Panel("site:slow", timeout=0.01, lazy_on_timeout=True)
    form = Panel("site:form", stream=True)
    greeting = Panel(lambda request: f"<p>{request.user}</p>", stream=True)


def account(request: Any) -> HttpResponse:
    """Tells all that a panel can see of its page."""
    seen.append(request)
    request.language = translation.get_language()
    add_script(request, "/account.js")
    order = request.layout_context.get("order")
    return HttpResponse(f"<p>{request.user} {request.get_full_path()} {request.layout_context['title']} {order}</p>")


def broken(request: HttpRequest) -> HttpResponse:
    if request.GET.get("gate") and gates[request.GET["gate"]].is_set():
        return HttpResponse("<p>mended</p>")
    raise LookupError("secret")


def fast(request: HttpRequest) -> HttpResponse:
    add_script(request, "/shared.js")
    add_style(request, "/fast.css")
    return HttpResponse("<p id=fast-panel>fast</p>")


def slow(request: HttpRequest) -> HttpResponse:
    add_script(request, "/shared.js")
    assert gates[request.GET["gate"]].wait(PATIENCE)
    return HttpResponse('<button id="ask" hx-get="/site/pong/" hx-target="#answer">slow</button><p id="answer"></p>')


async def aslow(request: HttpRequest) -> HttpResponse:
    while not gates[request.GET["gate"]].is_set():
        await asyncio.sleep(0.005)
    return HttpResponse("<p>aslow</p>")


def form(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"<p>{get_token(request)}</p>")


def shown(request: Any) -> HttpResponse:
    """The main view: the panels to show are in the query."""
    request.layout_context["names"] = request.GET.getlist("show")
    request.layout_context["order"] = request.GET.get("order")
    return HttpResponse("<h1>main</h1>", headers={"X-Main": "1"})


def only(*names: str) -> dict[str, Panel | None]:
    return {name: None for name in Site.layout_panels if name not in names}


def page(request: HttpRequest, *names: str) -> Any:
    """The page with the panels in ``?show=``, sync."""
    return layout(Site, panels=only(*request.GET.getlist("show")))(shown)(request)


async def apage(request: HttpRequest) -> Any:
    """See page()."""

    async def ashown(request: HttpRequest) -> HttpResponse:
        return shown(request)

    return await async_layout(Site, panels=only(*request.GET.getlist("show")))(ashown)(request)


@layout(Site, panels={**only(), "own": Panel(lambda request: HttpResponse("<p>the view's own</p>"), lazy=True)})
def overriding(request: HttpRequest) -> HttpResponse:
    return shown(request)


def homeless(request: HttpRequest) -> Any:
    """A lazy panel that nobody could find again."""
    return render_with_layout(request, Site, "site.html", panels={**only(), "own": Panel("x", lazy=True)})


def open_gate(request: HttpRequest, name: str) -> HttpResponse:
    gates[name].set()
    return HttpResponse("open")


def database_panel(request: HttpRequest) -> HttpResponse:
    """Meets the two others, each on a connection of its own."""
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT 1")
        used_connections.append(connections["default"])
        meeting.wait(PATIENCE)
    return HttpResponse("1")


meeting = threading.Barrier(3)
used_connections: list[Any] = []


@async_layout(Site, panels={**only(), **{name: Panel(database_panel) for name in ("a", "b", "c")}})
async def database(request: HttpRequest) -> HttpResponse:
    return HttpResponse("main")


def open_connections(request: HttpRequest) -> HttpResponse:
    """How many connections panels had, and how many of them are open now."""
    still_open = [own for own in used_connections if own.connection is not None]
    return HttpResponse(f"{len({id(own) for own in used_connections})} {len(still_open)}")


shop = [
    # Those of the example in docs/layouts.md.
    path("nav/", answer("the navigation"), name="nav"),
    path("totals/", answer("7 orders"), name="totals"),
    path("advice/", answer("buy more"), name="advice"),
    path("home/", answer("home"), name="home"),
    path("hello/", test_panels.Hello.as_view(), name="hello"),
    path("items/<int:pk>/", test_panels.item, name="item"),
    path("pinned/", test_panels.item, {"pk": 1}, name="pinned"),
]

site = [
    path("page/", page, name="page"),
    path("apage/", apage, name="apage"),
    path("overriding/", overriding),
    path("homeless/", homeless),
    path("database/", database),
    path("connections/", open_connections),
    path("open/<str:name>/", open_gate),
    path("pong/", answer("pong")),
    path("panels/account/", account, name="account"),
    path("panels/broken/", broken, name="broken"),
    path("panels/fast/", fast, name="fast"),
    path("panels/slow/", slow, name="slow"),
    path("panels/aslow/", aslow, name="aslow"),
    path("panels/form/", form, name="form"),
]

urlpatterns = [
    path("shop/", include((shop, "shop"))),
    path("site/", include((site, "site"))),
    path("plain/", answer("plain home"), name="plain"),
    path("live/", include((layout_urls, "htmx_live"))),
]
