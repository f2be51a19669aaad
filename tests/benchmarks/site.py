"""The site that the click benchmarks measure: one table, once as a live view and once as a plain htmx view."""

import secrets
import threading
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import include, path

from htmx_live import LiveView, background, event_handler

ROWS = [{"name": f"Row {number}", "price": number * 7, "note": "x" * 10} for number in range(40)]  # about 2 KB
_plain: dict[str, dict[str, Any]] = {}


class Table(LiveView):
    template_name = "bench/live.html"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.rows = [dict(row) for row in ROWS]
        self.count = 0

    @event_handler
    def add(self) -> None:
        self.count += 1

    @event_handler
    @background
    def work(self) -> None:
        """Two seconds of work that waits, as for an API."""
        threading.Event().wait(2)


def plain(request: HttpRequest) -> HttpResponse:
    """What one would write with htmx alone: the state in the session's place, the same template."""
    key = request.session.setdefault("table", secrets.token_hex())
    table = _plain.setdefault(key, {"rows": [dict(row) for row in ROWS], "count": 0})
    if request.method == "POST":
        table["count"] += 1
        return render(request, "bench/table.html", table)
    return render(request, "bench/plain.html", table)


urlpatterns = [
    path("live/", include("htmx_live.urls")),
    path("table/", Table.as_view()),
    path("plain/", plain),
]
