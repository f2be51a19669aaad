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


class Row(LiveView):
    """One row of a table that is a live view of its own."""

    template_name = "bench/row.html"
    root_tag = "tr"

    def mount(self, request: Any, pk: int = 0, **kwargs: Any) -> None:
        self.row = {"pk": pk, "name": f"Row {pk}", "price": pk * 7}

    @event_handler
    def ship(self) -> None:
        self.row = {**self.row, "price": self.row["price"] + 1}

    @event_handler
    def cancel(self) -> None:
        self.row = {**self.row, "price": 0}


class Rows(LiveView):
    """Two hundred of them."""

    template_name = "bench/rows.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {"pks": range(200)}

    @event_handler
    def again(self) -> None: ...


class Included(LiveView):
    """The same rows in one view, by include: a click renders the table."""

    template_name = "bench/included.html"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.rows = [{"pk": pk, "name": f"Row {pk}", "price": pk * 7} for pk in range(200)]

    @event_handler
    def ship(self, pk: int) -> None:
        self.rows[pk]["price"] += 1

    @event_handler
    def cancel(self, pk: int) -> None:
        self.rows[pk]["price"] = 0


def plain_row(request: HttpRequest) -> HttpResponse:
    """What one would write with htmx alone to swap a row."""
    pk = int(request.POST["pk"])
    return render(request, "bench/plain_row.html", {"row": {"pk": pk, "name": f"Row {pk}", "price": pk * 7 + 1}})


def plain_table(request: HttpRequest) -> HttpResponse:
    """What one would write with htmx alone to swap the table."""
    rows = [{"pk": pk, "name": f"Row {pk}", "price": pk * 7 + (pk == 3)} for pk in range(200)]
    return render(request, "bench/plain_rows.html", {"rows": rows})


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
    path("rows/", Rows.as_view()),
    path("included/", Included.as_view()),
    path("plain/row/", plain_row),
    path("plain/rows/", plain_table),
]
