"""The site on which pushes are tested and measured: its views, what pushes to them, and a census of the process.

`POST push/` takes JSON, a list of keyword arguments of `push_to_view()`, and pushes them in order.
"""

import json
import os
import threading
import time
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import get_template
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

from htmx_live import LiveView, background, event_handler, push_to_view
from htmx_live.http import stream_endpoint as gate
from htmx_live.http.stream_hub import _hubs
from htmx_live.runtime.services import services

gate._RECONNECT_GRACE = 1.0  # seconds; nobody here reconnects


class Log(LiveView):
    """Remembers what it heard."""

    template_name = "push/log.html"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.heard: list[int] = []
        self.last = self.steps = self.clicks = 0

    def hear(self, number: int) -> None:
        self.heard, self.last = [*self.heard, number], number

    @event_handler
    def click(self) -> None:
        self.clicks += 1

    @event_handler
    @background
    def work(self) -> None:
        """Three seconds of work in thirty steps."""
        for _ in range(30):
            threading.Event().wait(0.1)
            self.steps += 1
            self.flush()


class SharedLog(Log):
    scope = "shared"


class Crowd(Log):
    """A view whose instances are those of one test; the next two likewise."""


class SharedCrowd(SharedLog): ...


class SharedBurst(SharedLog): ...


class Large(LiveView):
    """100 KB."""

    template_name = "push/large.html"
    scope = "shared"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.last = 0

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {"padding": "x" * 100_000}


class Ticks(LiveView):
    """Counts its own ticks; ``calls`` are those of the process."""

    template_name = "push/ticks.html"
    scope = "shared"
    tick_interval = 100
    calls = 0

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.count = 0

    def handle_tick(self) -> None:
        self.count += 1
        type(self).calls += 1


def rows(last: int) -> list[list[str]]:
    """Twenty rows of five cells, all of which change with ``last``."""
    return [[f"cell {row}.{column} of {last}" for column in range(5)] for row in range(20)]


class Table(LiveView):
    template_name = "push/table.html"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.last = 0

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {"rows": rows(self.last)}


class SharedTable(Table):
    scope = "shared"


class TickingTable(SharedTable):
    """Changes all its cells with each tick."""

    tick_interval = 1000
    calls = 0

    def handle_tick(self) -> None:
        self.last += 1
        type(self).calls = self.last


class Clicks(LiveView):
    """What another user uses meanwhile."""

    template_name = "push/log.html"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.heard: list[int] = []
        self.last = self.steps = self.clicks = 0

    @event_handler
    def click(self) -> None:
        self.clicks += 1


@csrf_exempt
def push(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"counts": [push_to_view(**each) for each in json.loads(request.body)]})


def render(request: HttpRequest, times: int) -> JsonResponse:
    """Microseconds of CPU of one plain render of the table."""
    template = get_template("push/table.html")
    began = time.thread_time()
    for number in range(times):
        template.render({"rows": rows(number), "last": number}, request)
    return JsonResponse({"cpu": (time.thread_time() - began) / times * 1e6})


def census(request: HttpRequest) -> JsonResponse:
    listeners = [listener for hub in tuple(_hubs.values()) for listener in tuple(hub._connections)]
    with open("/proc/self/statm") as file:
        memory = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return JsonResponse(
        {
            "cpu": sum(os.times()[:2]),
            "memory": memory,
            "threads": threading.active_count(),
            "streams": len(listeners),
            "pending": max((len(listener._pending) for listener in listeners), default=0),
            "ticks": Ticks.calls,
            "ticks_of_table": TickingTable.calls,
            "ticked": len(services().ticker._scheduled),  # type: ignore[union-attr]
            "now": time.monotonic(),
        }
    )


VIEWS = (Log, SharedLog, Crowd, SharedCrowd, SharedBurst, Large, Ticks, Table, SharedTable, TickingTable, Clicks)

urlpatterns = [
    path("live/", include("htmx_live.urls")),
    path("", lambda request: HttpResponse("ready")),
    *[path(f"{view.__name__}/", view.as_view()) for view in VIEWS],
    path("push/", push),
    path("render/<int:times>/", render),
    path("census/", census),
]
