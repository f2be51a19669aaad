"""The pages that the benchmark of layouts measures."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, include, path

from htmx_live.layouts import Layout, Panel, async_layout, cache, layout
from htmx_live.urls import urlpatterns as layout_urls

SLOW = 0.05  # seconds that a slow panel takes

ROWS = {"rows": [f"row <{number}>" for number in range(10)]}


class Bench(Layout):
    template = "bench.html"


def slow(request: HttpRequest) -> HttpResponse:
    time.sleep(SLOW)
    return HttpResponse("slow")


async def aslow(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(SLOW)
    return HttpResponse("slow")


async def very_slow(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(1)
    return HttpResponse("very slow")


def trivial(request: HttpRequest) -> HttpResponse:
    return render(request, "part.html", ROWS)


def main(request: HttpRequest) -> HttpResponse:
    return render(request, "main.html")


def apage(panels: dict[str, Panel | None]) -> Callable[..., Awaitable[Any]]:
    async def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse("main")

    return async_layout(Bench, panels=panels)(view)


def includes(request: HttpRequest) -> HttpResponse:
    return render(request, "includes.html", ROWS)


TRIVIAL: dict[str, Panel | None] = {name: Panel(trivial) for name in "abcd"}
four_panels = layout(Bench, panels=TRIVIAL)(main)


def slow_pages() -> list[URLPattern]:
    return [
        path(f"{kind}/{count}/", apage({name: Panel(view) for name in "abcdef"[:count]}))
        for kind, view in (("sync", slow), ("async", aslow))
        for count in (0, 1, 3, 6)
    ]


urlpatterns = [
    path("slow/", aslow),
    *slow_pages(),
    path("plain/", apage({"a": Panel(trivial)})),
    path("streamed/", apage({"a": Panel(trivial), "b": Panel(very_slow, stream=True)})),
    path("includes/", includes),
    path("four/", four_panels),
    path("afour/", apage(TRIVIAL)),
    path("rendered/", apage({"a": Panel(slow)})),
    path("cached/", apage({"a": Panel(slow, cache=cache.sitewide(600))})),
    path("live/", include((layout_urls, "htmx_live"))),
]
